"""Fleets that follow one event stream for each pool."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from synth_pools import AsyncContainerPoolsClient, RequestInfo
from synth_pools._client._async.fleet import pool_watch
from synth_pools._client.runtime.async_.concurrency import AsyncWorkerGroup
from synth_pools.local import LocalBackend
from tests.client.async_.fleet_ends import end_one_after_the_other, gather, is_over, seeds
from tests.support.fault_server import FaultServer, Seen
from tests.support.faults import Fault, answer, close, events, html, reset, stall_at, when
from tests.support.forks import idle_child
from tests.support.pool_service import P, PoolService
from tests.support.ports import HeldPort

pytestmark = pytest.mark.one_library


async def test_one_stream_for_all(
    pools: PoolService, fleet_client: AsyncContainerPoolsClient
) -> None:
    end_one_after_the_other(pools)
    fleet = fleet_client.rollouts.run_many(P, seeds(80), max_in_flight=8)
    outcomes = await gather(fleet)
    assert sorted(outcome.index for outcome in outcomes) == list(range(80))
    assert all(outcome.ok for outcome in outcomes)
    (stream,) = pools.streams
    types = "rollout.cancelled,rollout.completed,rollout.failed,rollout.succeeded"
    assert stream.query == {"start": "latest", "types": types, "include": "rollout"}
    assert not pools.followed
    # Once at its end, and once more if its end may have been missed.
    assert all(1 <= looks <= 2 for looks in pools.looks.values())
    assert sum(pools.looks.values()) < 1.5 * 80, "few may have been missed"
    assert await is_over(fleet, pools)


async def test_what_its_last_event_holds_is_not_asked_for(
    pools: PoolService, fleet_client: AsyncContainerPoolsClient
) -> None:
    end_one_after_the_other(pools)
    pools.told = lambda rollout_id: {
        "rollout": {**pools.rollout(rollout_id), "told": rollout_id},
        "summary": {"rollout_id": rollout_id, "reward": 0.5},
    }
    outcomes = await gather(fleet_client.rollouts.run_many(P, seeds(80), max_in_flight=8))
    for outcome in outcomes:
        assert outcome.rollout is not None
        assert outcome.ok
        actual = (outcome.rollout.get("told"), outcome.reward)
        summary_count = pools.summaries[str(outcome.rollout_id)]
        assert actual == ((None, 1.0) if summary_count else (outcome.rollout_id, 0.5))
    # Rollouts that may have ended before the stream began.
    assert sum(pools.looks.values()) <= 8
    assert len(pools.summaries) <= 8


TOLD_WRONGLY: dict[str, Any] = {
    "of another rollout": {"rollout": {"rollout_id": "rollout_x", "status": "completed"}},
    "no end": {"rollout": {"status": "running"}},
    "no rollout": {"rollout": 7},
    "no summary": {"summary": None},
    "the summary of another one": {"summary": {"rollout_id": "rollout_x"}},
}


@pytest.mark.parametrize("kind", [*TOLD_WRONGLY])
async def test_what_is_no_end_of_the_rollout_is_not_believed(
    pools: PoolService, fleet_client: AsyncContainerPoolsClient, kind: str
) -> None:
    end_one_after_the_other(pools)

    def last_event(rollout_id: str) -> dict[str, Any]:
        right = {
            "rollout": {**pools.rollout(rollout_id), "told": True},
            "summary": {"rollout_id": rollout_id, "reward": 0.5},
        }
        wrong = TOLD_WRONGLY[kind]
        return {
            name: {**value, **wrong[name]}
            if isinstance(wrong.get(name), dict)
            else wrong.get(name, value)
            for name, value in right.items()
        }

    pools.told = last_event
    outcomes = await gather(fleet_client.rollouts.run_many(P, seeds(9), max_in_flight=3))
    for outcome in outcomes:
        assert outcome.ok
        assert outcome.reward == 1.0
        assert outcome.rollout is not None
        assert "told" not in outcome.rollout
    assert len(pools.looks) == len(pools.summaries) == 9


@pytest.mark.parametrize("status", [400, 422])
async def test_a_service_that_refuses_what_it_does_not_know_is_asked_without_it(
    pools: PoolService, fleet_client: AsyncContainerPoolsClient, status: int
) -> None:
    end_one_after_the_other(pools)
    pools.serve = lambda request: answer({}, status) if "include" in request.query else None
    outcomes = await gather(fleet_client.rollouts.run_many(P, seeds(9), max_in_flight=3))
    assert [outcome.ok for outcome in outcomes] == [True] * 9
    assert ["include" in request.query for request in pools.streams] == [True, False]
    assert not pools.followed


async def test_its_streams_are_first_attempts_to_who_watches_the_requests(
    server: FaultServer, pools: PoolService
) -> None:
    end_one_after_the_other(pools)
    infos: list[RequestInfo] = []
    async with AsyncContainerPoolsClient(
        api_key="sk_test", base_url=server.url, on_request=infos.append
    ) as client:
        await gather(client.rollouts.run_many(P, seeds(4), max_in_flight=2))
    streams = [info.attempt for info in infos if info.operation == "stream_pool_events"]
    assert streams == [1] * len(pools.streams)
    assert streams


@pytest.mark.parametrize("most_characters", [None, 0, 4 * 1024 * 1024])
async def test_what_ends_before_its_id_is_known_is_not_missed(
    pools: PoolService,
    fleet_client: AsyncContainerPoolsClient,
    monkeypatch: pytest.MonkeyPatch,
    most_characters: int | None,
) -> None:
    end_one_after_the_other(pools)
    if most_characters is not None:
        monkeypatch.setattr(pool_watch, "_MOST_EARLY_CHARACTERS", most_characters)
        pools.told = lambda rollout_id: {
            "rollout": pools.rollout(rollout_id),
            "summary": {"rollout_id": rollout_id},
        }

    def admit(rollout_id: str) -> Fault | None:
        if len(pools.status) == 1:
            return None
        was_told = Event()

        def idle() -> None:
            if rollout_id in pools.running:
                pools.finish(rollout_id)
            else:
                was_told.set()

        # Its answer arrives after its last event, over another connection.
        pools.idle = idle
        return when(was_told.is_set, answer({"rollout_id": rollout_id, "status": "queued"}, 202))

    pools.admit = admit
    outcomes = await gather(fleet_client.rollouts.run_many(P, seeds(20), max_in_flight=1))
    assert [outcome.ok for outcome in outcomes] == [True] * 20
    assert (len(pools.streams), len(pools.followed)) == (1, 0)
    if most_characters is None:
        assert len(pools.looks) == 20
    elif most_characters:
        # A stored end needs no request.
        assert len(pools.looks) <= 2


@pytest.mark.parametrize("forgets", [False, True])
@pytest.mark.parametrize("how", ["end", "cut", "reset"])
async def test_a_stream_that_breaks_is_resumed_and_nothing_is_missed(
    pools: PoolService, fleet_client: AsyncContainerPoolsClient, how: str, forgets: bool
) -> None:
    turns = iter(range(10**9))

    def idle() -> None:
        if len(pools.running) < 6 and len(pools.status) < 60:
            return
        pools.finish(pools.running[0])
        if next(turns) % 9 == 8:
            pools.cut(how)
            # These rollouts end while there is no stream.
            for rollout_id in pools.running[:2]:
                pools.finish(rollout_id)

    pools.idle = lambda: idle() if pools.running else None
    pools.forgets = forgets
    outcomes = await gather(fleet_client.rollouts.run_many(P, seeds(60), max_in_flight=6))
    assert len(outcomes) == 60
    assert all(outcome.ok for outcome in outcomes)
    first, *others = pools.streams
    assert "cursor" not in first.query
    assert len(others) >= 4
    cursors = [request.query["cursor"] for request in others]
    assert cursors == sorted(set(cursors))
    assert not pools.followed


NO_STREAMS: dict[str, Fault] = {
    "unknown": answer({"detail": "Not Found"}, 404),
    "not allowed": answer({"detail": "Method Not Allowed"}, 405),
    "not implemented": answer({}, 501),
    "forbidden": answer({}, 403),
    "a pool": answer({"id": P, "status": "active"}),
    "a page": html(200),
    "other events": events([b'id: 1\n\nevent: rollout.completed\ndata: {"id": 1}\n\n']),
    "no JSON": events([b"id: 1\n\nevent: rollout.failed\ndata: {\n\n"]),
}
UNLIKELY_STREAMS: dict[str, Fault] = {
    "nothing more": answer({}, 204),
    "an end": events([]),
    "heartbeats": events([b": here\n\n"] * 3),
    "no answer": close(),
    "a reset": reset(),
    "fails": answer({}, 500),
}


@pytest.mark.parametrize("kind", [*NO_STREAMS, *UNLIKELY_STREAMS])
async def test_without_such_a_stream_each_rollout_is_followed(
    pools: PoolService, fleet_client: AsyncContainerPoolsClient, kind: str
) -> None:
    fault = {**NO_STREAMS, **UNLIKELY_STREAMS}[kind]
    pools.serve = lambda _: fault
    pools.admit = lambda rollout_id: pools.finish(rollout_id)
    outcomes = await gather(fleet_client.rollouts.run_many(P, seeds(20), max_in_flight=4))
    assert len(outcomes) == 20
    assert all(outcome.ok for outcome in outcomes)
    # The stream is not requested again, or a few times if the network may be at fault.
    assert len(pools.streams) == 1 if kind in NO_STREAMS else len(pools.streams) <= 3
    assert len(pools.followed) >= 16


@pytest.mark.parametrize("begins", [False, True])
async def test_a_stream_that_is_held_back_on_its_way_is_not_waited_for(
    pools: PoolService,
    fleet_client: AsyncContainerPoolsClient,
    monkeypatch: pytest.MonkeyPatch,
    begins: bool,
) -> None:
    monkeypatch.setattr(pool_watch, "_FIRST_BLOCK_SECONDS", 0.1)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: here\n\n"
    pools.serve = lambda _: stall_at(len(head) if begins else 0, head)
    pools.admit = lambda rollout_id: pools.finish(rollout_id)
    outcomes = await gather(fleet_client.rollouts.run_many(P, seeds(9), max_in_flight=3))
    assert [outcome.ok for outcome in outcomes] == [True] * 9
    # On a busy machine the time may be over before the first request.
    assert len(pools.streams) <= 1


async def test_where_no_reader_can_be_started_each_rollout_is_followed(
    pools: PoolService, fleet_client: AsyncContainerPoolsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = AsyncWorkerGroup.start

    def refuse(group: AsyncWorkerGroup, work: Any, on_failure: Any) -> bool:
        return work.__name__ != "_read" and start(group, work, on_failure)

    monkeypatch.setattr(AsyncWorkerGroup, "start", refuse)
    pools.admit = lambda rollout_id: pools.finish(rollout_id)
    outcomes = await gather(fleet_client.rollouts.run_many(P, seeds(20), max_in_flight=4))
    assert [outcome.ok for outcome in outcomes] == [True] * 20
    assert (len(pools.streams), len(pools.followed)) == (0, 20)


@pytest.mark.parametrize("holds_rollouts", [False, True])
async def test_what_others_run_on_the_pool_takes_no_memory(
    pools: PoolService,
    fleet_client: AsyncContainerPoolsClient,
    monkeypatch: pytest.MonkeyPatch,
    holds_rollouts: bool,
) -> None:
    most = 10_000
    monkeypatch.setattr(pool_watch, "_MOST_EARLY_CHARACTERS", most)
    end_one_after_the_other(pools)

    def admit(_: str) -> None:
        for number in range(500 if len(pools.status) % 20 == 0 else 0):
            foreign_id = f"of_others_{number}"
            event: dict[str, Any] = {"event": "rollout.completed", "rollout_id": foreign_id}
            event["result"] = "x" * 100
            if holds_rollouts:
                rollout = {"id": foreign_id, "status": "failed"}
                event |= {"rollout": rollout, "summary": {"id": foreign_id}}
            pools.tell(P, event, 20)

    pools.admit = admit
    fleet = fleet_client.rollouts.run_many(P, seeds(100), max_in_flight=8)
    followed, early = [], []
    async for outcome in fleet:
        assert outcome.ok
        # Also of the last ones, when it may be over.
        watch = fleet._engine._watches._watches[P]  # type: ignore[union-attr]
        # Its reader adds an event before it drops others for it.
        with watch._watches.lock:
            followed.append(len(watch._rollouts))
            early.append(len(watch._early))
            assert watch._early_characters <= most
    assert len(followed) == 100
    assert max(followed) <= 8
    assert (max(early) > 10) == holds_rollouts
    assert max(early) * len('{"rollout": {"id": "of_others_1"}}') < most
    assert len(pools.streams) == 1


async def test_what_is_asked_for_behind_its_events_is_asked_for_again(
    server: FaultServer,
    pools: PoolService,
    fleet_client: AsyncContainerPoolsClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    following, followed, told_ids = pool_watch.AsyncPoolWatch.following, set[str](), set[str]()

    @contextlib.contextmanager
    def follow(watch: pool_watch.AsyncPoolWatch, rollout_id: str, mark: int) -> Iterator[Any]:
        with following(watch, rollout_id, mark) as rollout:
            followed.add(rollout_id)
            yield rollout

    def idle() -> None:
        # The end of a rollout that is not followed yet would not count.
        for rollout_id in followed & {*pools.running} - told_ids:
            told_ids.add(rollout_id)
            pools.tell(P, {"event": "rollout.completed", "rollout_id": rollout_id})

    def choose(request: Seen) -> Fault:
        if "/rollouts/" in request.path and request.path.endswith("/events"):
            pools.status[request.path.split("/")[-2]] = "completed"
        return pools(request)

    monkeypatch.setattr(pool_watch.AsyncPoolWatch, "following", follow)
    pools.idle = idle
    server.play(choose=choose)
    outcomes = await gather(fleet_client.rollouts.run_many(P, seeds(3), max_in_flight=1))
    assert [outcome.ok for outcome in outcomes] == [True] * 3
    assert len(pools.followed) == 3


async def test_what_ended_unnoticed_is_found_where_what_is_asked_for_lags_behind(
    server: FaultServer,
    pools: PoolService,
    fleet_client: AsyncContainerPoolsClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The end arrives before the id, and a request returns it only later."""
    monkeypatch.setattr(pool_watch, "_FIRST_DOUBT_SECONDS", 0.01)
    end_one_after_the_other(pools)

    def admit(rollout_id: str) -> Fault | None:
        if len(pools.status) == 1:
            return None
        untold, was_told = [{"event": "rollout.completed", "rollout_id": rollout_id}], Event()

        def idle() -> None:
            if untold:
                pools.tell(P, untold.pop())
            else:
                was_told.set()

        pools.idle = idle
        return when(was_told.is_set, answer({"rollout_id": rollout_id, "status": "queued"}, 202))

    def choose(request: Seen) -> Fault:
        for rollout_id in pools.running:
            if pools.looks[rollout_id] == 3:
                pools.status[rollout_id] = "completed"
        return pools(request)

    pools.admit = admit
    server.play(choose=choose)
    outcomes = await gather(fleet_client.rollouts.run_many(P, seeds(2), max_in_flight=1))
    assert [outcome.ok for outcome in outcomes] == [True] * 2
    assert pools.looks["rollout_1"] == 4
    assert (len(pools.streams), len(pools.followed)) == (1, 0)


