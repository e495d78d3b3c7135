"""Session of a run: what is known of the backend, and the resources of the run."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from synth_pools.contract.collector import ResultCollector
from synth_pools.contract.document import Document
from synth_pools.contract.exceptions import (
    BusyError,
    StoppedError,
    UnjudgeableError,
    UnreachableError,
)
from synth_pools.contract.http.client import HttpClient, at
from synth_pools.contract.http.stub_container import ReceivedRequests
from synth_pools.contract.options import Options
from synth_pools.spec import load_spec

PREFIX = "contract-kit-"
# Beginning of every name and id of the kit, by which leftovers are recognised.
OURS = re.compile(rf"^{PREFIX}[0-9a-f]{{8}}(-|$)")
# Cheap operations, which work in every state.
_SIMPLE = ("get_capabilities", "get_queue_status", "list_pools")
_CLEANUP_SECONDS = 20.0
# Begins of the names of pools that some requests change which nobody records.
_UNRECORDED = ("client-", "g-", "late-", "offered", "preflight")
_MOST_PAGES = 1_000
_MOST_SWEEPERS = 8
# A wait proves something if it lasts at least this many times as long as an answer.
_PROOF = 10


@cache
def _packaged_document() -> Document:
    return Document(load_spec())


class CreatedResources:
    """Pools that the run created and has not archived yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pools: dict[str, None] = {}
        self._every: set[str] = set()

    def add(self, pool_id: str) -> None:
        with self._lock:
            self._pools[pool_id] = None
            self._every.add(pool_id)

    def had(self, pool_id: str) -> bool:
        """Return True if the run created a pool, archived or not."""
        return pool_id in self._every

    def discard(self, pool_id: str) -> None:
        with self._lock:
            self._pools.pop(pool_id, None)

    def remaining(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._pools)


@dataclass(slots=True)
class Session:
    """Shared state of all checks of a run.

    Attributes:
        options: The run's options.
        document: The document that the backend is judged by.
        http: The client that sends the requests.
        collector: The collector of verdicts.
        created: The pools that the clean-up has to archive.
        features: The `features` of the server's capabilities.
        containers: The addresses of the kit's stub containers by behaviour; empty if the
            backend cannot use them.
        received: The requests that those containers received.
        patience: Seconds that an expected change may take.
        proven: Whether a rollout has ended: from then on one that does not end is a departure.
        seconds: The seconds that scenarios and layers took, by their ids.
        subject_ids: Ids of resources that the subject file made, by the path parameter.
        ends: The operation, and its body, that ends each resource of a subject file, by its ids.
    """

    options: Options
    document: Document
    http: HttpClient
    collector: ResultCollector
    created: CreatedResources = field(default_factory=CreatedResources)
    features: Mapping[str, Any] = field(default_factory=dict)
    containers: Mapping[str, str] = field(default_factory=dict)
    received: ReceivedRequests = field(default_factory=ReceivedRequests)
    patience: float = 30.0
    proven: bool = False
    seconds: dict[str, float] = field(default_factory=dict)
    subject_ids: dict[str, str] = field(default_factory=dict)
    ends: dict[tuple[tuple[str, str], ...], tuple[str, Any]] = field(default_factory=dict)
    _merged: dict[str, dict[str, None]] = field(default_factory=dict, init=False, repr=False)

    def allowance(self, seconds: float) -> float:
        """Lengthen a limit if requests take long: on a slow connection or a busy machine."""
        return self.http.allowance(seconds)

    def is_proof(self, waited: float) -> bool:
        """Return True if a change that did not come within these seconds is a departure.

        It is no departure if the server, or a container of the kit, takes a good part of that time
        for a simple answer: the change may still come. A request is sent to find out.

        Raises:
            StoppedError: The run was asked to stop.
            UnreachableError: No server answers any more.
        """
        simple = next((name for name in _SIMPLE if name in self.document.operations), None)
        if simple is not None:
            try:
                exchange = self.http.call(simple).exchange
            except BusyError:
                return False
            if exchange.late or exchange.elapsed * _PROOF > waited:
                return False
        slowest = max(self.http.round_trip, self.received.lateness)
        return slowest * _PROOF <= waited

    @property
    def base_url(self) -> str:
        return self.http.base_url

    @property
    def echo(self) -> bool:
        """True if the server says that it has the built-in echo target."""
        return self.offers("echo")

    def offers(self, feature: str) -> bool:
        """Return True if the server says that it has a feature, and has its operations."""
        needed = self._optional().get(feature, {})
        has_all = all(name in self.document.operations for name in needed)
        return has_all and self.features.get(feature) is True

    def not_offered(self) -> dict[str, str]:
        """Return the operations that the server says it lacks, each with the reason."""
        return {
            operation: f"features.{feature} is not true"
            for feature, operations in self._optional().items()
            if not self.offers(feature)
            for operation in operations
            if operation in self.document.operations
        }

    def _optional(self) -> dict[str, dict[str, None]]:
        """Return the operations that a server may lack, by their feature."""
        if self.document.is_foreign:
            return {}
        if not self._merged:
            merged: dict[str, dict[str, None]] = {}
            # The caller's document may leave some of them out.
            for document in (_packaged_document(), self.document):
                for feature, operations in document.optional.items():
                    merged.setdefault(feature, {}).update(dict.fromkeys(operations))
            self._merged = merged
        return self._merged

    def pool_id(self, subject: str) -> str:
        """Return an id that begins with the mark of this run."""
        return f"{PREFIX}{self.options.run_id}-{subject}"[:128]

    def register_pool(self, pool_id: str) -> None:
        """Register a pool for the clean-up."""
        self.created.add(pool_id)

    def is_recorded(self, pool_id: str) -> bool:
        """Return True for a pool of this run whose changes are all recorded.

        Those by the client of this package are not, nor those before scenarios and between them.
        """
        unrecorded = tuple(map(self.pool_id, _UNRECORDED))
        return self.created.had(pool_id) and not pool_id.startswith(unrecorded)

    def pool_body(self, subject: str, **more: Any) -> dict[str, Any]:
        """Build the definition of a pool on which rollouts end.

        Its target is that of the options, else the echo target, else a stub container.
        """
        requested = dict(self.options.pool_request or {})
        body: dict[str, Any] = {"target": "arbitrary", "tasks": [], **requested}
        if self.options.container_url is not None:
            body["container_url"] = self.options.container_url
        elif "container_url" not in requested and not self.echo and self.containers:
            body["container_url"] = self.containers["good"]
        body.pop("id", None)
        return {**body, "pool_id": self.pool_id(subject), "name": self.pool_id(subject), **more}

    def live_pool_body(self, subject: str, **more: Any) -> dict[str, Any] | None:
        """Build the definition of a pool whose rollouts obey their `env`, as in `env.delay`.

        Returns:
            The definition; None if this server cannot have such a pool.
        """
        if self.echo:
            return {**self.pool_body(subject), "container_url": None, **more}
        if self.containers:
            return {**self.pool_body(subject), "container_url": self.containers["good"], **more}
        return None

    def rollout_body(self, **more: Any) -> dict[str, Any]:
        """Build the request of a rollout: the fields of the options, and further ones."""
        body = {**(self.options.rollout_request or {}), **more}
        if body.get("pool_id") is None:
            body.pop("pool_id", None)
        return body

    def grouping(self) -> dict[str, Any]:
        """Return the fields of a request that put a rollout in a run, if the server has runs."""
        run = f" É {self.options.run_id} "
        return {"run": run, "labels": {" Kit é": run, "none": ""}} if self.offers("runs") else {}

    def pauses(self, limit: float | None = None) -> Iterator[None]:
        """Pace a waiting loop, with short pauses at first.

        Args:
            limit: Seconds until the last turn; the session's patience if None.

        Yields:
            Once for each turn.

        Raises:
            StoppedError: The run was asked to stop.
        """
        began = time.monotonic()
        pause = 0.01
        while True:
            yield
            # Requests may have become slow meanwhile.
            if time.monotonic() > began + self.allowance(limit or self.patience):
                return
            if self.http.stop.wait(pause):
                raise StoppedError
            pause = min(pause * 1.5, 0.25)


