# Derived by `make generate`. Change the file that it comes from:
# tests/client/async_/test_fleet_watch.py

"""Fleets that follow one event stream for each pool."""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from types import ModuleType
from typing import Any

import pytest

from synth_pools import (
    ClientClosedError,
    ConflictError,
    ContainerPoolsClient,
    FleetStoppedError,
    RolloutOutcome,
)
from synth_pools._client._sync.fleet import pool_watch
from synth_pools._client._sync.fleet.fleet import Fleet
from synth_pools._client.runtime.sync_.concurrency import WorkerGroup
from synth_pools.local import LocalBackend
from tests.support.fault_server import FaultServer, Seen
from tests.support.faults import Fault, answer, close, events, html, reset, stall, stall_at, when
from tests.support.forks import idle_child
from tests.support.leaks import KEY
from tests.support.pool_service import P, PoolService
from tests.support.ports import HeldPort

pytestmark = pytest.mark.one_library


@pytest.fixture
def pools(server: FaultServer) -> PoolService:
    """The `server` with the routes that a fleet uses, and the events of pools."""
    service = PoolService()
    server.play(choose=service)
    return service


def seeds(number: int) -> list[dict[str, Any]]:
    return [{"seed": seed} for seed in range(number)]


def gather(outcomes: Iterator[RolloutOutcome]) -> list[RolloutOutcome]:
    return [outcome for outcome in outcomes]


def end_one_after_the_other(service: PoolService) -> None:
    def idle() -> None:
        for rollout_id in service.running[:1]:
            service.finish(rollout_id)

    service.idle = idle


def test_one_stream_for_all(pools: PoolService, fleet_client: ContainerPoolsClient) -> None:
    end_one_after_the_other(pools)
    fleet = fleet_client.rollouts.run_many(P, seeds(80), max_in_flight=8)
    outcomes = gather(fleet)
    assert sorted(outcome.index for outcome in outcomes) == list(range(80))
    assert all(outcome.ok for outcome in outcomes)
    (stream,) = pools.streams
    types = "rollout.cancelled,rollout.completed,rollout.failed,rollout.succeeded"
    assert stream.query == {"start": "latest", "types": types}
    assert not pools.followed
    # Once at its end, and once more where its end may have been missed.
    assert all(1 <= looks <= 2 for looks in pools.looks.values())
    assert is_over(fleet, pools)


def test_what_ends_before_its_id_is_known_is_not_missed(
    pools: PoolService, fleet_client: ContainerPoolsClient
) -> None:
    end_one_after_the_other(pools)

    def admit(rollout_id: str) -> Fault | None:
        if len(pools.status) == 1:
            return None
        told = Event()

        def idle() -> None:
            if rollout_id in pools.running:
                pools.finish(rollout_id)
            else:
                told.set()

        # Its answer comes after its last event was sent, over another connection.
        pools.idle = idle
        return when(told.is_set, answer({"rollout_id": rollout_id, "status": "queued"}, 202))

    pools.admit = admit
    outcomes = gather(fleet_client.rollouts.run_many(P, seeds(20), max_in_flight=1))
    assert [outcome.ok for outcome in outcomes] == [True] * 20
    assert (len(pools.streams), len(pools.followed)) == (1, 0)