@pytest.mark.parametrize("is_cut", [False, True])
async def test_what_ends_while_no_fleet_runs_is_found_by_the_next(
    waiting: PoolService, fleet_client: AsyncContainerPoolsClient, tmp_path: Path, is_cut: bool
) -> None:
    journal = tmp_path / "run.jsonl"
    async with fleet_client.rollouts.run_many(
        P, seeds(6), max_in_flight=6, journal=journal
    ) as fleet:
        await fleet.__anext__()
    if is_cut:
        # As after a crash before the first admission was on the disk.
        journal.write_bytes(journal.read_bytes().split(b"\n")[0] + b"\n")
    for rollout_id in waiting.running:
        waiting.finish(rollout_id)
    fleet = fleet_client.rollouts.run_many(P, seeds(6), max_in_flight=6, journal=journal)
    outcomes = await gather(fleet)
    assert [outcome.ok for outcome in outcomes] == [True] * 6
    assert len(waiting.status) == 6


@pytest.mark.filterwarnings("ignore:.*multi-threaded")
async def test_a_child_that_is_forked_meanwhile_changes_nothing(
    pools: PoolService, fleet_client: AsyncContainerPoolsClient
) -> None:
    end_one_after_the_other(pools)
    fleet = fleet_client.rollouts.run_many(P, seeds(40), max_in_flight=6)
    await fleet.__anext__()
    with idle_child():
        assert len(await gather(fleet)) == 39
    assert await is_over(fleet, pools)
    assert len(pools.streams) == 1


