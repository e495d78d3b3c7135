"""Streams and waits whose last event gets lost, and waits whose streams alone are refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from synth_pools import AsyncContainerPoolsClient, ServerError, StreamBrokenError
from synth_pools._client._async import event_stream
from tests.support.event_service import KINDS, EventService
from tests.support.fault_server import FaultServer, Seen
from tests.support.faults import Fault, answer, close, events, html, reset
from tests.support.leaks import KEY

pytestmark = pytest.mark.one_library

P, R = "pool_1", "rollout_1"
BEATS = [b": here\n\n"] * 10_000


@pytest.fixture
def short_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have streams doubt a silence after a twentieth of a second in place of a minute."""
    monkeypatch.setattr(event_stream, "_LOOK_SECONDS", 0.05)


def losing(service: EventService, count: int) -> Fault:
    """The stream of a service up to an event, then only heartbeats."""
    service.status = "completed"
    end = service.encoded(0).find(service.encoded(count))
    return events([service.encoded(0)[:end], *BEATS], pause=0.01)


@pytest.mark.usefixtures("short_minutes")
@pytest.mark.parametrize("ids", ["stream", "envelope", ""])
@pytest.mark.parametrize("count", [0, 3, 5])
async def test_a_stream_that_loses_its_end_is_resumed(
    server: FaultServer, client: AsyncContainerPoolsClient, ids: str, count: int
) -> None:
    service = EventService(ids=ids, resumes="after" if ids else "start")
    service.faults = [losing(service, count)]
    server.play(choose=service)
    result = [event async for event in client.stream_rollout_events(P, R)]
    assert result == service.events
    assert len(service.asked) == 2


@pytest.mark.usefixtures("short_minutes")
@pytest.mark.parametrize("ids", ["stream", ""])
async def test_a_stream_that_never_has_its_end_is_over_with_the_rollout(
    server: FaultServer, client: AsyncContainerPoolsClient, ids: str
) -> None:
    service = EventService(ids=ids, kinds=KINDS[:-1])
    service.faults = [losing(service, 3), *[events(BEATS, pause=0.01)] * 3]
    server.play(choose=service)
    result = [event async for event in client.stream_rollout_events(P, R)]
    assert [event["event"] for event in result] == [*KINDS[:3]]
    assert len(service.asked) <= 3