@pytest.mark.parametrize("forgets", [False, True])
@pytest.mark.parametrize("how", ["end", "cut", "reset"])
def test_a_stream_that_breaks_is_resumed_and_nothing_is_missed(
    pools: PoolService, fleet_client: ContainerPoolsClient, how: str, forgets: bool
) -> None:
    turns = iter(range(10**9))

    def idle() -> None:
        if len(pools.running) < 6 and len(pools.status) < 60:
            return
        pools.finish(pools.running[0])
        if next(turns) % 9 == 8:
            pools.cut(how)
            # Those end while there is no stream.
            for rollout_id in pools.running[:2]:
                pools.finish(rollout_id)

    pools.idle = lambda: idle() if pools.running else None
    pools.forgets = forgets
    outcomes = gather(fleet_client.rollouts.run_many(P, seeds(60), max_in_flight=6))
    assert len(outcomes) == 60
    assert all(outcome.ok for outcome in outcomes)
    first, *others = pools.streams
    assert "cursor" not in first.query
    assert len(others) >= 4
    cursors = [seen.query["cursor"] for seen in others]
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
def test_without_such_a_stream_each_rollout_is_followed(
    pools: PoolService, fleet_client: ContainerPoolsClient, kind: str
) -> None:
    fault = {**NO_STREAMS, **UNLIKELY_STREAMS}[kind]
    pools.serve = lambda _: fault
    pools.admit = lambda rollout_id: pools.finish(rollout_id)
    outcomes = gather(fleet_client.rollouts.run_many(P, seeds(20), max_in_flight=4))
    assert len(outcomes) == 20
    assert all(outcome.ok for outcome in outcomes)
    # It is not asked for again; where that may be the network's fault, a few times.
    assert len(pools.streams) == 1 if kind in NO_STREAMS else len(pools.streams) <= 3
    assert len(pools.followed) >= 16


def test_a_stream_that_is_held_back_on_its_way_is_not_waited_for(
    pools: PoolService,
    fleet_client: ContainerPoolsClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool_watch, "_FIRST_BLOCK_SECONDS", 0.05)
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n: here\n\n"
    for length in (0, len(head)):
        pools.streams.clear()
        pools.serve = lambda _, length=length: stall_at(length, head)  # type: ignore[misc]
        pools.admit = lambda rollout_id: pools.finish(rollout_id)
        outcomes = gather(fleet_client.rollouts.run_many(P, seeds(9), max_in_flight=3))
        assert [outcome.ok for outcome in outcomes] == [True] * 9
        assert len(pools.streams) == 1


