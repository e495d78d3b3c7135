"""Faults of the sync variant: threads, garbage."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from synth_pools import ContainerPoolsClient
from tests.support.leaks import KEY
from tests.support.recording import Recorded, RecordingServer, Reply
from tests.support.surface import P, R


def test_threads_share_one_client(server: RecordingServer) -> None:
    def answer(request: Recorded) -> Reply:
        return Reply.json({"id": request.path.rpartition("/")[2]})

    server.reply_with(answer)
    ids = [f"pool_{number}" for number in range(400)]
    with (
        ContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=60) as client,
        ThreadPoolExecutor(16) as threads,
    ):
        answers = list(threads.map(client.get_pool, ids))
    assert [answer["id"] for answer in answers] == ids
    # A connection for each thread; an idle one may be too old for its next call.
    assert server.connections <= 32


def test_threads_that_call_first_make_one_pool_of_connections(server: RecordingServer) -> None:
    client = ContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=60)
    together = threading.Barrier(8, timeout=60)

    def first(_: int) -> object:
        together.wait()
        return client._transport._connections.engine()

    with ThreadPoolExecutor(8) as threads:
        assert len(set(threads.map(first, range(8)))) == 1
    client.close()


def test_a_dropped_stream_is_closed(server: RecordingServer) -> None:
    def endless() -> Iterator[bytes]:
        yield b'data: {"sequence": 1}\n\n'
        for _ in range(500):
            time.sleep(0.02)
            yield b": heartbeat\n\n"

    server.reply_with(Reply.live(endless()))
    with ContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=60) as client:
        for event in client.stream_rollout_events(P, R):
            assert event == {"sequence": 1}
            break
        gc.collect()
        assert server.client_left.wait(60)
