"""Number, use and end of connections."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from types import ModuleType

import pytest

from synth_pools import APIStatusError, AsyncContainerPoolsClient, ClientClosedError
from tests.support import faults
from tests.support.fault_server import FaultServer, Seen
from tests.support.leaks import KEY
from tests.support.surface import P

ONE = b'id: 1\nevent: agent\ndata: {"event": "agent", "sequence": 1}\n\n'
STREAMS = 300


def answering(request: Seen) -> faults.Fault:
    return (
        faults.events([ONE], end="stall") if request.path.endswith("/events") else faults.answer()
    )


@pytest.fixture
def many_files() -> Iterator[None]:
    """Both ends of hundreds of connections are open in this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = 2 * STREAMS + 500
    if soft != resource.RLIM_INFINITY and soft < limit:
        resource.setrlimit(resource.RLIMIT_NOFILE, (limit, hard))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.system
@pytest.mark.keeps_connections
@pytest.mark.usefixtures("many_files")
async def test_hundreds_of_open_streams_starve_nothing(server: FaultServer) -> None:
    server.play(choose=answering)
    async with AsyncContainerPoolsClient(
        api_key=KEY, base_url=server.url, timeout=60, max_retries=0
    ) as client:
        streams = [client.stream_rollout_events(P, f"r{number}") for number in range(STREAMS)]
        for stream in streams:
            assert (await stream.__anext__())["sequence"] == 1
        assert server.open_connections == STREAMS
        for _ in range(20):
            assert await client.get_pool(P) == {"ok": True}
        assert server.open_connections == STREAMS + 1
        for stream in streams:
            await stream.aclose()
        server.wait_until(lambda: server.open_connections <= 1)


@pytest.mark.keeps_connections
async def test_calls_use_one_connection_after_all_that_can_go_wrong(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    server.play([faults.answer({}, status) for status in (404, 429, 500, 503)] + [faults.answer()])
    view = client.with_options(max_retries=0)
    for _ in range(4):
        with pytest.raises(Exception, match="GET /v1/pools"):
            await view.get_pool(P)
    for _ in range(20):
        await view.get_pool(P)
    assert server.connections == 1


async def test_a_callers_own_client_sends_all_attempts_and_stays_open(
    server: FaultServer, supplied: ModuleType
) -> None:
    server.play([faults.reset(), faults.answer(), faults.redirect("http://127.0.0.1:1/")])
    async with supplied.AsyncClient(headers={"X-Gate": "open"}, follow_redirects=True) as http:
        async with AsyncContainerPoolsClient(
            api_key=KEY, base_url=server.url, http_client=http
        ) as client:
            view = client.with_options(headers={"X-Own": "1"}, deadline=20)
            assert await view.get_pool(P) == {"ok": True}
            with pytest.raises(APIStatusError, match="redirects are not followed"):
                await view.get_pool(P)
        assert not http.is_closed
        with pytest.raises(ClientClosedError):
            await view.get_pool(P)
    assert len(server.requests) == 3
    for request in server.requests:
        assert request.headers["x-gate"] == "open"
        assert request.headers["x-own"] == "1"
        assert request.headers["user-agent"].startswith("synth-pools/")


@pytest.mark.keeps_connections
async def test_closing_ends_all_connections(server: FaultServer) -> None:
    server.play(choose=answering)
    client = AsyncContainerPoolsClient(api_key=KEY, base_url=server.url)
    stream = client.stream_rollout_events(P, "r")
    await stream.__anext__()
    await client.get_pool(P)
    assert server.open_connections == 2
    await client.aclose()
    await client.aclose()
    server.wait_until(lambda: server.open_connections == 0)
    with pytest.raises(ClientClosedError):
        await client.get_pool(P)
    with pytest.raises(ClientClosedError):
        await client.stream_rollout_events(P, "r").__anext__()


async def test_closing_between_two_attempts(
    server: FaultServer, client: AsyncContainerPoolsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def close(_: float) -> None:
        await client.aclose()

    monkeypatch.setattr(client._transport, "sleep", close)
    server.play(faults.reset())
    with pytest.raises(ClientClosedError):
        await client.get_pool(P)
    assert len(server.requests) == 1
