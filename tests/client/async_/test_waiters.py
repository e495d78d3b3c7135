"""Waiting for pools and rollouts, and running one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from synth_pools import (
    APIStatusError,
    AsyncContainerPoolsClient,
    ConflictError,
    DecodeError,
    NotFoundError,
    PoolFailedError,
    RequestValidationError,
    ServerError,
    WaitTimeoutError,
)
from synth_pools.local import LocalBackend
from tests.support.event_service import EventService
from tests.support.fault_server import FaultServer, Seen
from tests.support.faults import Fault, answer, dribble, events, html, reset, stall, stall_at
from tests.support.leaks import KEY

pytestmark = pytest.mark.one_library

P, R = "pool_1", "rollout_1"


@pytest.fixture(scope="module")
def backend() -> Iterator[LocalBackend]:
    with LocalBackend(api_key=KEY) as backend:
        yield backend


def local(backend: LocalBackend) -> AsyncContainerPoolsClient:
    return AsyncContainerPoolsClient(api_key=KEY, base_url=backend.url)


async def test_a_pool_becomes_active(
    server: FaultServer, client: AsyncContainerPoolsClient, waits: list[float]
) -> None:
    states = ["created", "building", "warming", "warming", "active"]
    server.play(
        [
            *[answer({"status": state}) for state in states[:3]],
            html(502),
            reset(),
            *[answer({"status": state}) for state in states[3:]],
        ]
    )
    assert await client.wait_pool_active(P) == {"status": "active"}
    assert len(server.requests) == 7
    assert all(wait < 10 for wait in waits)


@pytest.mark.parametrize("state", ["failed", "archived", "deleted"])
async def test_a_lost_pool_is_an_error_at_once(
    server: FaultServer, client: AsyncContainerPoolsClient, state: str
) -> None:
    server.play([answer({"status": "building"}), answer({"state": state, "why": "disk"})])
    with pytest.raises(PoolFailedError, match=f"'{P}' is {state}") as caught:
        await client.wait_pool_active(P)
    assert caught.value.pool == {"state": state, "why": "disk"}


@pytest.mark.parametrize(
    "error", [{"message": "The process ended."}, {}, {"message": 5}, "no", None]
)
async def test_why_it_is_lost_is_said(
    server: FaultServer, client: AsyncContainerPoolsClient, error: Any
) -> None:
    server.play(answer({"status": "failed", "error": error}))
    with pytest.raises(PoolFailedError) as caught:
        await client.wait_pool_active(P)
    reason = ": The process ended." if error == {"message": "The process ended."} else ""
    assert str(caught.value) == f"pool '{P}' is failed{reason}"


async def test_the_last_lines_of_its_process_are_shown(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    output = [f"line {number}" for number in range(30)] + ["\x1b[31m" + "x" * 500, 7]
    error = {"message": "It ended.", "details": {"output": output, "exit_code": 3}}
    server.play(answer({"status": "failed", "error": error}))
    with pytest.raises(PoolFailedError, match="is failed: It ended") as caught:
        await client.wait_pool_active(P)
    first, head, *lines = str(caught.value).splitlines()
    assert (first, head) == (f"pool '{P}' is failed: It ended.", "The last lines of its output:")
    assert lines[:-2] == [f"  line {number}" for number in range(12, 30)]
    assert lines[-2] == "   [31m" + "x" * 195
    assert lines[-1] == "  7"


@pytest.mark.parametrize("details", [None, [], {}, {"output": None}, {"output": []}])
async def test_a_process_that_wrote_nothing(
    server: FaultServer, client: AsyncContainerPoolsClient, details: Any
) -> None:
    server.play(answer({"status": "failed", "error": {"message": "no", "details": details}}))
    with pytest.raises(PoolFailedError) as caught:
        await client.wait_pool_active(P)
    assert str(caught.value) == f"pool '{P}' is failed: no"


async def test_a_pool_that_takes_too_long(server: FaultServer) -> None:
    server.play(answer({"status": "paused"}))
    async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url) as client:
        for limit in (1.5, 15.0):
            started = time.monotonic()
            with pytest.raises(WaitTimeoutError) as caught:
                await client.wait_pool_active(P, timeout=limit)
            assert limit - 0.1 < time.monotonic() - started < limit + 28.5
            # A busy service may not answer within a short limit.
            if caught.value.last is not None:
                break
    assert f"within {limit:g} s; it was paused" in str(caught.value)
    assert isinstance(caught.value, TimeoutError)
    assert caught.value.last == {"status": "paused"}


async def test_the_wait_for_what_does_not_exist(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    server.play(answer({}, 404))
    with pytest.raises(NotFoundError):
        await client.wait_pool_active(P)
    with pytest.raises(NotFoundError):
        await client.wait_rollout(P, R)
    assert len(server.requests) == 2


def rollout(status: Callable[[], str], service: EventService) -> Callable[[Seen], Fault]:
    def choose(request: Seen) -> Fault:
        if request.path.endswith(("/events", "/summary")):
            return service(request)
        return answer({"rollout_id": R, "status": status()})

    return choose


async def test_a_rollout_is_waited_for_by_its_events(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    service = EventService()
    service.faults = [service.part(90, "reset"), html(503), service.part(150, "cut")]
    states = iter(["queued", "completed"])
    server.play(choose=rollout(lambda: next(states), service))
    assert (await client.wait_rollout(P, R))["status"] == "completed"
    assert len(service.asked) == 4


@pytest.mark.parametrize("status", [404, 405, 501])
async def test_where_there_are_no_events_it_is_asked_for(
    server: FaultServer, client: AsyncContainerPoolsClient, waits: list[float], status: int
) -> None:
    service = EventService(faults=[answer({}, status)] * 9)
    states = iter([*["running"] * 12, "failed"])
    server.play(choose=rollout(lambda: next(states), service))
    final_rollout = await client.agent_rollouts.wait(R)
    assert final_rollout["status"] == "failed"
    assert len(service.asked) == 1
    assert sum(waits[-3:]) > sum(waits[:3])
    assert max(waits) <= 15


async def test_a_rollout_that_takes_too_long(backend: LocalBackend) -> None:
    async with local(backend) as client:
        pool = await client.create_pool({"name": "slow", "concurrency": 4})
        slow = await client.create_rollout(pool["id"], {"env": {"delay": 60}})
        dropped = await client.create_rollout(pool["id"], {"env": {"delay": 60}})
        for limit in (1.50123456, 15.0123456):
            started = time.monotonic()
            with pytest.raises(WaitTimeoutError) as caught:
                await client.rollouts.wait(pool["id"], slow["id"], timeout=limit)
            assert 0.4 < time.monotonic() - started < limit + 28.5
            # A busy service may not answer within a short limit.
            if caught.value.last is not None:
                break
        expected = f"rollout '{slow['id']}' had not ended within {round(limit, 2):g} s"
        assert str(caught.value).startswith(expected)
        last = caught.value.last
        assert last is not None
        assert last["id"] == slow["id"]
        assert (await client.get_rollout(pool["id"], slow["id"]))["status"] == "running"
        with pytest.raises(WaitTimeoutError):
            await client.agent_rollouts.wait(dropped["id"], timeout=0.3, cancel_on_timeout=True)
        assert (await client.get_global_rollout(dropped["id"]))["status"] == "cancelled"
        await client.delete_pool(pool["id"])
        assert (await client.wait_rollout(pool["id"], slow["id"]))["status"] == "cancelled"


async def test_run(backend: LocalBackend) -> None:
    async with local(backend) as client:
        pool = await client.create_pool({"name": "run"})
        events: list[str] = []
        request: dict[str, Any] = {"seed": 1, "env": {"delay": 0.1, "events": 3, "reward": 0.5}}
        rollout = await client.rollouts.run(
            pool["id"], request, on_event=lambda event: events.append(event["event"])
        )
        assert rollout["status"] == "completed"
        assert rollout["summary"]["reward"] == 0.5
        assert rollout["summary"] == await client.get_rollout_summary(pool["id"], rollout["id"])
        assert events[0] == "rollout.queued"
        assert events.count("agent") == 3
        assert events[-1] == "rollout.completed"
        failed = await client.rollouts.run(pool["id"], {"env": {"fail": True}})
        assert failed["status"] == "failed"
        finished: list[str] = []
        await client.rollouts.run(
            pool["id"],
            {"mode": "sync"},
            on_event=lambda event: finished.append(event["event"]),
            idempotency_key="once",
        )
        assert finished[-1] == "rollout.completed"
        await client.rollouts.run(pool["id"], {"mode": "sync"}, idempotency_key="once")
        page = await client.list_rollouts(pool["id"])
        assert len(page["items"]) == 3
        for limit in (1.5, 15.0):
            with pytest.raises(WaitTimeoutError) as caught:
                await client.rollouts.run(
                    pool["id"], {"env": {"delay": 60}}, timeout=limit, cancel_on_timeout=True
                )
            # A busy service may not answer within a short limit.
            if caught.value.last is not None:
                break
        newest = (await client.list_rollouts(pool["id"], limit=1))["items"][0]
        assert newest["status"] == "cancelled"
        await client.delete_pool(pool["id"])
        with pytest.raises(ConflictError):
            await client.rollouts.run(pool["id"], {})


SLOW = {
    "fails": html(500),
    "is overloaded": answer({}, 429),
    "hangs": stall(),
    "hangs in its body": stall_at(60),
    "drips": dribble(0.3),
}


@pytest.mark.timeout(150)
@pytest.mark.parametrize("how", SLOW)
@pytest.mark.parametrize("has_ended", [True, False])
async def test_one_limit_for_all_of_a_run(
    server: FaultServer, fleet_client: AsyncContainerPoolsClient, how: str, has_ended: bool
) -> None:
    def choose(request: Seen) -> Fault:
        if request.path.endswith("/summary"):
            return SLOW[how]
        if request.path.endswith("/events"):
            # The summary decides whether a stream without a last event is at its end.
            return events([b'data: {"event": "agent"}\n\n'])
        return answer({"rollout_id": R, "status": "completed" if has_ended else "running"})

    problem = (
        f"there was no summary of rollout '{R}'" if has_ended else f"rollout '{R}' had not ended"
    )
    for limit in (1, 10):
        server.play(choose=choose)
        with pytest.raises(WaitTimeoutError) as caught:
            await fleet_client.rollouts.run(P, {"seed": 1}, timeout=limit, cancel_on_timeout=True)
        # A busy machine may pass a short limit before the rollout is seen.
        if f"{problem} within {limit} s" in str(caught.value):
            break
    assert f"{problem} within {limit} s" in str(caught.value)
    assert caught.value.last is not None
    assert caught.value.last["rollout_id"] == R
    # An ended rollout is not cancelled.
    assert any(request.path.endswith("/cancel") for request in server.requests) is not has_ended


@pytest.mark.parametrize("timeout", [None, 600.0])
async def test_what_fails_long_before_the_limit_is_its_own_error(
    server: FaultServer, client: AsyncContainerPoolsClient, timeout: float | None
) -> None:
    kinds: list[tuple[Fault, type[Exception]]] = [
        (html(503), ServerError),
        (answer({"detail": "no such pool"}, 404), NotFoundError),
    ]
    for fault, kind in kinds:
        server.play(fault)
        with pytest.raises(kind):
            await client.rollouts.run(P, {"seed": 1}, timeout=timeout)


async def test_what_fails_at_the_limit_is_named_with_it(
    server: FaultServer, client: AsyncContainerPoolsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(client._transport, "clock", lambda: now)

    def choose(request: Seen) -> Fault:
        nonlocal now
        if request.path.endswith("/summary"):
            now = 1599.0
            return html(500)
        return answer({"rollout_id": R, "status": "completed"})

    server.play(choose=choose)
    with pytest.raises(WaitTimeoutError, match="within 600 s.*completed when last.*; then: .*500"):
        await client.rollouts.run(P, {"seed": 1}, timeout=600)


async def test_a_server_that_asks_for_a_longer_pause_than_is_left_does_not_get_it(
    server: FaultServer,
    client: AsyncContainerPoolsClient,
    waits: list[float],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client._transport, "clock", lambda: 1000.0)
    streams = [
        events([b"retry: 60000\n\n"], end="cut"),
        events([b'data: {"event": "rollout.completed"}\n\n']),
    ]

    def choose(request: Seen) -> Fault:
        if request.path.endswith("/events"):
            return streams.pop(0)
        status = "running" if streams else "completed"
        return answer({"rollout_id": R, "status": status})

    server.play(choose=choose)
    assert (await client.rollouts.run(P, {"seed": 1}, timeout=10))["status"] == "completed"
    assert max(waits) == 10.0


async def test_a_stream_that_is_refused_ends_the_wait(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    def choose(request: Seen) -> Fault:
        if request.path.endswith("/events"):
            return answer({"detail": "not yours"}, 403)
        return answer({"rollout_id": R, "status": "running"})

    server.play(choose=choose)
    with pytest.raises(APIStatusError, match="not yours"):
        await client.rollouts.wait(P, R, timeout=20)


async def test_events_without_ids_are_handed_out_once(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    """The service repeats them from the first event on after a reconnection."""
    blocks = [f'data: {{"event": "{name}"}}\n\n'.encode() for name in ("a", "b", "c")]
    blocks.append(b'data: {"event": "rollout.completed"}\n\n')
    streams = [events(blocks[:2], end="cut"), events(blocks)]

    def choose(request: Seen) -> Fault:
        if request.path.endswith("/events"):
            return streams.pop(0)
        return answer({"rollout_id": R, "status": "running" if streams else "completed"})

    server.play(choose=choose)
    names: list[str] = []
    await client.with_options(max_retries=0).rollouts.run(
        P, {"seed": 1}, on_event=lambda event: names.append(event["event"])
    )
    assert names == ["a", "b", "c", "rollout.completed"]


async def test_a_limit_that_is_far_away_ends_no_connection(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    blocks = [f'data: {{"event": "{name}"}}\n\n'.encode() for name in ("a", "b", "c")]
    blocks.append(b'data: {"event": "rollout.completed"}\n\n')
    streams: list[Seen] = []

    def choose(request: Seen) -> Fault:
        if request.path.endswith("/events"):
            streams.append(request)
            # A second request gets all events at once.
            return events(blocks, pause=0.02 if len(streams) == 1 else 0.0)
        return answer({"rollout_id": R, "status": "completed" if streams else "running"})

    server.play(choose=choose)
    names: list[str] = []
    await client.with_options(stream_idle_timeout=600).rollouts.run(
        P, {"seed": 1}, timeout=300, on_event=lambda event: names.append(event["event"])
    )
    assert names == ["a", "b", "c", "rollout.completed"]
    assert len(streams) == 1


async def test_a_rollout_without_a_name(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    server.play(answer({"status": "queued"}, 202))
    with pytest.raises(DecodeError, match="did not name it"):
        await client.rollouts.run(P, {})
    outcomes = [outcome async for outcome in client.rollouts.run_many(P, [{}])]
    assert isinstance(outcomes[0].error, DecodeError)


async def test_bad_arguments_are_refused_before_anything_is_sent(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    bad: Any
    for bad in (0, -1, float("nan"), float("inf"), "7", True):
        with pytest.raises(RequestValidationError, match="^timeout must be"):
            await client.wait_pool_active(P, timeout=bad)
        with pytest.raises(RequestValidationError, match="^timeout must be"):
            await client.rollouts.wait(P, R, timeout=bad)
        with pytest.raises(RequestValidationError, match="^timeout must be"):
            await client.agent_rollouts.wait(R, timeout=bad)
        with pytest.raises(RequestValidationError, match="^timeout must be"):
            await client.rollouts.run(P, {}, timeout=bad)
    for bad in (None, 1, "yes"):
        with pytest.raises(RequestValidationError, match="^cancel_on_timeout must be"):
            await client.wait_rollout(P, R, cancel_on_timeout=bad)
        with pytest.raises(RequestValidationError, match="^cancel_on_timeout must be"):
            await client.rollouts.wait(P, R, cancel_on_timeout=bad)
        with pytest.raises(RequestValidationError, match="^cancel_on_timeout must be"):
            await client.agent_rollouts.wait(R, cancel_on_timeout=bad)
    with pytest.raises(RequestValidationError, match="^on_event must be callable, not int"):
        await client.rollouts.run(P, {}, on_event=7)  # type: ignore[arg-type]
    with pytest.raises(RequestValidationError, match="unsupported keys: x"):
        await client.rollouts.run(P, {"x": 1})
    with pytest.raises(RequestValidationError, match="idempotency_key"):
        await client.rollouts.run(P, {}, idempotency_key=" ")
    assert server.connections == 0
