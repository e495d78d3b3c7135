"""What all checks of a run share: the backend as it showed itself, and what the run made there."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from synth_pools.contract.collector import Findings
from synth_pools.contract.document import Document
from synth_pools.contract.http.client import Probe
from synth_pools.contract.http.stub_container import Memory
from synth_pools.contract.options import Options

PREFIX = "contract-kit-"
# Every name and id that the kit gives begins like this, so that leftovers can be told apart.
OURS = re.compile(rf"^{PREFIX}[0-9a-f]{{8}}(-|$)")


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
