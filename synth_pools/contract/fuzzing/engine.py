"""Settings and results of the engine that generates requests, as plain data."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from typing import Any

from synth_pools.contract.openapi.operations import KeyPlace
from synth_pools.contract.options import Access, ApiKey
from synth_pools.contract.results import Exchange

TIME_IS_UP = "time was up before all of them were sent"


@dataclass(frozen=True, slots=True)
class GeneratedRequest:
    """A generated request before it is sent; its containers can be changed in place.

    Attributes:
        operation: The id of the operation.
        method: The HTTP method.
        path_parameters: The path parameters.
        headers: The headers.
        body: The body, as JSON.
        negative: The parts that are invalid on purpose: "path", "query", "header" or "body".
    """

    operation: str
    method: str
    path_parameters: dict[str, Any]
    headers: MutableMapping[str, str]
    body: Any
    negative: frozenset[str]


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """Settings of one run of the engine.

    Attributes:
        url: The base URL.
        api_key: The key.
        seed: The seed of all generated values.
        examples: Generated requests for each operation.
        phases: The engine's phases.
        steps: Consecutive requests in the stateful phase.
        request_timeout: Seconds that a request may take.
        stream_events: Events after which a stream is closed.
        read_only: Send only GET.
        without: The operations that are not called.
        uncovered: The operations that the coverage phase leaves out.
        checks: The engine's checks.
        retarget: A hook that may change a generated request before it is sent.
        observe: A hook for each response: its operation, status and body.
        deadline: The end of the run, on time.monotonic()'s clock.
        is_stopped: Returns True once the run was stopped.
        access: Headers, certificates and proxy of the backend.
        key_place: The place of the key; None for the one of openapi.yaml.
    """

    url: str
    api_key: ApiKey
    seed: int
    examples: int
    phases: tuple[str, ...]
    steps: int = 8
    request_timeout: float = 30.0
    stream_events: int = 20
    read_only: bool = False
    without: frozenset[str] = frozenset()
    uncovered: frozenset[str] = frozenset()
    checks: tuple[str, ...] = ()
    retarget: Callable[[GeneratedRequest], None] = lambda _: None
    observe: Callable[[str, int, bytes], object] = lambda *_: None
    deadline: float = float("inf")
    is_stopped: Callable[[], bool] = lambda: False
    access: Access = field(default_factory=Access)
    key_place: KeyPlace | None = None


@dataclass(frozen=True, slots=True)
class FailedCheck:
    """A failed check of the engine."""

    check: str
    title: str
    message: str
    related: tuple[Exchange, ...] = ()


@dataclass(frozen=True, slots=True)
class CheckedExchange:
    """An exchange of the engine, with the results of its checks."""

    operation: str
    phase: str
    exchange: Exchange
    passed: tuple[str, ...]
    failed: tuple[FailedCheck, ...]


@dataclass(frozen=True, slots=True)
class EngineProblem:
    """An error that keeps the engine from judging; `network` if the server gave no answer."""

    operation: str | None
    text: str
    network: bool