@pytest.mark.system
async def test_a_real_backend_that_is_restarted_in_the_middle(tmp_path: Path) -> None:
    paths: list[str] = []
    with HeldPort() as port:
        # Running rollouts must end before it does, also on a busy machine.
        backend = LocalBackend(tmp_path, port=port.number, api_key="a-key-of-this-test", grace=5)
        backend.start()
        done = 0

        def note(_: object) -> None:
            nonlocal done
            done += 1
            if done in (100, 250):
                backend.stop()
                backend.start()

        try:
            async with AsyncContainerPoolsClient(
                api_key="a-key-of-this-test",
                base_url=backend.url,
                on_request=lambda info: paths.append(info.operation),
            ) as client:
                pool = await client.create_pool({"name": "restarted", "concurrency": 32})
                requests: list[dict[str, Any]] = [
                    {"seed": seed, "env": {"delay": 0.02, "reward": seed / 400}}
                    for seed in range(400)
                ]
                outcomes = await gather(
                    client.rollouts.run_many(pool["id"], requests, max_in_flight=48, on_result=note)
                )
        finally:
            backend.stop()
    assert sorted(outcome.seed for outcome in outcomes) == list(range(400))
    assert [outcome.error for outcome in outcomes if not outcome.ok] == []
    assert all(outcome.reward == outcome.seed / 400 for outcome in outcomes)
    assert len({outcome.rollout_id for outcome in outcomes}) == 400
    assert "stream_rollout_events" not in paths
    assert paths.count("stream_pool_events") >= 3
