"""Fleets whose events get lost, or whose streams alone are refused."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from synth_pools import (
    APIConnectionError,
    AsyncContainerPoolsClient,
    FleetStoppedError,
    PermissionDeniedError,
    RateLimitError,
    RolloutOutcome,
    ServerError,
)
from synth_pools._client._async.fleet import pool_watch, worker
from synth_pools._client.fleet import adaptive_limit
from tests.client.async_.fleet_ends import (
    end_one_after_the_other,
    fleet_that_waits,
    gather,
    is_over,
    seeds,
)
from tests.support.batch_service import BatchService
from tests.support.fault_server import FaultServer, Seen
from tests.support.faults import Fault, answer, events, html, reset, when
from tests.support.pool_service import P, PoolService

pytestmark = pytest.mark.one_library

BEATS = [b": here\n\n"] * 10_000


@pytest.fixture
def short_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have rollouts read after a twentieth of a second in place of a minute."""
    monkeypatch.setattr(pool_watch, "_LONGEST_DOUBT_SECONDS", 0.05)
    monkeypatch.setattr(worker, "_LOOK_SECONDS", 0.05)


@pytest.fixture
def short_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep the pauses of all calls far below each patience."""
    monkeypatch.setattr(adaptive_limit, "FIRST_PAUSE_SECONDS", 0.02)
    monkeypatch.setattr(adaptive_limit, "LONGEST_PAUSE_SECONDS", 0.05)


def is_of_rollout(request: Seen, kind: str = "") -> bool:
    """Check for a GET of a single rollout, or of what belongs to it."""
    before, _, after = request.path.partition("/rollouts/")
    return (
        request.method == "GET" and bool(after) and after.partition("/")[2] == kind and before != ""
    )


@pytest.mark.usefixtures("short_minutes")
async def test_an_end_that_gets_lost_is_found(
    pools: PoolService, fleet_client: AsyncContainerPoolsClient
) -> None:
    numbers = count()

    def idle() -> None:
        for rollout_id in pools.running[:1]:
            if next(numbers) % 5:
                pools.finish(rollout_id)
            else:
                # The stream lives, but this event never arrives.
                pools.status[rollout_id] = "completed"

    pools.idle, pools.beats = idle, True
    fleet = fleet_client.rollouts.run_many(P, seeds(60), max_in_flight=12)
    outcomes = await gather(fleet)
    assert [outcome.ok for outcome in outcomes] == [True] * 60
    assert len(pools.streams) == 1
    assert not pools.followed
    assert await is_over(fleet, pools)


@pytest.mark.usefixtures("short_minutes")
async def test_an_end_that_its_own_stream_loses_is_found(
    server: FaultServer, pools: PoolService, fleet_client: AsyncContainerPoolsClient
) -> None:
    pools.serve = lambda _: answer({}, 404)

    def choose(request: Seen) -> Fault:
        if is_of_rollout(request, "events"):
            pools.status[request.path.split("/")[-2]] = "completed"
            return events(BEATS, pause=0.01)
        return pools(request)

    server.play(choose=choose)
    outcomes = await gather(fleet_client.rollouts.run_many(P, seeds(6), max_in_flight=3))
    assert [outcome.ok for outcome in outcomes] == [True] * 6
    # It is read over the same stream.
    paths = [request.path for request in server.requests if is_of_rollout(request, "events")]
    assert set(Counter(paths).values()) == {1}


@pytest.mark.usefixtures("short_minutes")
async def test_what_is_under_way_is_read_now_and_then_and_not_more(
    pools: PoolService, fleet_client: AsyncContainerPoolsClient
) -> None:
    """All run until each was read a few times."""
    has_begun = False

    def idle() -> None:
        nonlocal has_begun
        if len(pools.status) >= 20 and not has_begun:
            # The first of them may have run for long.
            has_begun = True
            pools.looks.clear()
        if len(pools.status) >= 20 and min(pools.looks[name] for name in pools.status) >= 4:
            for rollout_id in pools.running:
                pools.finish(rollout_id)

    pools.idle, pools.beats = idle, True
    began = time.monotonic()
    fleet = fleet_client.rollouts.run_many(P, seeds(20), max_in_flight=20)
    assert all(outcome.ok for outcome in await gather(fleet))
    # At random intervals of at least half the usual length.
    assert max(pools.looks.values()) <= (time.monotonic() - began) / 0.025 + 2
    assert len(pools.streams) == 1


REFUSALS = {
    "429": answer({}, 429),
    "429 for a minute": answer({}, 429, Retry_After="60"),
    "502": html(502),
    "503": answer({}, 503),
    "503 for a minute": answer({}, 503, Retry_After="60"),
    "504": html(504),
    "500": html(500),
    "reset": reset(),
}


@pytest.mark.parametrize("own_too", [False, True])
@pytest.mark.parametrize("kind", [*REFUSALS])
async def test_where_the_stream_alone_is_refused_each_rollout_is_followed(
    server: FaultServer,
    pools: PoolService,
    fleet_client: AsyncContainerPoolsClient,
    caplog: pytest.LogCaptureFixture,
    kind: str,
    own_too: bool,
) -> None:
    pools.serve = lambda _: REFUSALS[kind]
    pools.admit = lambda rollout_id: pools.finish(rollout_id)

    def choose(request: Seen) -> Fault:
        if own_too and is_of_rollout(request, "events"):
            return REFUSALS[kind]
        return pools(request)

    server.play(choose=choose)
    fleet = fleet_client.rollouts.run_many(P, seeds(12), max_in_flight=4, patience=20)
    outcomes = await gather(fleet)
    assert [outcome.ok for outcome in outcomes] == [True] * 12
    assert 1 <= len(pools.streams) <= 3
    # Nothing else has to wait for it.
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert await is_over(fleet, pools)


async def test_a_stream_that_is_refused_later_is_tried_again_after_a_while(
    pools: PoolService, fleet_client: AsyncContainerPoolsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_watch, "_RENEWAL_SECONDS", 0.0)
    refusals: list[Seen] = []

    def serve(request: Seen) -> Fault | None:
        if len(pools.streams) == 1 or len(refusals) == 3:
            return None
        refusals.append(request)
        return answer({}, 503)

    def idle() -> None:
        for rollout_id in pools.running[:1]:
            pools.finish(rollout_id)
            if len(pools.status) >= 20 and len(pools.streams) == 1:
                pools.cut("reset")

    def requests() -> Iterator[dict[str, Any]]:
        for seed in range(5000):
            if len(pools.streams) > 4 and pools.live:
                return
            yield {"seed": seed}

    pools.serve, pools.idle = serve, idle
    # Later ones end at once: of those before the cut the worker of the ended one goes on.
    pools.admit = lambda rollout_id: pools.finish(rollout_id) if len(refusals) == 3 else None
    fleet = fleet_client.rollouts.run_many(P, requests(), max_in_flight=4)
    outcomes = await gather(fleet)
    assert all(outcome.ok for outcome in outcomes)
    assert len(pools.streams) == len(refusals) + 2 == 5
    assert await is_over(fleet, pools)


async def test_a_service_that_was_away_is_followed_as_before(
    server: FaultServer, pools: PoolService, fleet_client: AsyncContainerPoolsClient
) -> None:
    """Attempts during an outage are no refusals of the stream alone."""
    end_one_after_the_other(pools)
    refusals: list[str] = []

    def choose(request: Seen) -> Fault:
        if len(pools.status) >= 20 and len(refusals) < 5:
            pools.cut("reset")
            refusals.append(request.path)
            return answer({}, 503)
        return pools(request)

    server.play(choose=choose)
    outcomes = await gather(fleet_client.rollouts.run_many(P, seeds(40), max_in_flight=4))
    assert [outcome.ok for outcome in outcomes] == [True] * 40
    assert len(refusals) == 5
    assert not pools.followed
    assert len(pools.streams) >= 2


async def test_patience_counts_while_heartbeats_arrive(
    pools: PoolService, fleet_client: AsyncContainerPoolsClient
) -> None:
    end_one_after_the_other(pools)
    pools.beats = True
    pools.refuse = lambda _: answer({}, 429) if len(pools.status) >= 4 else None
    fleet = fleet_client.rollouts.run_many(P, seeds(20), max_in_flight=4, patience=0.5)
    with pytest.raises(FleetStoppedError, match="nothing gets through"):
        await gather(fleet)
    assert pools.streams
    assert await is_over(fleet, pools)


async def test_a_pool_that_is_full_of_the_fleet_s_rollouts_is_no_matter_of_patience(
    pools: PoolService, fleet_client: AsyncContainerPoolsClient
) -> None:
    pools.beats = True
    refusals: list[str] = []

    def refuse(pool_id: str) -> Fault | None:
        if len(pools.running) < 4:
            return None
        refusals.append(pool_id)
        return answer({"error": {"code": "queue_full", "message": "full"}}, 429)

    def idle() -> None:
        # Each wait for a place is longer than the patience.
        if len(pools.running) >= 4 and len(refusals) >= 2:
            refusals.clear()
            pools.finish(pools.running[0])
        if len(pools.status) >= 6 and pools.running:
            pools.finish(pools.running[0])

    pools.refuse, pools.idle = refuse, idle
    fleet = fleet_client.rollouts.run_many(P, seeds(6), max_in_flight=6, patience=0.1)
    assert [outcome.ok for outcome in await gather(fleet)] == [True] * 6


@pytest.mark.usefixtures("short_pauses")
@pytest.mark.parametrize("is_one", [pytest.param(False, marks=pytest.mark.system), True])
async def test_patience_with_batches_that_are_refused_again_and_again(
    server: FaultServer, fleet_client: AsyncContainerPoolsClient, is_one: bool
) -> None:
    """One that is refused for ever ends its requests with the error, while others get through."""
    service = BatchService(seconds=0.3 if is_one else 0.0)
    outcomes, bad_keys = list[RolloutOutcome](), list[str]()

    def refuse(request: Seen) -> Fault | None:
        if not request.path.endswith("/batch"):
            return None
        bad_keys.append(request.headers["idempotency-key"])
        return answer({}, 503) if not is_one or bad_keys[-1] == bad_keys[0] else None

    def requests() -> Iterator[dict[str, Any]]:
        for seed in range(50_000):
            if not all(outcome.ok for outcome in outcomes):
                return
            yield {"seed": seed}

    service.refuse = refuse
    server.play(choose=service)
    fleet = fleet_client.rollouts.run_many(
        P, requests(), max_in_flight=20, patience=5.0, on_result=outcomes.append
    )
    fleet = fleet_that_waits(server, service, fleet)
    has_stopped = False
    try:
        await fleet.run()
    except FleetStoppedError:
        has_stopped = True
    failed = [outcome for outcome in outcomes if not outcome.ok]
    assert all(isinstance(outcome.error, ServerError) for outcome in failed)
    assert len(set(bad_keys)) < len(bad_keys)
    if is_one:
        assert (has_stopped, 1 <= len(failed) <= 8) == (False, True)
    else:
        assert failed or has_stopped


POISONS: dict[str, tuple[Fault, type[Exception]]] = {
    "500": (html(500), ServerError),
    "429": (answer({}, 429), RateLimitError),
    "403": (answer({}, 403), PermissionDeniedError),
    "reset": (reset(), APIConnectionError),
}
# Without being told each takes the patience.
ENDINGS = [*((kind, True) for kind in POISONS), ("500", False)] + [
    pytest.param(kind, False, marks=pytest.mark.system) for kind in POISONS if kind != "500"
]


@pytest.mark.usefixtures("short_minutes", "short_pauses")
@pytest.mark.parametrize(("kind", "is_told"), ENDINGS)
async def test_a_rollout_that_can_never_be_read(
    server: FaultServer,
    pools: PoolService,
    fleet_client: AsyncContainerPoolsClient,
    kind: str,
    is_told: bool,
) -> None:
    """Its last event is enough. Without one it ends with the error, and the others do not."""
    fault, error = POISONS[kind]
    pools.beats = True
    finished_at = 0.0
    looks: list[Seen] = []

    def choose(request: Seen) -> Fault:
        if is_of_rollout(request) and request.path.endswith("/rollout_1"):
            looks.append(request)
            return fault
        return pools(request)

    def idle() -> None:
        nonlocal finished_at
        # Some of the others get through all the time, for as long as the patience.
        if not is_told and time.monotonic() < finished_at + 0.1:
            return
        finished_at = time.monotonic()
        for rollout_id in pools.running:
            if rollout_id != "rollout_1" or (is_told and len(looks) >= 2):
                pools.finish(rollout_id)

    outcomes: list[RolloutOutcome] = []

    def requests() -> Iterator[dict[str, Any]]:
        for seed in range(50_000):
            if any(outcome.rollout_id in (None, "rollout_1") for outcome in outcomes):
                return
            yield {"seed": seed}

    pools.told = lambda rollout_id: {
        "rollout": pools.rollout(rollout_id),
        "summary": {"rollout_id": rollout_id, "reward": 1.0},
    }
    pools.idle = idle
    server.play(choose=choose)
    await fleet_client.rollouts.run_many(
        P, requests(), max_in_flight=4, patience=60.0 if is_told else 5.0, on_result=outcomes.append
    ).run()
    failed = [outcome for outcome in outcomes if not outcome.ok]
    assert len(looks) >= 2
    assert [isinstance(outcome.error, error) for outcome in failed] == [True] * (not is_told)


@pytest.mark.usefixtures("short_minutes")
async def test_events_of_others_and_repeated_events_end_nothing(
    pools: PoolService, fleet_client: AsyncContainerPoolsClient
) -> None:
    """A stream that sends ends of unknown rollouts, of another pool, and each end twice."""
    pools.beats = True

    def foreign(rollout_id: str) -> dict[str, Any]:
        rollout = {"rollout_id": rollout_id, "pool_id": "pool_2", "status": "failed"}
        return {
            "event": "rollout.failed",
            "rollout_id": rollout_id,
            "rollout": rollout,
            "summary": {"rollout_id": rollout_id, "reward": 0.0},
        }

    def idle() -> None:
        for rollout_id in pools.running[:1]:
            pools.tell(P, foreign("rollout_of_nobody"))
            # The same name on another pool.
            pools.tell(P, foreign(rollout_id), 2)
            pools.finish(rollout_id)
            pools.tell(P, {"event": "rollout.completed", "rollout_id": rollout_id}, 2)

    pools.idle = idle
    outcomes = await gather(fleet_client.rollouts.run_many(P, seeds(40), max_in_flight=8))
    assert [outcome.ok for outcome in outcomes] == [True] * 40
    assert all(outcome.reward == 1.0 for outcome in outcomes)


@pytest.mark.usefixtures("short_minutes")
@pytest.mark.parametrize("on_interrupt", ["leave", "cancel"])
@pytest.mark.parametrize("step", ["look", "own look", "own stream", "pool"])
async def test_an_end_of_the_fleet_at_each_of_these_steps(
    server: FaultServer,
    pools: PoolService,
    fleet_client: AsyncContainerPoolsClient,
    step: str,
    on_interrupt: Any,
) -> None:
    holds: list[Seen] = []
    pools.beats = True
    status = {"look": None, "own look": 404, "own stream": 404, "pool": 503}[step]
    pools.serve = lambda _: None if status is None else answer({}, status)

    def admit(rollout_id: str) -> Fault | None:
        # The first rollout has ended once all have has_begun and a request for another one is held.
        done = answer({"rollout_id": rollout_id, "status": "completed"})
        if rollout_id != "rollout_0":
            return None
        return when(lambda: bool(holds) and len(pools.status) >= 6, done)

    def choose(request: Seen) -> Fault:
        is_held = {
            "look": is_of_rollout(request),
            "own look": is_of_rollout(request),
            "own stream": is_of_rollout(request, "events"),
            "pool": request.method == "GET" and request.path.endswith(P),
        }[step]
        if is_held:
            holds.append(request)
            # A thread waits for its answer.
            return when(lambda: fleet._running().closed, answer({}, 503))
        if is_of_rollout(request, "events"):
            return events(BEATS, pause=0.01)
        return pools(request)

    pools.admit = admit
    server.play(choose=choose)
    fleet = fleet_client.rollouts.run_many(P, seeds(6), max_in_flight=6, on_interrupt=on_interrupt)
    async with fleet:
        async for outcome in fleet:
            assert outcome.ok
            break
    assert holds
    assert await is_over(fleet, pools)
    cancelled = [name for name, status in pools.status.items() if status == "cancelled"]
    assert len(cancelled) == (5 if on_interrupt == "cancel" else 0)