def client_for_run(
    options: Options, document: Document, kind: type[HttpClient] = HttpClient
) -> HttpClient:
    """Return a client of the subject, with the key and the way of the options.

    Raises:
        UnjudgeableError: A certificate cannot be read, or there is no such way.
    """
    try:
        return kind(
            options.url,
            options.api_key,
            document,
            access=options.access,
            other_key=options.other_key,
        )
    except (OSError, ValueError) as error:
        raise UnjudgeableError(f"no way to {options.url}: {error}") from None


def remove_created(
    http: HttpClient, created: CreatedResources, limit: float = _CLEANUP_SECONDS
) -> int:
    """Archive the pools of this run.

    Args:
        http: A client that is not stopped.
        created: The pools.
        limit: Seconds that the clean-up may take.

    Returns:
        The number of pools that remain.
    """
    operations = http.document.operations
    if "delete_pool" not in operations:
        # Pools are registered before they are created.
        return len(created.remaining()) if "create_pool" in operations else 0
    deadline = time.monotonic() + limit
    given_up = threading.Event()

    def archive(pool_id: str) -> None:
        if given_up.is_set() or time.monotonic() > deadline:
            return
        try:
            response = http.call("delete_pool", {"pool_id": pool_id}, limit=10.0)
        except (BusyError, StoppedError, UnreachableError):
            given_up.set()
            return
        # 404: it was registered, but never created.
        if response.status in (200, 404):
            created.discard(pool_id)

    with ThreadPoolExecutor(_MOST_SWEEPERS, "contract-clean-up") as sweepers:
        list(sweepers.map(archive, created.remaining()))
    return len(created.remaining())


def remove_leftovers(http: HttpClient) -> tuple[int, int]:
    """Archive the pools of earlier runs, which are recognised by their names.

    Returns:
        The numbers of archived pools and of pools that could not be archived.
    """
    leftovers: dict[str, None] = {}
    cursor: str | None = None
    for _ in range(_MOST_PAGES):
        query = {"limit": 100} if cursor is None else {"limit": 100, "cursor": cursor}
        response = http.call("list_pools", query=query)
        items = response.at("items")
        for pool in items if isinstance(items, list) else []:
            name, pool_id = at(pool, "name"), at(pool, "pool_id")
            ours = any(isinstance(text, str) and OURS.match(text) for text in (name, pool_id))
            if isinstance(pool_id, str) and ours and at(pool, "status") != "archived":
                leftovers[pool_id] = None
        next_cursor = response.at("next_cursor")
        if not isinstance(next_cursor, str) or next_cursor == cursor:
            break
        cursor = next_cursor
    statuses = [http.call("delete_pool", {"pool_id": pool_id}).status for pool_id in leftovers]
    archived = statuses.count(200)
    return archived, len(leftovers) - archived
