"""Sessions of the kit without a backend, for tests of its parts."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.collector import ResultCollector
from synth_pools.contract.document import Document
from synth_pools.contract.http.client import HttpClient
from synth_pools.contract.options import ApiKey, Options
from synth_pools.contract.results import Outcome
from synth_pools.contract.session import Session
from synth_pools.spec import load_spec

URL = "http://127.0.0.1:9"
DOCUMENT = Document(load_spec())
_KEY = ApiKey("sessions-key-0123456789")


def session(
    features: dict[str, Any] | None = None, url: str = URL, key: ApiKey = _KEY, **options: Any
) -> Session:
    """Create a session whose requests nobody answers, unless there is a URL at which one does."""
    given = Options(url, key, "0a1b2c3d", 1, **options)
    http = HttpClient(url, key, DOCUMENT)
    return Session(given, DOCUMENT, http, ResultCollector(DOCUMENT), features=features or {})


def outcomes(of: Session) -> dict[str, tuple[Outcome, str]]:
    """Return outcome and note by operation."""
    return {one.operation: (one.outcome, one.note) for one in of.collector.result().outcomes}
