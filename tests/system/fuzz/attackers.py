"""Clients that mean no good, each of a kind, as long as they are let."""

from __future__ import annotations

import contextlib
import json
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable

from tests.support.raw_http import answer_to, judge, nonsense

_PAUSE = 0.02
_SILENT = 50


class Attackers:
    """Threads that attack until `end`, with the statuses and the faults of the answers."""

    def __init__(self, port: int, key: str, rollout_id: str) -> None:
        self.statuses: Counter[str] = Counter()
        self.wrong: list[str] = []
        self._port = port
        self._key = key
        self._rollout_id = rollout_id
        self._ended = threading.Event()
        self._chance = random.Random(7)
        kinds: tuple[Callable[[], None], ...] = (self._table, self._mutants, self._silence)
        self._threads = [threading.Thread(target=self._repeat, args=(kind,)) for kind in kinds]

    def begin(self) -> None:
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(60)

    def _repeat(self, kind: Callable[[], None]) -> None:
        while not self._ended.is_set():
            # A crash of ours is no verdict on the backend, and must not pass for one.
            try:
                kind()
            except Exception as error:  # noqa: BLE001
                self.wrong.append(f"{kind.__name__}: {error!r}")
                return

    def _table(self) -> None:
        for row in nonsense(self._key):
            if self._ended.is_set():
                return
            received = self._ask(row.sent)
            fault = judge(row, received)
            if fault is not None:
                self.wrong.append(f"{row.name}: {fault}")
            time.sleep(_PAUSE)

    def _mutants(self) -> None:
        """Good requests with some of their bytes changed, cut out or doubled."""
        body = json.dumps({"name": "n", "concurrency": 2, "config": {"timeout_seconds": 1}})
        valid = (
            f"POST /v1/pools?limit=3 HTTP/1.1\r\nhost: localhost\r\n"
            f"authorization: Bearer {self._key}\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n{body}"
        ).encode()
        text = bytearray(valid)
        for _ in range(self._chance.randrange(1, 6)):
            at = self._chance.randrange(len(text))
            match self._chance.randrange(3):
                case 0:
                    text[at] = self._chance.randrange(256)
                case 1:
                    del text[at : at + self._chance.randrange(1, 20)]
                case _:
                    text[at:at] = text[at : at + self._chance.randrange(1, 200)]
        received = self._ask(bytes(text))
        if received.startswith(b"HTTP/1.1 500"):
            self.wrong.append(f"mutant {bytes(text)!r}")
        time.sleep(_PAUSE)

    def _silence(self) -> None:
        """Open connections that send half of a request, or read nothing of an answer."""
        stream = (
            f"GET /v1/rollouts/{self._rollout_id}/events HTTP/1.1\r\nhost: localhost\r\n"
            f"authorization: Bearer {self._key}\r\n\r\n"
        ).encode()
        with contextlib.ExitStack() as opened:
            for number in range(_SILENT):
                wire = opened.enter_context(socket.socket())
                wire.settimeout(10)
                wire.connect(("127.0.0.1", self._port))
                wire.sendall(stream if number % 2 else stream[: self._chance.randrange(80)])
            self.statuses["silent"] += _SILENT
            self._ended.wait(5)

    def _ask(self, sent: bytes) -> bytes:
        received = answer_to(self._port, sent)
        self.statuses[received[9:12].decode("ascii", "replace") or "closed"] += 1
        return received
