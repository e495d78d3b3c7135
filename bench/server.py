"""Server that costs as little as possible, so that measurements show the client.

    python -m bench.server [CERTIFICATE]

It prints its port, and serves until its input ends; over TLS with a PEM file that has a certificate
and its key.

It understands the requests of well-behaved HTTP clients only, and sends prepared answers.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import sys
from collections.abc import Iterator
from itertools import count
from typing import Any

EVENTS = 10_000
PAGE = 100
POOL_ID = "bench-pool"
# Pool with a stream of events: each of its rollouts ends when it is created.
STREAM_POOL_ID = "stream-pool"
# Rollouts with a long, an idle and a short event stream.
LONG, IDLE, SHORT = "rollout-long", "rollout-idle", "rollout-short"

_NOW = "2026-11-20T09:30:00.250000Z"


def _pool(number: int, filling: int) -> dict[str, Any]:
    name = f"pool-{number}"
    return {
        "id": name,
        "pool_id": name,
        "name": name,
        "target": "arbitrary",
        "backend": "arbitrary",
        "status": "active",
        "state": "active",
        "config": {"timeout_seconds": 600},
        "metadata": {"note": "x" * filling},
        "tasks": [],
        "capacity": 1,
        "concurrency": 8,
        "container_url": None,
        "created_at": _NOW,
        "updated_at": _NOW,
    }


def _rollout(status: str) -> dict[str, Any]:
    return {
        "id": SHORT,
        "rollout_id": SHORT,
        "pool_id": POOL_ID,
        "status": status,
        "state": status,
        "request": {"seed": 1},
        "result": None,
        "metrics": {"outcome_reward": None},
        "error": None,
        "created_at": _NOW,
        "updated_at": _NOW,
    }


def _event(kind: str, sequence: int, rollout_id: str, filling: int = 0) -> bytes:
    envelope = {
        "id": f"evt_{sequence:010}",
        "event": kind,
        "rollout_id": rollout_id,
        "pool_id": POOL_ID,
        "sequence": sequence,
        "timestamp": _NOW,
        "data": {"step": sequence, "text": "x" * filling},
    }
    text = f"id: {envelope['id']}\nevent: {kind}\ndata: {json.dumps(envelope)}\n\n".encode()
    return b"%x\r\n%s\r\n" % (len(text), text)


def _answer(value: Any, status: bytes = b"200 OK") -> bytes:
    body = json.dumps(value).encode()
    head = b"HTTP/1.1 %s\r\ncontent-type: application/json\r\nx-request-id: r\r\n" % status
    return head + b"content-length: %d\r\n\r\n" % len(body) + body


_STREAM_HEAD = (
    b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
)


def _stream(rollout_id: str, agent_events: int, *, ends: bool, filling: int = 0) -> bytes:
    kinds = ["rollout.queued", "rollout.started", *(["agent"] * agent_events)]
    kinds += ["rollout.completed"] if ends else []
    events = [_event(kind, i, rollout_id, filling) for i, kind in enumerate(kinds, 1)]
    return _STREAM_HEAD + b"".join(events) + (b"0\r\n\r\n" if ends else b"")


_PAGE_OF_POOLS = {"items": [_pool(i, 130) for i in range(PAGE)], "next_cursor": None}
_SUMMARY = {**_rollout("completed"), "score": 1.0, "reward": 1.0, "last_event": None, "timing": {}}

_SUMMARY_ANSWER = _answer(_SUMMARY)
_ROLLOUT_ANSWER = _answer(_rollout("completed"))

# Beginnings of request lines, and their answers; the first match counts.
_ANSWERS: tuple[tuple[bytes, bytes], ...] = (
    (b"GET /v1/pools?", _answer(_PAGE_OF_POOLS)),
    (b"POST /v1/pools ", _answer(_pool(1, 550), b"201 Created")),
    (b"POST /v1/pools/", _answer(_rollout("queued"), b"202 Accepted")),
    (
        f"GET /v1/pools/{POOL_ID}/rollouts/{LONG}/events".encode(),
        _stream(LONG, EVENTS - 3, ends=True, filling=60),
    ),
    (f"GET /v1/pools/{POOL_ID}/rollouts/{IDLE}/events".encode(), _stream(IDLE, 0, ends=False)),
    (f"GET /v1/pools/{POOL_ID}/rollouts/{SHORT}/events".encode(), _stream(SHORT, 0, ends=True)),
    (f"GET /v1/pools/{POOL_ID}/rollouts/{SHORT}/summary".encode(), _SUMMARY_ANSWER),
    (f"GET /v1/pools/{POOL_ID}/rollouts/{SHORT} ".encode(), _ROLLOUT_ANSWER),
    (b"GET /v1/pools/", _answer(_pool(1, 550))),
)
_STREAM_POOL = f"/v1/pools/{STREAM_POOL_ID}".encode()
_NOT_FOUND = _answer({"detail": "not part of the benchmark"}, b"404 Not Found")


_created = count(1)
_ID = re.compile(rb"/rollouts/(rollout-\d{5})\b")


def _answer_to(head: bytes) -> bytes:
    """Return the answer for a pool without a stream; each rollout has an id of its own."""
    rollout_id = SHORT.encode()
    if head.startswith(b"POST /v1/pools/"):
        rollout_id = _next_id(_created)
    elif match := _ID.search(head):
        rollout_id = match[1]
        head = head.replace(rollout_id, SHORT.encode())
    for beginning, answer in _ANSWERS:
        if head.startswith(beginning):
            # As long as the other one.
            return answer.replace(SHORT.encode(), rollout_id)
    return _NOT_FOUND


def _next_id(numbers: Iterator[int]) -> bytes:
    return b"rollout-%05d" % (next(numbers) % 100_000)


class _StreamPool:
    """Pool with a stream of events."""

    def __init__(self) -> None:
        self.readers: set[asyncio.Transport] = set()
        self._created = count(1)
        self._admitted = _answer(_rollout("queued"), b"202 Accepted")
        self._ended = _event("rollout.completed", 3, SHORT)

    def answer(self, head: bytes, transport: asyncio.Transport) -> None:
        """Answer a request for the pool."""
        if head.startswith(b"POST"):
            rollout_id = _next_id(self._created)
            transport.write(self._admitted.replace(SHORT.encode(), rollout_id))
            event = self._ended.replace(SHORT.encode(), rollout_id)
            for reader in self.readers:
                if not reader.is_closing():
                    reader.write(event)
        elif head.split(b"?", 1)[0].endswith(b"/events"):
            self.readers.add(transport)
            transport.write(_STREAM_HEAD + b"7\r\nid: 0\n\n\r\n")
        else:
            is_summary = head.split(b" ", 2)[1].endswith(b"/summary")
            transport.write(_SUMMARY_ANSWER if is_summary else _ROLLOUT_ANSWER)


class _Connection(asyncio.Protocol):
    stream_pool = _StreamPool()

    def __init__(self) -> None:
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, error: Exception | None) -> None:
        del error
        self.stream_pool.readers.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        while True:
            head, end, rest = self._received.partition(b"\r\n\r\n")
            if not end:
                return
            length = 0
            if not head.startswith(b"GET"):
                _, name, value = head.lower().partition(b"content-length:")
                length = int(value.split(b"\r\n", 1)[0]) if name else 0
            if len(rest) < length:
                return
            self._received = rest[length:]
            if head.split(b" ", 2)[1].startswith(_STREAM_POOL):
                self.stream_pool.answer(head, self._transport)
                continue
            self._transport.write(_answer_to(head))


async def _serve(certificate: str | None = None) -> None:
    context = None
    if certificate is not None:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(certificate)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(_Connection, "127.0.0.1", 0, backlog=1024, ssl=context)
    print(server.sockets[0].getsockname()[1], flush=True)
    # The pipe ends with the process that started the server.
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve(*sys.argv[1:]))