@pytest.mark.usefixtures("short_minutes")
async def test_a_stream_that_loses_its_end_is_broken_where_nothing_is_repeated(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    service = EventService()
    service.faults = [losing(service, 3)]
    server.play(choose=service)
    with pytest.raises(StreamBrokenError) as caught:
        async for _ in client.with_options(max_retries=0).stream_rollout_events(P, R):
            pass
    assert caught.value.cursor == "e3"


@pytest.mark.usefixtures("short_minutes")
@pytest.mark.parametrize("fault", [html(500), answer({}, 404), close(), answer({"reward": 1.0})])
async def test_a_silent_stream_goes_on_where_nothing_is_known_of_the_end(
    server: FaultServer, client: AsyncContainerPoolsClient, fault: Fault
) -> None:
    service, looks = EventService(), list[Seen]()

    def stream() -> Any:
        yield service.encoded(0)[: service.encoded(0).find(service.encoded(3))]
        while len(looks) < 3:
            yield b": here\n\n"
        yield service.encoded(3)

    def choose(request: Seen) -> Fault:
        if request.path.endswith("/summary"):
            looks.append(request)
            return fault
        return service(request)

    service.faults = [events(stream(), pause=0.01)]
    server.play(choose=choose)
    result = [event async for event in client.stream_rollout_events(P, R)]
    assert result == service.events
    assert len(service.asked) == 1


@pytest.mark.usefixtures("short_minutes")
@pytest.mark.parametrize("timeout", [None, 60])
async def test_a_wait_whose_stream_loses_its_end(
    server: FaultServer, client: AsyncContainerPoolsClient, timeout: float | None
) -> None:
    """The service does not repeat the event either."""
    service = EventService(kinds=KINDS[:-1])
    service.faults = [losing(service, 3), *[events(BEATS, pause=0.01)] * 3]
    states = iter(["running"])

    def choose(request: Seen) -> Fault:
        if request.path.endswith(("/events", "/summary")):
            return service(request)
        return answer({"rollout_id": R, "status": next(states, "completed")})

    server.play(choose=choose)
    rollout = await client.wait_rollout(P, R, timeout=timeout)
    assert rollout["status"] == "completed"


REFUSALS = {
    "429": answer({}, 429),
    "429 for a minute": answer({}, 429, Retry_After="60"),
    "429 for an hour": answer({}, 429, Retry_After="3600"),
    "500": html(500),
    "502": html(502),
    "503": answer({}, 503),
    "503 for a minute": answer({}, 503, Retry_After="60"),
    "504": html(504),
    "reset": reset(),
    "end": close(),
}


def refusing(fault: Callable[[], Fault | None], states: list[str]) -> Callable[[Seen], Fault]:
    """A service that refuses streams; states are those of the rollout in turn."""
    service, remaining = EventService(), iter(states)

    def choose(request: Seen) -> Fault:
        if request.path.endswith("/events"):
            return fault() or service(request)
        if request.path.endswith("/summary"):
            return answer({"reward": 1.0})
        return answer({"rollout_id": R, "status": next(remaining, "completed")})

    return choose


@pytest.mark.parametrize("timeout", [None, 20])
@pytest.mark.parametrize("kind", [*REFUSALS])
async def test_where_the_stream_alone_is_refused_the_rollout_is_asked_for(
    server: FaultServer,
    client: AsyncContainerPoolsClient,
    waits: list[float],
    kind: str,
    timeout: float | None,
) -> None:
    server.play(choose=refusing(lambda: REFUSALS[kind], ["running"] * 3))
    assert (await client.wait_rollout(P, R, timeout=timeout))["status"] == "completed"
    assert max(waits) <= 1.5, waits
    server.play(choose=refusing(lambda: REFUSALS[kind], ["running"] * 3))
    rollout = await client.rollouts.run(P, {"seed": 1}, timeout=timeout)
    assert (rollout["status"], rollout["summary"]) == ("completed", {"reward": 1.0})
    assert max(waits) <= 1.5, waits
    streams = [request for request in server.requests if request.path.endswith("/events")]
    # It is not asked for again before the time that the service wishes.
    assert len(streams) == 1 if "for a" in kind else len(streams) >= 3


@pytest.mark.parametrize("status", [429, 503])
async def test_events_that_are_refused_for_a_while_are_handed_out_after_the_end(
    server: FaultServer, client: AsyncContainerPoolsClient, status: int
) -> None:
    refusals = [answer({}, status)] * 4
    service = refusing(lambda: refusals.pop() if refusals else None, ["running"])
    server.play(choose=service)
    names: list[str] = []
    rollout = await client.rollouts.run(
        P, {"seed": 1}, on_event=lambda event: names.append(event["event"])
    )
    assert rollout["status"] == "completed"
    assert names == [*KINDS]


async def test_events_that_are_refused_for_ever_are_given_up_after_the_end(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    server.play(choose=refusing(lambda: html(503), ["running"]))
    names: list[dict[str, Any]] = []
    rollout = await client.rollouts.run(P, {"seed": 1}, on_event=names.append, timeout=60)
    assert rollout["status"] == "completed"
    assert names == []
    streams = [request for request in server.requests if request.path.endswith("/events")]
    assert 3 < len(streams) <= 15


async def test_a_service_that_refuses_everything_is_its_own_error(server: FaultServer) -> None:
    server.play(answer({}, 503))
    async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url, max_retries=0) as client:
        with pytest.raises(ServerError):
            await client.wait_rollout(P, R)
    assert len(server.requests) == 1
