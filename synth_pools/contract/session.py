"""What all checks of a run share: the backend as it showed itself, and what the run made there."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from synth_pools.contract.collector import Findings
from synth_pools.contract.document import Document
from synth_pools.contract.exceptions import BusyError, StoppedError, UnreachableError
from synth_pools.contract.http.client import Probe, at
from synth_pools.contract.http.stub_container import Memory
from synth_pools.contract.options import Options

PREFIX = "contract-kit-"
# Every name and id that the kit gives begins like this, so that leftovers can be told apart.
OURS = re.compile(rf"^{PREFIX}[0-9a-f]{{8}}(-|$)")
_SECONDS = 20.0
_PAGES = 1_000
# Operations that a backend may do without, by the feature that says whether it has them.
OF_FEATURE: dict[str, tuple[str, ...]] = {
    "pause": ("pause_pool", "resume_pool"),
    "validate": ("validate_rollout",),
    "batch": ("create_rollout_batch",),
    "replay": ("replay_rollout",),
    "artifact_downloads": ("get_global_rollout_artifact", "get_global_rollout_artifacts_zip"),
    "support_bundle": ("get_global_rollout_support_bundle",),
}


class Ledger:
    """Pools that this run made and has not archived yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pools: dict[str, None] = {}

    def made(self, pool_id: str) -> None:
        with self._lock:
            self._pools[pool_id] = None

    def gone(self, pool_id: str) -> None:
        with self._lock:
            self._pools.pop(pool_id, None)

    def left(self) -> tuple[str, ...]:
        with self._lock:
            return tuple(self._pools)


@dataclass(slots=True)
class World:
    options: Options
    document: Document
    probe: Probe
    findings: Findings
    ledger: Ledger = field(default_factory=Ledger)
    features: Mapping[str, Any] = field(default_factory=dict)
    # Where an own container of the kit's answers, by its behaviour; empty where it cannot be used.
    containers: Mapping[str, str] = field(default_factory=dict)
    # What those containers were asked.
    memory: Memory = field(default_factory=Memory)
    # How long a change that has to come may take, in seconds.
    patience: float = 30.0
    # Whether a rollout was seen to end: from then on one that does not is a departure.
    proven: bool = False

    @property
    def base_url(self) -> str:
        return self.probe.base_url

    @property
    def echo(self) -> bool:
        """Whether the server says that it has the built-in echo target."""
        return self.features.get("echo") is True

    def offers(self, feature: str) -> bool:
        return self.features.get(feature) is True

    def pool_id(self, subject: str) -> str:
        return f"{PREFIX}{self.options.run_id}-{subject}"[:128]

    def made_pool(self, pool_id: str) -> None:
        """Register a pool for the clean-up."""
        self.ledger.made(pool_id)

    def pool_body(self, subject: str, **more: Any) -> dict[str, Any]:
        """A pool on which rollouts end: as asked for, else on echo, else on our own container."""
        given = dict(self.options.pool_request or {})
        body: dict[str, Any] = {"target": "arbitrary", "tasks": [], **given}
        if self.options.container_url is not None:
            body["container_url"] = self.options.container_url
        elif "container_url" not in given and not self.echo and self.containers:
            body["container_url"] = self.containers["good"]
        body.pop("id", None)
        return {**body, "pool_id": self.pool_id(subject), "name": self.pool_id(subject), **more}

    def live_pool_body(self, subject: str, **more: Any) -> dict[str, Any] | None:
        """A pool whose rollouts obey `env.delay` and the like; None where there can be none."""
        if self.echo:
            return {**self.pool_body(subject), "container_url": None, **more}
        if self.containers:
            return {**self.pool_body(subject), "container_url": self.containers["good"], **more}
        return None

    def rollout_body(self, **more: Any) -> dict[str, Any]:
        body = {**(self.options.rollout_request or {}), **more}
        if body.get("pool_id") is None:
            body.pop("pool_id", None)
        return body


def not_offered(world: World) -> dict[str, str]:
    """The operations that the server says it does not have, each with what it says."""
    return {
        operation: f"features.{feature} is not true"
        for feature, operations in OF_FEATURE.items()
        if not world.offers(feature)
        for operation in operations
        if operation in world.document.operations
    }


def remove_made(probe: Probe, ledger: Ledger, limit: float = _SECONDS) -> int:
    """Archive the pools of this run; how many are left over."""
    deadline = time.monotonic() + limit
    for pool_id in ledger.left():
        if time.monotonic() > deadline:
            break
        try:
            answer = probe.call("delete_pool", {"pool_id": pool_id}, limit=10.0)
        except (BusyError, StoppedError, UnreachableError):
            break
        # 404: it was registered before it was made, and then was not made.
        if answer.status in (200, 404):
            ledger.gone(pool_id)
    return len(ledger.left())


def remove_leftovers(probe: Probe) -> tuple[int, int]:
    """Archive the pools of earlier runs, told by their names; how many went, how many did not."""
    found: dict[str, None] = {}
    cursor: str | None = None
    for _ in range(_PAGES):
        query = {"limit": 100} if cursor is None else {"limit": 100, "cursor": cursor}
        answer = probe.call("list_pools", query=query)
        items = answer.at("items")
        for pool in items if isinstance(items, list) else []:
            name, pool_id = at(pool, "name"), at(pool, "pool_id")
            ours = any(isinstance(text, str) and OURS.match(text) for text in (name, pool_id))
            if isinstance(pool_id, str) and ours and at(pool, "status") != "archived":
                found[pool_id] = None
        following = answer.at("next_cursor")
        if not isinstance(following, str) or following == cursor:
            break
        cursor = following
    gone = 0
    for pool_id in found:
        gone += probe.call("delete_pool", {"pool_id": pool_id}).status == 200
    return gone, len(found) - gone
