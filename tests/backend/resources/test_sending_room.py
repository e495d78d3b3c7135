"""Large responses: pages of limited size, and clients that do not read theirs."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from synth_pools.backend.resources import sending_room
from synth_pools.backend.resources.byte_budget import Reservation
from synth_pools.backend.storage import events
from synth_pools.backend.storage.database import Transaction
from synth_pools.backend.storage.rollouts import find_rollout
from tests.support.backend_server import KEY, Server, eventually
from tests.support.containers import http, odd_container

PAD = "x" * 300_000


def pools_of(server: Server, number: int) -> list[str]:
    return [server.pool(metadata={"pad": PAD}) for _ in range(number)]


@contextlib.contextmanager
def deaf_client(server: Server, path: str) -> Iterator[socket.socket]:
    """Ask for something, with little room on our side, and read nothing of it."""
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.settimeout(60)
        connection.connect(("127.0.0.1", server.port))
        head = f"GET {path} HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {KEY}\r\n\r\n"
        connection.sendall(head.encode())
        yield connection


def rest_of(connection: socket.socket) -> int:
    received = 0
    with contextlib.suppress(ConnectionError):
        while piece := connection.recv(65536):
            received += len(piece)
    return received


def test_a_page_ends_early_by_its_bytes_and_loses_nothing(start: Callable[..., Server]) -> None:
    backend = start(max_page_bytes=1_000_000)
    ids = pools_of(backend, 7)
    listed: list[str] = []
    query: dict[str, Any] = {"limit": 1000}
    headers = {"prefer": "return=minimal"}
    while True:
        response = backend.send("GET", "/v1/pools", params=query, headers=headers)
        page = response.json()
        listed += [item["id"] for item in page["items"]]
        assert len(response.content) <= 1_000_000
        if page["next_cursor"] is None:
            break
        query["cursor"] = page["next_cursor"]
    assert listed == ids[::-1]
    eventually(lambda: backend.services.sending_room.budget.taken == 0)


def test_one_item_larger_than_a_page_is_a_page(start: Callable[..., Server]) -> None:
    backend = start(max_page_bytes=100_000, max_unsent_bytes=100_000)
    pool_id = backend.pool()
    rollout = backend.run(pool_id, params={"pad": PAD}, env={"events": 0})
    backend.run(pool_id)
    path = f"/v1/pools/{pool_id}/rollouts"
    first = backend.get(path)
    [large] = backend.get(path, params={"cursor": first["next_cursor"]})["items"]
    assert large == rollout == backend.get(f"/v1/rollouts/{rollout['id']}")


def test_clients_that_do_not_read_are_cut_where_others_wait(start: Callable[..., Server]) -> None:
    backend = start(
        max_unsent_bytes=5_000_000,
        write_timeout_seconds=120,
        room_wait_seconds=60,
        validate_responses=False,
    )
    pool_id = backend.pool(metadata={"pad": "x" * 2_400_000})
    path = f"/v1/pools/{pool_id}"
    with deaf_client(backend, path) as first, deaf_client(backend, path) as second:
        eventually(lambda: backend.services.sending_room.budget.taken > 4_000_000)
        # Small answers need no room.
        backend.get("/v1/queue/status")
        # Each of these waits until one of the two is cut, and all of them are served.
        with ThreadPoolExecutor(4) as threads:
            answers = list(threads.map(lambda _: backend.get(path), range(4)))
        assert {len(answer["metadata"]["pad"]) for answer in answers} == {2_400_000}
        assert min(rest_of(first), rest_of(second)) < 2_400_000
    eventually(lambda: backend.services.sending_room.budget.taken == 0)


@pytest.mark.system
def test_one_that_reads_slowly_is_not_cut(
    start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending_room, "_STALLED_SECONDS", 5.0)
    backend = start(max_unsent_bytes=3_000_000, room_wait_seconds=60, validate_responses=False)
    pool_id = backend.pool(metadata={"pad": "x" * 2_400_000})
    path = f"/v1/pools/{pool_id}"
    with deaf_client(backend, path) as slow, ThreadPoolExecutor(1) as threads:
        eventually(lambda: backend.services.sending_room.budget.taken > 2_000_000)
        waiting = threads.submit(backend.get, path)
        received = 0
        while received < 2_400_000:
            received += len(slow.recv(65536))
            time.sleep(0.005)
        assert len(waiting.result()["metadata"]["pad"]) == 2_400_000


def test_where_there_is_no_room_in_time_it_says_so(start: Callable[..., Server]) -> None:
    backend = start(max_unsent_bytes=1_000_000, room_wait_seconds=0.2)
    pool_id = backend.pool(metadata={"pad": PAD})
    rollout_id = backend.run(backend.pool())["id"]
    reservation = hold(backend, 1_000_000)
    bundle = f"/v1/rollouts/{rollout_id}/support_bundle"
    for path in (f"/v1/pools/{pool_id}", "/v1/pools", bundle):
        refused = backend.refused("GET", path, 503, "no_room")
        assert refused["error"]["retry_after_ms"] == 5000
    reservation.release()
    assert backend.get(f"/v1/pools/{pool_id}")["metadata"]["pad"] == PAD


def hold(server: Server, size: int) -> Reservation:
    """Take room of a backend for as long as the test likes."""
    loop: Any = server.services.database._loop
    reserving = server.services.sending_room.budget.reserve(size)
    return asyncio.run_coroutine_threadsafe(reserving, loop).result(60)


def random_text(size: int) -> str:
    """Make a text that no compressor makes much shorter."""
    return base64.b64encode(os.urandom(size * 3 // 4)).decode()


def large_rollout(server: Server) -> str:
    """Run a rollout with a large answer, and contents of artifacts in it and as a file."""
    artifacts = [{"name": f"{number}.txt", "content": random_text(4000)} for number in range(300)]
    artifacts.append({"name": "large", "content": random_text(5_000_000)})
    body = {"reward": 1, "artifact": artifacts, "pad": random_text(4_000_000)}
    with odd_container(
        lambda request: http(200, body) if request.body else http(404, {})
    ) as container:
        rollout = server.run(server.pool(container_url=container.url))
    return f"/v1/rollouts/{rollout['id']}"


def with_large_events(server: Server) -> str:
    """Start a rollout that has told five megabytes."""
    rollout = server.rollout(server.pool(), env={"delay": 600})
    services = server.services

    def tell(tx: Transaction) -> None:
        row = find_rollout(tx, rollout["id"])
        data = json.dumps({"text": "x" * 100_000})
        for _ in range(50):
            events.append(tx, row["seq"], events.AGENT, row["created_at"], [data])

    loop: Any = services.database._loop
    asyncio.run_coroutine_threadsafe(services.database.write(tell), loop).result(60)
    return f"/v1/rollouts/{rollout['id']}"


def test_a_stream_without_room_ends_early_and_can_be_gone_on_with(
    start: Callable[..., Server],
) -> None:
    backend = start(max_unsent_bytes=1_000_000, room_wait_seconds=0.2)
    path = f"{with_large_events(backend)}/events"
    reservation = hold(backend, 1_000_000)
    # Its first piece is large.
    response = backend.send("GET", path)
    assert (response.status_code, response.content) == (200, b"")
    reservation.release()
    ids: list[str] = []
    while len(ids) < 40:
        before = len(ids)
        # It ends early once more where this reader has to wait for a processor.
        headers = {"last-event-id": ids[-1]} if ids else {}
        with backend.http.stream("GET", path, headers=headers) as response:
            for line in itertools.islice(response.iter_lines(), 4 * (40 - before)):
                ids += [line[4:]] if line.startswith("id: ") else []
        assert len(ids) > before
    assert ids == [f"evt_{number:010d}" for number in range(1, 41)]
    eventually(lambda: backend.services.sending_room.budget.taken == 0)


@pytest.mark.system
def test_downloads_and_streams_of_deaf_clients_hold_what_is_counted(
    start: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sending_room, "_STALLED_SECONDS", 0.3)
    most = 20_000_000
    backend = start(
        max_unsent_bytes=most,
        room_wait_seconds=60,
        write_timeout_seconds=60,
        validate_responses=False,
    )
    path, running = large_rollout(backend), with_large_events(backend)
    content = backend.send("GET", f"{path}/artifacts/large").content
    room = backend.services.sending_room

    def is_stuck() -> bool:
        return any(time.monotonic() - sending.moved_at > 0.3 for sending in list(room._sending))

    reserved = {}
    for suffix in ("artifacts/large", "artifacts.zip", "support_bundle", "events"):
        with deaf_client(backend, f"{running if suffix == 'events' else path}/{suffix}") as deaf:
            eventually(is_stuck)
            reserved[suffix] = room.budget.taken
            rest = hold(backend, most - reserved[suffix] - 200_000)
            # This waits until the other one is cut, and is whole.
            assert backend.send("GET", f"{path}/artifacts/large").content == content
            assert rest_of(deaf) < 4_000_000
            rest.release()
        eventually(lambda: room.budget.taken == 0)
    # An archive reserves memory for the contents within the result, a single file does not.
    assert 250_000 < reserved["artifacts/large"] < 300_000
    assert 1_200_000 < reserved["artifacts.zip"] < 3_000_000
    assert 3_000_000 < reserved["support_bundle"] < 5_000_000
    assert 100_000 < reserved["events"] < 101_000


def test_deaf_clients_cost_little_memory_each(start: Callable[..., Server]) -> None:
    backend = start(max_unsent_bytes=1_000_000, room_wait_seconds=60, validate_responses=False)
    pools_of(backend, 3)
    with contextlib.ExitStack() as opened:
        for _ in range(12):
            opened.enter_context(deaf_client(backend, "/v1/pools"))
        budget = backend.services.sending_room.budget
        eventually(lambda: budget.waiting >= 10)
        assert budget.taken <= 1_000_000
        # Others are served meanwhile.
        assert httpx.get(f"{backend.url}/health").status_code == 200
