"""Recognition of late reads: of a server whose readers lag behind what was written."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator

from synth_pools.contract.exceptions import BusyError, StoppedError, UnreachableError
from synth_pools.contract.http.client import at
from synth_pools.contract.results import Exchange
from synth_pools.contract.session import Session

# Reads that are repeated in a run, each up to a few times, and seconds before each time.
_MOST = 100
_PAUSES = (0.05, 0.15, 0.3, 0.6)
_STREAM_SECONDS = 2.0
# Changes after each of which one pool is read at once.
_CHANGES = 30
_MOST_PROBES = 3
_PROBE_SECONDS = 5.0
_POOL = ("create_pool", "update_pool", "get_pool", "delete_pool")


class LateReads:
    """Late reads of a run.

    Only after a departure it is found out whether the server's readers lag at all: one pool is
    changed and read several times. If some reading is late, a read that departs is sent again.
    """

    def __init__(self, session: Session) -> None:
        self._session = session
        self._lock = threading.Lock()
        # Set while a thread sends for this: what it receives may depart as well.
        self._local = threading.local()
        self._lags = False
        self._probes = 0
        self._remaining = _MOST

    def is_late(self, exchange: Exchange) -> bool:
        """Return True if readers lag, and the same read is answered otherwise a moment later."""
        is_read = exchange.method == "GET" and exchange.status is not None
        if not is_read or not self.lag():
            return False
        with self._lock:
            self._remaining -= 1
            if self._remaining < 0:
                return False
        http = self._session.http
        # The client adds the headers of the run itself.
        headers = {name: text for name, text in exchange.request_headers if text != "***"}
        operation, url = exchange.operation, exchange.url
        before = exchange.status, exchange.response_body

        def read() -> tuple[int | None, bytes]:
            again = http.send("GET", url, headers, None, operation, _STREAM_SECONDS)
            return again.status, again.response_body

        try:
            with self._sending():
                for pause in _PAUSES:
                    http.stop.wait(pause)
                    if (again := read()) != before:
                        # An answer that changes all the time is not late.
                        return read() == again
        except (StoppedError, UnreachableError):
            pass
        return False

    @property
    def is_sending(self) -> bool:
        """True in a thread that is finding out, whose own reads may be late."""
        return bool(getattr(self._local, "is_sending", False))

    @contextlib.contextmanager
    def _sending(self) -> Iterator[None]:
        self._local.is_sending = True
        try:
            yield
        finally:
            self._local.is_sending = False

    def lag(self) -> bool:
        """Return True if some readings were late; a later departure asks again, if none was."""
        session = self._session
        can_probe = not session.options.read_only and not session.document.is_foreign
        can_probe &= all(name in session.document.operations for name in _POOL)
        if self.is_sending or not can_probe:
            return False
        with self._lock:
            if not self._lags and self._probes < _MOST_PROBES:
                self._probes += 1
                try:
                    with self._sending():
                        self._lags = self._probe(session.pool_body(f"late-{self._probes}"))
                except (BusyError, StoppedError, UnreachableError):
                    self._probes = _MOST_PROBES
            return self._lags

    def _probe(self, body: dict[str, object]) -> bool:
        """Change a pool several times, and return True if a reading after that is late."""
        http, pool_id = self._session.http, str(body["pool_id"])
        self._session.register_pool(pool_id)
        path = {"pool_id": pool_id}
        if http.call("create_pool", json=body).status != 201:
            return False
        try:
            deadline = time.monotonic() + _PROBE_SECONDS
            for number in range(_CHANGES):
                if time.monotonic() > deadline:
                    break
                patch = {"metadata": {"number": number}}
                if http.call("update_pool", path, json=patch).status != 200:
                    return False
                for pause in (0.0, *_PAUSES):
                    http.stop.wait(pause)
                    read = http.call("get_pool", path)
                    if at(read.json, "metadata", "number") == number:
                        break
                else:
                    # It never comes: that is no lag.
                    return False
                if pause:
                    return True
        finally:
            if http.call("delete_pool", path).status == 200:
                self._session.created.discard(pool_id)
        return False
