"""`with_options`: another view of the same client."""

from __future__ import annotations

import sys
from types import FrameType
from typing import Any

import httpx
import pytest

from synth_pools import (
    APITimeoutError,
    AsyncContainerPoolsClient,
    AsyncSynthClient,
    ClientClosedError,
    ConfigurationError,
)
from tests.support import faults
from tests.support.fault_server import FaultServer
from tests.support.leaks import KEY, holders
from tests.support.surface import CALLS, Call, P, R
from tests.support.variants import OTHER_VARIANT

pytestmark = pytest.mark.one_library


async def make_call(client: AsyncContainerPoolsClient, call: Call) -> Any:
    if call.is_stream:
        return [event async for event in call.on(client)]
    return await call.on(client)


def has_stream(target: str) -> bool:
    return target.partition("?")[0].endswith("/events")


def answering(request: Any) -> faults.Fault:
    if has_stream(request.target):
        return faults.events([b'data: {"event": "rollout.completed"}\n\n'])
    return faults.answer()


async def test_every_name_works_on_a_view(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    server.play(choose=answering)
    view = client.with_options(headers={"X-Trace": "t-1"}, timeout=7)
    assert type(view) is type(client)
    assert view.timeout == 7
    used = set()
    for call in CALLS:
        server.requests.clear()
        expected = await make_call(client, call)
        result = await make_call(view, call)
        assert result == expected, str(call)
        plain, marked = server.requests
        assert marked.target == plain.target, str(call)
        assert "x-trace" not in plain.headers, str(call)
        assert marked.headers["x-trace"] == "t-1", str(call)
        assert marked.headers["authorization"] == f"Bearer {KEY}"
        used |= set() if call.is_stream else {plain.connection, marked.connection}
    assert len(used) == 1


async def test_a_view_of_the_front_doors_client(server: FaultServer) -> None:
    async with AsyncSynthClient(api_key=KEY, base_url=server.url) as front_door:
        assert await front_door.pools.with_options(deadline=9).get_pool(P) == {"ok": True}


async def test_typed_access_goes_through_the_view_as_well(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    server.play(faults.answer({"targets": [], "features": {}, "version": "1"}))
    await client.with_options(headers={"X-Trace": "t"}).api.service.get_capabilities()
    assert server.requests[0].headers["x-trace"] == "t"


async def test_what_is_not_named_stays(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    first = client.with_options(deadline=50, headers={"A": "1", "B": "2"}, max_retries=7)
    second = first.with_options(headers={"a": "3"}, timeout=80)
    config = second._config
    assert (config.deadline, config.timeout, config.max_retries) == (50, 80, 7)
    await second.get_pool(P)
    headers = server.requests[0].headers
    assert (headers["a"], headers["b"]) == ("3", "2")
    assert second.with_options(deadline=None)._config.deadline is None
    assert second.with_options(headers=None)._config.headers == ()
    assert (client._config.deadline, client.timeout) == (None, 60)
    await client.get_pool(P)
    assert "b" not in server.requests[1].headers


async def test_views_share_connections_and_close_together(server: FaultServer) -> None:
    client = AsyncContainerPoolsClient(api_key=KEY, base_url=server.url)
    view = client.with_options(max_retries=0)
    for _ in range(5):
        await client.get_pool(P)
        await view.get_pool(P)
    assert server.connections == 1
    async with view.with_options(timeout=3) as third:
        await third.get_pool(P)
    for closed in (client, view, third):
        assert closed.is_closed
        with pytest.raises(ClientClosedError):
            await closed.get_pool(P)


async def test_a_view_costs_next_to_nothing(client: AsyncContainerPoolsClient) -> None:
    client.with_options(deadline=1)
    calls: list[str] = []

    def count(frame: FrameType, event: str, _: Any) -> None:
        calls.extend([frame.f_code.co_name] if event == "call" else [])

    sys.setprofile(count)
    view = client.with_options(deadline=2)
    sys.setprofile(None)
    assert view._transport._connections is client._transport._connections
    assert 0 < len(calls) < 400, calls


async def test_a_subclass_stays_what_it_is(server: FaultServer) -> None:
    class Own(AsyncContainerPoolsClient):
        note = "class"

    client = Own(api_key=KEY, base_url=server.url)
    client.note = "mine"
    view = client.with_options(timeout=1)
    assert type(view) is Own
    assert view.note == "mine"
    assert view.rollouts is not client.rollouts
    assert view.raw is view
    await client.aclose()


async def test_the_other_variant_takes_over_the_options(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    other_client = OTHER_VARIANT[AsyncContainerPoolsClient](
        client.with_options(deadline=4, max_retries=1)
    )
    assert (other_client._config.deadline, other_client._config.max_retries) == (4, 1)


async def test_views_show_neither_the_key_nor_headers(client: AsyncContainerPoolsClient) -> None:
    view = client.with_options(headers={"X-Secret": "hush"})
    assert "hush" not in repr(view)
    assert "hush" not in repr(view._config)
    assert holders(view) == []


async def test_the_user_agent_is_ours_unless_it_is_set(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    await client.get_pool(P)
    await client.with_options(headers={"user-agent": "mine/1"}).get_pool(P)
    agents = [request.headers["user-agent"] for request in server.requests]
    assert agents[0].startswith("synth-pools/")
    assert agents[1] == "mine/1"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"timeout": 0}, "timeout must be a positive"),
    ({"timeout": -1}, "timeout must be a positive"),
    ({"timeout": float("nan")}, "timeout must be a positive"),
    ({"timeout": httpx.Timeout(5, read=0)}, "timeout.read must be a positive"),
    ({"timeout": "5"}, "timeout must be a number"),
    ({"max_retries": -1}, "max_retries must be 0 or more"),
    ({"max_retries": 1.5}, "max_retries must be an integer"),
    ({"max_retries": True}, "max_retries must be an integer"),
    ({"deadline": 0}, "deadline must be a positive"),
    ({"deadline": float("inf")}, "deadline must be a positive"),
    ({"deadline": "soon"}, "deadline must be a number"),
    ({"stream_idle_timeout": 0}, "stream_idle_timeout must be"),
    ({"stream_idle_timeout": None}, "stream_idle_timeout must be"),
    ({"headers": [("a", "b")]}, "headers must be a mapping"),
    ({"headers": {"a": 1}}, "headers must have strings"),
    ({"headers": {"": "x"}}, "headers must have names"),
    ({"headers": {"a b": "x"}}, "headers must have names"),
    ({"headers": {"a": "x\r\nEvil: 1"}}, "printable ASCII"),
    ({"headers": {"ä": "x"}}, "printable ASCII"),
    ({"headers": {"Authorization": "Bearer hush"}}, "must not hold 'Authorization'"),
    ({"headers": {"host": "elsewhere"}}, "must not hold 'host'"),
    ({"headers": {"Content-Length": "1"}}, "must not hold 'Content-Length'"),
    ({"headers": {"Idempotency-Key": "x"}}, "use idempotency_key"),
]


@pytest.mark.parametrize(("options", "message"), WRONG, ids=lambda value: str(value)[:40])
def test_what_cannot_be_meant_is_refused(
    server: FaultServer, client: AsyncContainerPoolsClient, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message) as caught:
        client.with_options(**options)
    assert "hush" not in str(caught.value)
    assert server.connections == 0
    if "headers" not in options:
        with pytest.raises(ConfigurationError, match=message):
            AsyncContainerPoolsClient(api_key=KEY, **options)


def test_hooks_must_be_callable() -> None:
    for name in ("on_request", "on_response"):
        settings: dict[str, Any] = {name: 7}
        with pytest.raises(ConfigurationError, match=f"{name} must be callable"):
            AsyncContainerPoolsClient(api_key=KEY, **settings)


async def test_the_silence_of_a_stream_is_an_option(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    server.play(faults.stall())
    view = client.with_options(stream_idle_timeout=0.2, max_retries=0)
    with pytest.raises(APITimeoutError, match=r"0\.2 s"):
        await view.stream_rollout_events(P, R).__anext__()
