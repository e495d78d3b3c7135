"""Attempts at a rollout: the request to send, and the decision on a further attempt."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Self

from synth_pools.backend.containers.balancer import Lease
from synth_pools.backend.containers.credentials import FORBIDDEN_KEY, MISSING_KEY
from synth_pools.backend.containers.members import choose
from synth_pools.backend.domain import json_text
from synth_pools.backend.domain.definitions import (
    container_key_env,
    container_urls,
    lacks_containers,
    starts_containers,
    submits_asynchronously,
    telemetry_of,
)
from synth_pools.backend.domain.target import TargetError
from synth_pools.backend.storage.claims import running_by_container
from synth_pools.backend.storage.database import Transaction
from synth_pools.backend.storage.pools import Pool

# Keys of a request that concern the pool and the creation, not the container.
_NOT_FOR_CONTAINERS = frozenset({"pool_id", "mode"})

_LONGEST_TIMEOUT = 86_400
_MOST_ATTEMPTS = 10
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 5.0


def timeout_of(limits: Any) -> float | None:
    """Return the time limit in limits or settings; None if they have none.

    A body of a container's own format may hold any value here; invalid limits are ignored.
    """
    value = limits.get("timeout_seconds") if isinstance(limits, dict) else None
    if json_text.is_number(value) and 0 < value <= _LONGEST_TIMEOUT:
        return float(value)
    return None


def limit_seconds(view: Mapping[str, Any], request_limits: object, default_seconds: float) -> float:
    """Return the time limit from a rollout's request, its pool's view, or the settings."""
    return timeout_of(request_limits) or timeout_of(view["config"]) or default_seconds


def most_attempts_of(limits: Any) -> int:
    """Return the highest number of attempts at a rollout."""
    value = limits.get("max_attempts") if isinstance(limits, dict) else None
    return max(1, min(int(value), _MOST_ATTEMPTS)) if json_text.is_number(value) else 1


def is_address_of(view: Mapping[str, Any], url: str | None) -> bool:
    """Return True if a pool sends rollouts to an address, by its view; None is the echo target.

    Another backend may have changed the pool, and the balancer of this one not have read it yet.
    """
    if starts_containers(view):
        return True
    urls = container_urls(view)
    return url in urls if urls else url is None


class ContainerChoice:
    """Addresses for the rollouts that start in one transaction.

    A lease is chosen by the calls of its own backend. Where others use the same containers, the
    address is chosen again in the transaction of the start, which has the rollouts of all backends.

    Args:
        tx: The transaction, which runs in the event loop.
    """

    def __init__(self, tx: Transaction) -> None:
        self._tx = tx
        # Counts by address, including the starts of this transaction.
        self._running: dict[str, int] = {}

    def url_for(
        self, pool: Pool, lease: Lease, tried: Collection[str] = (), *, is_retry: bool = False
    ) -> str | None:
        """Return the address of the container for a rollout with this lease.

        Args:
            pool: The pool, as stored.
            lease: The lease; its address is kept among equals.
            tried: The addresses of earlier attempts.
            is_retry: True if an earlier attempt failed.
        """
        # The processes of a pool get rollouts from their owner alone.
        if not self._tx.has_peers or pool.owner is not None:
            return lease.url
        urls = container_urls(pool.view)
        members = [member for member in lease.candidates() if member.url in urls]
        if len(members) < 2:
            return lease.url
        unknown = {member.url for member in members} - self._running.keys()
        if unknown:
            self._running |= running_by_container(self._tx, unknown)
        choice = choose(members, tried, is_retry=is_retry, loads=self._running, preferred=lease.url)
        if choice is None:
            return lease.url
        self._running[choice.url] += 1
        return choice.url


# Not frozen: a frozen one takes three times as long to create, for each rollout.
@dataclass(slots=True)
class Attempt:
    """Data with which a rollout runs, read at the start of this attempt."""

    rollout_id: str
    request: dict[str, Any]
    number: int
    container_url: str | None
    # The environment variable with the container's key.
    key_env: str | None
    limit_seconds: float
    # True if the container is polled for the result, instead of answering with it.
    is_async: bool
    # The request to the container to keep events.
    telemetry: Mapping[str, Any] | None
    # True if it was sent before the backend restarted: its container may still run it.
    is_resumed: bool
    # The number of the backend that runs it; None if there is only one.
    owner: int | None = None
    # True if its pool has a target of its own: the echo target must not answer for that.
    lacks_container: bool = False

    @classmethod
    def of_pool(
        cls,
        view: Mapping[str, Any],
        rollout_id: str,
        request: dict[str, Any],
        number: int,
        url: str | None,
        default_seconds: float,
        *,
        spent_seconds: float = 0.0,
        is_resumed: bool = False,
        owner: int | None = None,
    ) -> Self:
        """Return an attempt with the settings of its pool; the first attempt has number 1.

        The time limit is `default_seconds` if request and pool set none, less the `spent_seconds`
        since the start of a resumed attempt.
        """
        limit = limit_seconds(view, request.get("limits"), default_seconds)
        return cls(
            rollout_id,
            request,
            number,
            url,
            container_key_env(view),
            max(0.0, limit - spent_seconds),
            submits_asynchronously(view),
            telemetry_of(view),
            is_resumed,
            owner,
            url is None and lacks_containers(view),
        )

    @property
    def payload(self) -> dict[str, Any]:
        """The JSON object that is sent to the container."""
        fields = {key: self.request[key] for key in self.request if key not in _NOT_FOR_CONTAINERS}
        mode = "async" if self.is_async else "sync"
        more = {} if self.telemetry is None else {"telemetry": self.telemetry}
        return {**fields, **more, "rollout_id": self.rollout_id, "submission_mode": mode}

    def may_follow(self, error: TargetError) -> bool:
        """Return True if the container is at fault and the request allows a further attempt."""
        return self.number < most_attempts_of(self.request.get("limits")) and _is_its_fault(error)

    @property
    def pause_seconds(self) -> float:
        """Seconds to wait before the same container gets the rollout again."""
        return float(min(_FIRST_PAUSE * 2 ** (self.number - 1), _LONGEST_PAUSE))


def _is_its_fault(error: TargetError) -> bool:
    """Return True if the container broke down; False if it was slow or gave a bad answer."""
    cause = error.details.get("cause")
    if error.code == "container_unreachable":
        # Every container of the pool gets the same key.
        return cause not in (MISSING_KEY, FORBIDDEN_KEY)
    if error.code == "container_bad_response":
        return cause is not None
    if error.code == "container_http_error":
        return error.status is not None and error.status >= 500
    return error.code == "backend_restarted"
