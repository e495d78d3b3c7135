"""Sessions of the kit for tests of its parts: without a backend, or with prepared answers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from synth_pools.contract.collector import ResultCollector
from synth_pools.contract.document import Document
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Check
from synth_pools.contract.http.client import HttpClient
from synth_pools.contract.options import ApiKey, Options
from synth_pools.contract.results import Clause, Departure, Outcome
from synth_pools.contract.selections import Selection
from synth_pools.contract.session import Session
from synth_pools.spec import load_spec
from tests.support.fault_server import FaultServer, Seen
from tests.support.faults import Fault, answer

URL = "http://127.0.0.1:9"
DOCUMENT = Document(load_spec())
_KEY = ApiKey("sessions-key-0123456789")


def session(
    features: dict[str, Any] | None = None, url: str = URL, key: ApiKey = _KEY, **options: Any
) -> Session:
    """Create a session; without a URL nobody answers its requests."""
    run_options = Options(url, key, "0a1b2c3d", 1, **options)
    http = HttpClient(url, key, DOCUMENT)
    return Session(run_options, DOCUMENT, http, ResultCollector(DOCUMENT), features=features or {})


@contextlib.contextmanager
def answering(
    answers: Mapping[str, Fault | Sequence[Fault]], **options: Any
) -> Iterator[tuple[Session, FaultServer]]:
    """Create a session with a server of prepared answers; other operations get 404.

    Args:
        answers: One answer for all requests, or one after the other, of which the last stays.
        **options: See `session`.
    """
    queues = {name: [answer] if callable(answer) else [*answer] for name, answer in answers.items()}

    def choose(request: Seen) -> Fault:
        operation = DOCUMENT.operation_of(request.method, request.target)
        faults = queues.get(operation.id, []) if operation else []
        if not faults:
            return answer({"detail": "There is no such thing."}, 404)
        return faults.pop(0) if len(faults) > 1 else faults[0]

    with FaultServer(choose=choose) as server:
        run = session(url=server.url, **options)
        try:
            yield run, server
        finally:
            run.http.close()


def context(run: Session, *operations: str | Selection) -> Context:
    """Create the context of a scenario about these operations."""
    demand = Clause("Pages", "a demand")
    return Context(run, Check("a.b", demand, operations or ("get_pool",)))


def asked(server: FaultServer, operation: str) -> list[Seen]:
    """Return the received requests of an operation."""
    pairs = (
        (DOCUMENT.operation_of(request.method, request.target), request)
        for request in server.requests
    )
    return [
        request
        for addressed, request in pairs
        if addressed is not None and addressed.id == operation
    ]


def departures(of: Session) -> list[Departure]:
    """Return all departures so far."""
    return [departure for cell in of.collector.result().outcomes for departure in cell.departures]


def outcomes(of: Session) -> dict[str, tuple[Outcome, str]]:
    """Return outcome and note by operation."""
    return {cell.operation: (cell.outcome, cell.note) for cell in of.collector.result().outcomes}
