# Derived by `make generate`. Change the file that it comes from:
# tests/client/async_/test_transport.py

"""Connections: how many, for what, and what becomes of them."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from types import ModuleType

import pytest

from synth_pools import APIStatusError, ClientClosedError, ContainerPoolsClient
from tests.support import faults
from tests.support.fault_server import FaultServer, Seen
from tests.support.leaks import KEY
from tests.support.surface import P

ONE = b'id: 1\nevent: agent\ndata: {"event": "agent", "sequence": 1}\n\n'
STREAMS = 300


def answering(seen: Seen) -> faults.Fault:
    return faults.events([ONE], end="stall") if seen.path.endswith("/events") else faults.answer()


@pytest.fixture
def many_files() -> Iterator[None]:
    """Both ends of hundreds of connections are open in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * STREAMS + 500
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.usefixtures("many_files")
def test_hundreds_of_open_streams_starve_nothing(server: FaultServer) -> None:
    server.play(choose=answering)
    with ContainerPoolsClient(
        api_key=KEY, base_url=server.url, timeout=20, max_retries=0
    ) as client:
        streams = [client.stream_rollout_events(P, f"r{number}") for number in range(STREAMS)]
        for stream in streams:
            assert (stream.__next__())["sequence"] == 1
        assert server.open_connections == STREAMS
        for _ in range(20):
            assert client.get_pool(P) == {"ok": True}
        assert server.open_connections == STREAMS + 1
        for stream in streams:
            stream.close()
        server.wait_until(lambda: server.open_connections <= 1)


def test_calls_use_one_connection_after_all_that_can_go_wrong(
    server: FaultServer, client: ContainerPoolsClient
) -> None:
    server.play([faults.answer({}, status) for status in (404, 429, 500, 503)] + [faults.answer()])
    view = client.with_options(max_retries=0)
    for _ in range(4):
        with pytest.raises(Exception, match="GET /v1/pools"):
            view.get_pool(P)
    for _ in range(20):
        view.get_pool(P)
    assert server.connections == 1


def test_a_callers_own_client_sends_all_attempts_and_stays_open(
    server: FaultServer, supplied: ModuleType
) -> None:
    server.play([faults.reset(), faults.answer(), faults.redirect("/v1/elsewhere")])
    with supplied.Client(headers={"X-Gate": "open"}, follow_redirects=True) as http:
        with ContainerPoolsClient(api_key=KEY, base_url=server.url, http_client=http) as client:
            view = client.with_options(headers={"X-Own": "1"}, deadline=20)
            assert view.get_pool(P) == {"ok": True}
            with pytest.raises(APIStatusError, match="redirects are not followed"):
                view.get_pool(P)
        assert not http.is_closed
        with pytest.raises(ClientClosedError):
            view.get_pool(P)
    assert len(server.requests) == 3
    for request in server.requests:
        assert request.headers["x-gate"] == "open"
        assert request.headers["x-own"] == "1"
        assert request.headers["user-agent"].startswith("synth-pools/")


def test_closing_ends_all_connections(server: FaultServer) -> None:
    server.play(choose=answering)
    client = ContainerPoolsClient(api_key=KEY, base_url=server.url)
    stream = client.stream_rollout_events(P, "r")
    stream.__next__()
    client.get_pool(P)
    assert server.open_connections == 2
    client.close()
    client.close()
    server.wait_until(lambda: server.open_connections == 0)
    with pytest.raises(ClientClosedError):
        client.get_pool(P)
    with pytest.raises(ClientClosedError):
        client.stream_rollout_events(P, "r").__next__()


def test_closing_between_two_attempts(
    server: FaultServer, client: ContainerPoolsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    def close(_: float) -> None:
        client.close()

    monkeypatch.setattr(client._transport, "sleep", close)
    server.play(faults.reset())
    with pytest.raises(ClientClosedError):
        client.get_pool(P)
    assert len(server.requests) == 1
