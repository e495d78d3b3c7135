"""Notes for a test on a backend that did not answer it in time."""

from __future__ import annotations

import threading

import httpx
import pytest

from tests.support.backend_server import Server
from tests.support.containers import holding_containers
from tests.support.unanswered import waits_of


def test_what_waits_is_told(server: Server) -> None:
    with holding_containers(1) as [holding]:
        pool_id = server.pool(container_url=holding.url)
        creation = threading.Thread(target=server.run, args=(pool_id,))
        creation.start()
        holding.wait_for(1)
        waits = waits_of(server.services.database._loop)
        holding.release()
        creation.join()
    assert "create_rollout:" in waits
    assert "ContainerConnection.receive:" in waits
    assert "Thread synth-pools-store:" in waits


def test_a_request_without_an_answer_tells_what_holds_up_the_loop(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tests.support.unanswered._LOOK_SECONDS", 0.1)
    holds, goes_on = threading.Event(), threading.Event()

    def hold_up() -> None:
        holds.set()
        goes_on.wait()

    server.services.database._loop.call_soon_threadsafe(hold_up)
    assert holds.wait(60)
    try:
        with pytest.raises(httpx.ReadTimeout) as raised:
            server.send("GET", "/health", timeout=0.1)
    finally:
        goes_on.set()
    [note] = raised.value.__notes__
    assert "The event loop has not turned" in note
    assert "in hold_up" in note