def test_where_no_reader_can_be_started_each_rollout_is_followed(
    pools: PoolService,
    fleet_client: ContainerPoolsClient,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    start = WorkerGroup.start

    def refuse(group: WorkerGroup, work: Any, lost: Any) -> bool:
        return work.__name__ != "_read" and start(group, work, lost)

    monkeypatch.setattr(WorkerGroup, "start", refuse)
    pools.admit = lambda rollout_id: pools.finish(rollout_id)
    outcomes = gather(fleet_client.rollouts.run_many(P, seeds(20), max_in_flight=4))
    assert [outcome.ok for outcome in outcomes] == [True] * 20
    assert (len(pools.streams), len(pools.followed)) == (0, 20)


def test_what_others_run_on_the_pool_takes_no_memory(
    pools: PoolService, fleet_client: ContainerPoolsClient
) -> None:
    others = {"event": "rollout.completed", "rollout_id": "of_others"}
    end_one_after_the_other(pools)

    def admit(_: str) -> None:
        if len(pools.status) % 20 == 0:
            pools.tell(P, {**others, "result": "x" * 100}, 10_000)

    pools.admit = admit
    fleet = fleet_client.rollouts.run_many(P, seeds(100), max_in_flight=8)
    kept = []
    for outcome in fleet:
        assert outcome.ok
        watch = fleet._engine._watches.of(P)  # type: ignore[union-attr]
        assert watch is not None
        kept.append(len(watch._rollouts))
    assert len(kept) == 100
    assert max(kept) <= 8
    assert len(pools.streams) == 1


def test_what_is_asked_for_behind_its_events_is_asked_for_again(
    server: FaultServer, pools: PoolService, fleet_client: ContainerPoolsClient
) -> None:
    told: set[str] = set()

    def idle() -> None:
        for rollout_id in {*pools.running} - told:
            told.add(rollout_id)
            pools.tell(P, {"event": "rollout.completed", "rollout_id": rollout_id})

    def choose(seen: Seen) -> Fault:
        if "/rollouts/" in seen.path and seen.path.endswith("/events"):
            pools.status[seen.path.split("/")[-2]] = "completed"
        return pools(seen)

    pools.idle = idle
    server.play(choose=choose)
    outcomes = gather(fleet_client.rollouts.run_many(P, seeds(3), max_in_flight=1))
    assert [outcome.ok for outcome in outcomes] == [True] * 3
    assert len(pools.followed) == 3


@pytest.fixture
def waiting(pools: PoolService, monkeypatch: pytest.MonkeyPatch) -> PoolService:
    """A service where the first of six rollouts ends, when all are there, and the others do not."""
    # What is not woken waits for longer than anyone waits for it.
    monkeypatch.setattr("synth_pools._client.runtime.sync_.concurrency._LONGEST_SLEEP", 60.0)

    def idle() -> None:
        if len(pools.status) == 6 and pools.status["rollout_0"] == "queued":
            pools.finish("rollout_0")

    pools.idle = idle
    return pools


def is_over(fleet: Fleet, service: PoolService) -> bool:
    """Tell whether nothing of a fleet is left: no worker, and no stream."""
    for _ in range(3000):
        if not service.live:
            break
        time.sleep(0.01)
    engine = fleet._running()
    assert engine.closed
    return not (service.live or engine._workers)


def stop(_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("on_interrupt", ["leave", "cancel"])
@pytest.mark.parametrize("end", ["left", "raised", "interrupted", "closed", "fail_fast"])
def test_whatever_ends_a_fleet_ends_its_stream(
    waiting: PoolService, fleet_client: ContainerPoolsClient, end: str, on_interrupt: Any
) -> None:
    options: dict[str, Any] = {"max_in_flight": 6, "on_interrupt": on_interrupt}
    if end == "interrupted":
        options["on_result"] = stop
    if end == "fail_fast":
        options["fail_fast"] = True
        waiting.idle = lambda: (
            waiting.finish("rollout_0", "failed")
            if len(waiting.status) == 6 == len(waiting.running)
            else None
        )
    fleet = fleet_client.rollouts.run_many(P, seeds(20), **options)
    if end == "closed":
        fleet.__next__()
        fleet.close()
    elif end == "left":
        with fleet:
            for _ in fleet:
                break
    elif end == "raised":
        with pytest.raises(LookupError):
            with fleet:
                for _ in fleet:
                    raise LookupError
    else:
        with pytest.raises(KeyboardInterrupt if end == "interrupted" else FleetStoppedError):
            fleet.run()
    assert is_over(fleet, waiting)
    assert len(waiting.streams) == 1
    cancelled = [each for each, status in waiting.status.items() if status == "cancelled"]
    assert len(cancelled) >= 5 if on_interrupt == "cancel" else not cancelled


def test_a_fleet_that_is_forgotten_leaves_no_stream(
    waiting: PoolService, fleet_client: ContainerPoolsClient
) -> None:
    fleet: Fleet | None = fleet_client.rollouts.run_many(P, seeds(20), max_in_flight=6)
    assert fleet is not None
    fleet.__next__()
    assert waiting.live
    fleet = None
    gc.collect()
    for _ in range(3000):
        if not waiting.live:
            break
        time.sleep(0.01)
    assert not waiting.live


def test_a_fleet_that_is_not_asked_for_more_than_it_has_leaves_no_stream(
    pools: PoolService, fleet_client: ContainerPoolsClient
) -> None:
    end_one_after_the_other(pools)
    fleet = fleet_client.rollouts.run_many(P, seeds(6))
    for _ in range(6):
        fleet.__next__()
    for _ in range(3000):
        if not pools.live:
            break
        time.sleep(0.01)
    assert not pools.live
    fleet.close()


def test_workers_do_not_wait_for_a_reader_that_cannot_be_woken(
    server: FaultServer,
    waiting: PoolService,
    supplied: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pool_watch, "_FIRST_BLOCK_SECONDS", 60.0)

    def admit(rollout_id: str) -> Fault | None:
        if rollout_id != "rollout_0":
            return None
        done = answer({"rollout_id": rollout_id, "status": "completed"})
        return when(lambda: len(waiting.status) == 6 and bool(waiting.streams), done)

    waiting.admit = admit
    waiting.serve = lambda _: stall()
    with (
        supplied.Client() as http_client,
        ContainerPoolsClient(api_key=KEY, base_url=server.url, http_client=http_client) as client,
    ):
        fleet = client.rollouts.run_many(P, seeds(20), max_in_flight=6)
        fleet.__next__()
        fleet.close()
        assert is_over(fleet, waiting)
        server.kick()


def test_a_client_that_is_closed_ends_the_stream(
    waiting: PoolService, fleet_client: ContainerPoolsClient
) -> None:
    fleet = fleet_client.rollouts.run_many(P, seeds(20), max_in_flight=6)
    fleet.__next__()
    fleet_client.close()
    with pytest.raises(ClientClosedError):
        gather(fleet)
    assert is_over(fleet, waiting)


def test_patience_with_a_service_that_goes_away_for_good(
    server: FaultServer, waiting: PoolService, fleet_client: ContainerPoolsClient
) -> None:
    fleet = fleet_client.rollouts.run_many(P, seeds(20), max_in_flight=6, patience=0.5)
    fleet.__next__()
    server.refuse()
    with pytest.raises(FleetStoppedError, match="nothing gets through"):
        gather(fleet)
    assert is_over(fleet, waiting)


def test_a_source_that_fails_ends_the_stream(
    waiting: PoolService, fleet_client: ContainerPoolsClient
) -> None:
    def requests() -> Iterator[dict[str, Any]]:
        yield from seeds(6)
        raise SystemExit

    fleet = fleet_client.rollouts.run_many(P, requests(), max_in_flight=7)
    with pytest.raises(SystemExit):
        gather(fleet)
    assert is_over(fleet, waiting)


def test_the_end_of_a_pool_s_stream_is_the_reader_s_if_nobody_waits(
    pools: PoolService, fleet_client: ContainerPoolsClient
) -> None:
    end_one_after_the_other(pools)

    def admit(rollout_id: str) -> Fault | None:
        if rollout_id == "rollout_0":
            return None
        # The one before has ended, and then the stream does.
        pools.cut("end")
        return when(lambda: not pools.live, answer({"id": rollout_id, "status": "queued"}, 202))

    pools.admit = admit
    outcomes = gather(fleet_client.rollouts.run_many(P, seeds(3), max_in_flight=1))
    assert [outcome.ok for outcome in outcomes] == [True] * 3
    assert not pools.followed
    assert "cursor" in pools.streams[-1].query


def test_each_pool_of_a_fleet_has_its_stream(
    pools: PoolService, fleet_client: ContainerPoolsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool_watch, "_MOST_WATCHES", 3)
    end_one_after_the_other(pools)
    requests: list[dict[str, Any]] = [
        {"seed": seed, "pool_id": f"pool_{seed % 4}"} for seed in range(40)
    ]
    outcomes = gather(fleet_client.agent_rollouts.run_many(requests, max_in_flight=8))
    assert len(outcomes) == 40
    assert all(outcome.ok for outcome in outcomes)
    watched = {seen.path.split("/")[3] for seen in pools.streams}
    assert len(pools.streams) == len(watched) == 3
    # There is an end to how many a fleet may have.
    assert {pools.pool_of[rollout_id] for rollout_id in pools.followed} == {
        f"pool_{number}" for number in range(4)
    } - watched


NOT_ACTIVE = {"error": {"code": "pool_not_active", "message": "It is paused."}}


def test_only_what_goes_to_a_paused_pool_waits(
    pools: PoolService, fleet_client: ContainerPoolsClient
) -> None:
    end_one_after_the_other(pools)
    requests: list[dict[str, Any]] = [
        {"seed": seed, "pool_id": f"pool_{seed % 2}"} for seed in range(40)
    ]

    def ended(pool_id: str) -> int:
        return sum(
            status == "completed" and pools.pool_of[rollout_id] == pool_id
            for rollout_id, status in pools.status.items()
        )

    def refuse(pool_id: str) -> Fault | None:
        # It is active again when all others have ended.
        is_paused = pool_id == "pool_0" and ended("pool_1") < 20
        return answer(NOT_ACTIVE, 409) if is_paused else None

    pools.refuse = refuse
    outcomes = gather(fleet_client.agent_rollouts.run_many(requests, max_in_flight=24))
    assert len(outcomes) == 40
    assert all(outcome.ok for outcome in outcomes)


def test_patience_with_a_paused_pool_is_no_matter_of_the_others(
    pools: PoolService, fleet_client: ContainerPoolsClient
) -> None:
    refused: list[RolloutOutcome] = []
    requests: list[dict[str, Any]] = [
        {"seed": seed, "pool_id": f"pool_{seed % 2}"} for seed in range(12)
    ]

    def note(outcome: RolloutOutcome) -> None:
        if not outcome.ok:
            refused.append(outcome)

    def idle() -> None:
        # The others end when there is no patience left with the one.
        if len(refused) == 6 and pools.running:
            pools.finish(pools.running[0])

    pools.idle = idle
    pools.refuse = lambda pool_id: answer(NOT_ACTIVE, 409) if pool_id == "pool_0" else None
    outcomes = gather(
        fleet_client.agent_rollouts.run_many(
            requests, max_in_flight=12, patience=0.5, on_result=note
        )
    )
    assert [outcome.ok for outcome in outcomes] == [False] * 6 + [True] * 6
    assert all(isinstance(outcome.error, ConflictError) for outcome in refused)


@pytest.mark.parametrize("is_cut", [False, True])
def test_what_ends_while_no_fleet_runs_is_found_by_the_next(
    waiting: PoolService,
    fleet_client: ContainerPoolsClient,
    tmp_path: Path,
    is_cut: bool,
) -> None:
    journal = tmp_path / "run.jsonl"
    with fleet_client.rollouts.run_many(P, seeds(6), max_in_flight=6, journal=journal) as fleet:
        fleet.__next__()
    if is_cut:
        # As if it had died before the first admission was on the disk.
        journal.write_bytes(journal.read_bytes().split(b"\n")[0] + b"\n")
    for rollout_id in waiting.running:
        waiting.finish(rollout_id)
    outcomes = gather(fleet_client.rollouts.run_many(P, seeds(6), max_in_flight=6, journal=journal))
    assert [outcome.ok for outcome in outcomes] == [True] * 6
    assert len(waiting.status) == 6


@pytest.mark.filterwarnings("ignore:.*multi-threaded")
def test_a_child_that_is_forked_meanwhile_changes_nothing(
    pools: PoolService, fleet_client: ContainerPoolsClient
) -> None:
    end_one_after_the_other(pools)
    fleet = fleet_client.rollouts.run_many(P, seeds(40), max_in_flight=6)
    fleet.__next__()
    with idle_child():
        assert len(gather(fleet)) == 39
    assert is_over(fleet, pools)
    assert len(pools.streams) == 1


def test_a_real_backend_that_is_restarted_in_the_middle(tmp_path: Path) -> None:
    sent: list[str] = []
    with HeldPort() as port:
        backend = LocalBackend(tmp_path, port=port.number, api_key="a-key-of-this-test")
        backend.start()
        done = 0

        def note(_: object) -> None:
            nonlocal done
            done += 1
            if done in (100, 250):
                backend.stop()
                backend.start()

        try:
            with ContainerPoolsClient(
                api_key="a-key-of-this-test",
                base_url=backend.url,
                on_request=lambda info: sent.append(info.operation),
            ) as client:
                pool = client.create_pool({"name": "restarted", "concurrency": 32})
                requests: list[dict[str, Any]] = [
                    {"seed": seed, "env": {"delay": 0.02, "reward": seed / 400}}
                    for seed in range(400)
                ]
                outcomes = gather(
                    client.rollouts.run_many(pool["id"], requests, max_in_flight=48, on_result=note)
                )
        finally:
            backend.stop()
    assert sorted(outcome.seed for outcome in outcomes) == list(range(400))
    assert all(outcome.ok for outcome in outcomes)
    assert all(outcome.reward == outcome.seed / 400 for outcome in outcomes)
    assert len({outcome.rollout_id for outcome in outcomes}) == 400
    assert "stream_rollout_events" not in sent
    assert sent.count("stream_pool_events") >= 3
