"""Calls of a model through the relay, next to the server of the model alone.

`python -m bench.relay --write PAGE` has the server, the relay and the caller in a process each. The
processor time is that of the relay's process; the first byte is the caller's, of streams whose
events come every few milliseconds.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import multiprocessing
import os
import platform
import statistics
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil

from synth_pools.container import Trajectory
from synth_pools.relay import ModelRelay, RelaySession, relay_server

_CALLS = 2_000
_STREAMS = 200
_EVENTS = (20, 200)
_EVENT_SECONDS = 0.002
_AT_A_TIME = (1, 50)
_PROCESSES = multiprocessing.get_context("spawn")
_PAGE = """\
# The relay next to the server of the model alone

`make bench-relay` calls a server that answers at once, alone and through the
[relay](../write-a-container.md#calls-of-a-model): a conversation of ten messages, 4 kB, whose
answer has 200 token ids and log-probabilities that the caller has not asked for. Each has a process
of its own; the processor time is that of the relay's, with all that it records. The events of a
stream come every two milliseconds, a token in each; where they have its id and log-probability,
these are recorded and cut out.

{table}

{machine}.
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.relay", description=__doc__)
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the page there")
    options = parser.parse_args()
    table = _table()
    print(table)
    if options.write is not None:
        load = os.getloadavg()[0]
        machine = f"{datetime.now(UTC):%d %B %Y}, {os.cpu_count()} processors with a load of "
        machine += f"{load:.0f}, Python {platform.python_version()}, {platform.system()}"
        options.write.write_text(_PAGE.format(table=table, machine=machine))


def _table() -> str:
    with _process(_serve_model) as (_, upstream), _process(_serve_relay, upstream) as (pid, relay):
        rows = []
        for count in _AT_A_TIME:
            relay_ms = _processor_ms(pid, relay, count)
            label = "1 call" if count == 1 else f"{count} calls"
            rows.append(
                (f"processor time a call, {label} at a time", f"{relay_ms:.2f} ms", "≤ 2 ms")
            )
        for count in _EVENTS:
            for has_ids in (False, True):
                stream_ms = _processor_ms(pid, relay, 10, _body(count, ids=has_ids), _STREAMS)
                label = f"a stream of {count} events, {'with' if has_ids else 'without'} ids"
                floor = "≤ 2 ms" if count == _EVENTS[0] else ""
                rows.append((f"processor time of {label}", f"{stream_ms:.2f} ms", floor))
        alone, through = _first_bytes(upstream, relay)
        rows.append(("first byte of a stream, alone", f"{alone:.2f} ms", ""))
        rows.append(
            ("first byte of a stream, through the relay", f"{through:.2f} ms", "≤ 1 ms more")
        )
    lines = [f"| {name} | {value} | {floor} |" for name, value, floor in rows]
    return "\n".join(["| | measured | floor |", "|---|---|---|", *lines])


def _body(events: int = 0, *, ids: bool = True) -> bytes:
    """Return a call, with the number of events that its answer streams."""
    roles = ("user", "assistant")
    messages = [{"role": roles[number % 2], "content": "words " * 65} for number in range(10)]
    body = {"model": "m", "messages": messages, "stream": bool(events)}
    return json.dumps({**body, "events": events, "ids": ids}).encode()


async def _call(url: str, body: bytes, count: int) -> list[float]:
    """Make calls on one connection; return the seconds until the first event of each."""
    place, _, path = url.removeprefix("http://").partition("/")
    host, _, port = place.partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    head = (
        f"POST /{path}/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    times = []
    for _ in range(count):
        start = time.perf_counter()
        writer.write(head.encode() + body)
        answer = await reader.readuntil(b"\r\n\r\n")
        if b"chunked" in answer.lower():
            await reader.readuntil(b"\n\n")
            times.append(time.perf_counter() - start)
            await reader.readuntil(b"\r\n0\r\n\r\n")
        else:
            length = answer.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
            await reader.readexactly(int(length))
    writer.close()
    return times


def _processor_ms(
    pid: int, url: str, at_a_time: int, body: bytes = b"", total: int = _CALLS
) -> float:
    body = body or _body()

    async def call_all(count: int) -> None:
        await asyncio.gather(*(_call(url, body, count // at_a_time) for _ in range(at_a_time)))

    asyncio.run(call_all(total // 10))
    process = psutil.Process(pid)
    before = process.cpu_times()
    asyncio.run(call_all(total))
    after = process.cpu_times()
    return 1000 * (after.user - before.user + after.system - before.system) / total


def _first_bytes(upstream: str, relay: str) -> tuple[float, float]:
    body = _body(_EVENTS[0])
    times: dict[str, list[float]] = {upstream: [], relay: []}
    for _ in range(_STREAMS // 10):
        for url in times:
            times[url] += asyncio.run(_call(url, body, 10))
    return 1000 * statistics.median(times[upstream]), 1000 * statistics.median(times[relay])


@contextlib.contextmanager
def _process(target: Any, *arguments: object) -> Iterator[tuple[int, str]]:
    receiving, sending = _PROCESSES.Pipe()
    process = _PROCESSES.Process(target=target, args=(sending, *arguments))
    process.start()
    try:
        yield process.pid or 0, receiving.recv()
    finally:
        process.terminate()
        process.join(10)


def _serve_model(ready: Connection) -> None:
    message = {"role": "assistant", "content": "word " * 200}
    tokens = [{"token": "word", "logprob": -0.5, "bytes": [1, 2], "top_logprobs": []}] * 200
    choice = {"index": 0, "message": message, "logprobs": {"content": tokens}}
    choice |= {"token_ids": list(range(200)), "finish_reason": "stop"}
    usage = {"prompt_tokens": 650, "completion_tokens": 200}
    value = {"id": "c", "model": "m", "choices": [choice], "usage": usage}
    body = json.dumps({**value, "prompt_token_ids": list(range(650))}).encode()
    plain = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n"
    plain = plain % len(body) + body
    head_fields = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    part: dict[str, Any] = {"index": 0, "delta": {"content": "word "}, "finish_reason": None}
    with_ids = {**part, "logprobs": {"content": tokens[:1]}, "token_ids": [1]}
    events = {
        ids: [
            b"data: " + json.dumps(value).encode() + b"\n\n"
            for value in (
                {**head_fields, "choices": [choice]},
                {**head_fields, "choices": [], "usage": usage},
            )
        ]
        for ids, choice in ((False, {**part, "logprobs": None}), (True, with_ids))
    }
    head = (
        b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    )

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError):
            while True:
                request = await reader.readuntil(b"\r\n\r\n")
                length = request.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0]
                content = await reader.readexactly(int(length))
                if b'"stream": true' not in content:
                    writer.write(plain)
                    continue
                writer.write(head)
                request_body = json.loads(content)
                event, last = events[request_body["ids"]]
                for part in [event] * request_body["events"] + [last, b"data: [DONE]\n\n"]:
                    writer.write(b"%x\r\n%b\r\n" % (len(part), part))
                    await asyncio.sleep(_EVENT_SECONDS)
                writer.write(b"0\r\n\r\n")

    async def serve() -> None:
        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        ready.send(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1")
        await server.serve_forever()

    asyncio.run(serve())


def _serve_relay(ready: Connection, upstream: str) -> None:
    async def serve() -> None:
        relay = ModelRelay()
        async with relay_server(relay) as address:
            session = RelaySession(relay.upstream(upstream, None), Trajectory())
            relay.open(session)
            ready.send(f"{address}/r/{session.token}/v1")
            await asyncio.Event().wait()

    asyncio.run(serve())


if __name__ == "__main__":
    main()
