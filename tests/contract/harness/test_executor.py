"""The executor: every operation of a scenario gets an outcome, however the scenario ends."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable

import pytest

from synth_pools.contract.document import Document
from synth_pools.contract.exceptions import (
    BusyError,
    InconclusiveError,
    MissingOperationError,
    StoppedError,
    StopScenarioError,
    UnreachableError,
)
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.executor import ScenarioExecutor, execute
from synth_pools.contract.harness.expectations import Expectation
from synth_pools.contract.harness.lanes import Lane
from synth_pools.contract.harness.registry import Scenario
from synth_pools.contract.results import Clause, Outcome
from synth_pools.contract.session import Session
from synth_pools.spec import load_spec
from tests.contract.harness.sessions import answering, outcomes, session
from tests.support.faults import answer

_HELD = (Outcome.HELD, "")
_DEPARTED = "what comes before it departed"
_LATE = "the time ran out before every scenario was played: give it more"


def _scenario(play: Callable[[Context], None], id_: str = "a.b", **more: object) -> Scenario:
    clause = Clause("Pages", "a demand")
    return Scenario(id_, clause, ("get_pool", "list_pools"), play, **more)  # type: ignore[arg-type]


def _raising(error: Exception) -> Callable[[Context], None]:
    def play(ctx: Context) -> None:
        ctx.expect.that(Expectation("get_pool", "a demand", None), True, "")
        raise error

    return play


@pytest.mark.parametrize(
    ("error", "rest", "obstacle"),
    [
        (StopScenarioError(), _DEPARTED, None),
        (MissingOperationError("delete_pool"), "needs delete_pool", None),
        (InconclusiveError(Outcome.NOT_REACHED, "list_pools", "too slow"), "too slow", None),
        (BusyError("429"), "429", "the server is too busy to be judged: 429"),
        (StoppedError(), "the run was stopped", None),
        (
            KeyError("x"),
            "the kit stumbled: KeyError: 'x'",
            "the kit stumbled in a.b: KeyError: 'x'",
        ),
    ],
)
def test_what_ends_a_scenario_is_the_note_of_what_it_did_not_judge(
    error: Exception, rest: str, obstacle: str | None
) -> None:
    run = session()
    assert execute(run, _scenario(_raising(error))) == obstacle
    unjudged = (Outcome.NOT_REACHED, rest)
    # A part of a scenario is no verdict, unless a departure ended it.
    before = _HELD if rest == _DEPARTED else unjudged
    assert outcomes(run) == {"get_pool": before, "list_pools": unjudged}
    assert not run.http.stop.is_set()


def test_an_operation_that_answers_501_is_named_by_those_that_needed_it() -> None:
    def play(ctx: Context) -> None:
        ctx.require(200, "get_pool", {"pool_id": "p"})
        ctx.require(200, "list_pools")

    with answering({"get_pool": answer({}), "list_pools": answer({}, 501)}) as (run, _):
        assert execute(run, _scenario(play)) is None
        cells = run.collector.result().outcomes
    assert {(cell.operation, cell.outcome, cell.note) for cell in cells if cell.check == "a.b"} == {
        ("get_pool", Outcome.NOT_REACHED, "needs list_pools"),
        ("list_pools", Outcome.NOT_OFFERED, "the server answers 501"),
    }


def test_a_lost_connection_stops_the_run() -> None:
    def play(ctx: Context) -> None:
        ctx.require(200, "list_pools")

    run = session()
    obstacle = execute(run, _scenario(play))
    assert obstacle is not None
    assert obstacle.startswith("the connection was lost (127.0.0.1:9")
    assert run.http.stop.is_set()
    assert set(outcomes(run).values()) == {(Outcome.NOT_REACHED, "the connection was lost")}


@pytest.mark.parametrize(
    ("needs", "features", "outcome", "note"),
    [
        (("pause",), {}, Outcome.NOT_OFFERED, "features.pause is not true"),
        (("pause",), {"pause": True}, Outcome.HELD, ""),
        (("without pause",), {"pause": False}, Outcome.HELD, ""),
        (("without pause",), {"pause": True}, Outcome.NOT_OFFERED, "features.pause is not false"),
        (("without pause",), {}, Outcome.NOT_OFFERED, "features.pause is not false"),
        (("live",), {"echo": True}, Outcome.HELD, ""),
        (
            ("live",),
            {},
            Outcome.NOT_REACHED,
            "needs a slow rollout: no echo target, and no container",
        ),
        (("containers",), {"echo": True}, Outcome.NOT_REACHED, "needs a backend on this machine"),
        # The first unmet need.
        (("live", "pause"), {}, Outcome.NOT_REACHED, "needs a slow rollout"),
        (("live", "pause"), {"echo": True}, Outcome.NOT_OFFERED, "features.pause is not true"),
        (("live", "pause"), {"echo": True, "pause": True}, Outcome.HELD, ""),
    ],
)
def test_a_scenario_whose_need_is_not_met_is_not_played(
    needs: tuple[str, ...], features: dict[str, bool], outcome: Outcome, note: str
) -> None:
    def play(ctx: Context) -> None:
        for operation in ctx.operations:
            ctx.expect.that(Expectation(operation, "a demand", None), True, "")

    run = session(features)
    assert execute(run, _scenario(play, needs=needs)) is None
    for actual, actual_note in outcomes(run).values():
        assert (actual, actual_note[: len(note)]) == (outcome, note)


def test_a_run_that_only_reads_plays_what_only_reads() -> None:
    played: list[str] = []

    def play(ctx: Context) -> None:
        played.append(ctx.scenario.id)

    run = session(read_only=True)
    assert execute(run, _scenario(play, "writes.much")) is None
    assert execute(run, _scenario(play, "reads.much", reads_only=True)) is None
    assert played == ["reads.much"]


def test_after_the_deadline_nothing_is_played() -> None:
    run = session(deadline=0.0)
    assert execute(run, _scenario(_raising(KeyError("x")))) == _LATE
    assert set(outcomes(run).values()) == {(Outcome.NOT_REACHED, "the time ran out")}


def test_slow_ones_run_along_and_those_that_run_alone_come_last() -> None:
    played: list[str] = []
    quick_done, slow_done = threading.Event(), threading.Event()

    def quick(ctx: Context) -> None:
        played.append(ctx.scenario.id)
        quick_done.set()

    def slow(ctx: Context) -> None:
        assert quick_done.wait(30)
        played.append(ctx.scenario.id)
        slow_done.set()

    def carry_out(layer: str, tell: Callable[[str], None]) -> None:
        # It begins while a scenario goes on.
        assert slow_done.wait(30)
        tell(f"{layer}, all of it")
        played.append(layer)

    progress: list[tuple[int, int]] = []
    run: Session = session()
    scenarios = [
        _scenario(quick, "runs.alone", alone=True),
        _scenario(slow, "runs.slow", slow=True),
        _scenario(quick, "runs.quick"),
    ]
    executor = ScenarioExecutor(run, scenarios, lambda done, total: progress.append((done, total)))
    lane = Lane(["model"], carry_out, lambda: True)
    executor.wait_for_all([lane])
    assert played == ["runs.quick", "runs.slow", "model", "runs.alone"]
    assert lane.phase == "model, all of it"
    assert executor.obstacles == []
    assert {total for _, total in progress} <= {3}
    assert run.seconds.keys() == {"runs.quick", "runs.slow", "runs.alone"}


def test_what_hangs_when_the_run_is_stopped_is_left_and_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(importlib.import_module(execute.__module__), "_LAST_SECONDS", 0.0)
    hangs, release = threading.Event(), threading.Event()

    def hang(ctx: Context) -> None:
        hangs.set()
        release.wait(60)

    run = session()
    executor = ScenarioExecutor(run, [_scenario(hang)], lambda *_: None)
    assert hangs.wait(30)
    run.http.stop.set()
    try:
        executor.wait_for_all()
        executor.wait_for_all()
        # Two waits ended so; one note reports it.
        assert executor.obstacles == ["scenarios did not end within 0 s of being stopped"]
    finally:
        release.set()


def test_what_was_begun_when_the_run_is_stopped_has_some_time_to_end() -> None:
    hangs, release = threading.Event(), threading.Event()
    waits: list[int] = []

    def hang(ctx: Context) -> None:
        hangs.set()
        assert release.wait(60)

    def progress(done: int, total: int) -> None:
        waits.append(done)
        if len(waits) == 3:
            release.set()

    run = session()
    executor = ScenarioExecutor(run, [_scenario(hang)], progress)
    assert hangs.wait(30)
    run.http.stop.set()
    executor.wait_for_all()
    assert release.is_set()
    assert executor.obstacles == []


def test_the_error_of_a_layer_is_raised_and_nothing_runs_alone_after_it() -> None:
    played: list[str] = []
    alone = _scenario(lambda ctx: played.append(ctx.scenario.id), "runs.alone", alone=True)

    def lost(layer: str, _: Callable[[str], None]) -> None:
        played.append(layer)
        raise UnreachableError("nobody")

    executor = ScenarioExecutor(session(), [alone], lambda *_: None)
    with pytest.raises(UnreachableError, match="nobody"):
        executor.wait_for_all([Lane(["client", "model"], lost, lambda: True)])
    assert played == ["client"]


def test_no_layer_begins_once_the_time_is_up_and_a_stopped_one_is_no_error() -> None:
    played: list[str] = []

    def stopped(layer: str, _: Callable[[str], None]) -> None:
        played.append(layer)
        raise StoppedError

    executor = ScenarioExecutor(session(), [], lambda *_: None)
    lanes = [Lane(["client"], stopped, lambda: False), Lane(["model"], stopped, lambda: True)]
    executor.wait_for_all(lanes)
    assert played == ["model"]


def test_the_layer_that_goes_on_is_told() -> None:
    progressed = threading.Event()

    def carry_out(_: str, tell: Callable[[str], None]) -> None:
        tell("half of it")
        assert progressed.wait(60)

    phases: list[str] = []

    def progress(phase: str) -> None:
        phases.append(phase)
        if phase == "half of it":
            progressed.set()

    executor = ScenarioExecutor(session(), [], lambda *_: None)
    executor.wait_for_all([Lane(["model"], carry_out, lambda: True)], progress)
    assert phases[-1] == "half of it"


def test_what_hinders_several_scenarios_is_told_once() -> None:
    executor = ScenarioExecutor(
        session(),
        [_scenario(_raising(BusyError("429")), name) for name in ("a.b", "a.c")],
        lambda *_: None,
    )
    executor.wait_for_all()
    assert executor.obstacles == ["the server is too busy to be judged: 429"]


def test_more_scenarios_at_a_time_are_played_where_requests_take_long() -> None:
    run, all_there = session(), threading.Barrier(8)
    run.http.round_trip = 1.0

    def meet(ctx: Context) -> None:
        all_there.wait(30)

    executor = ScenarioExecutor(
        run, [_scenario(meet, f"a.{number}") for number in range(8)], lambda *_: None
    )
    executor.wait_for_all()
    assert executor.obstacles == []


def test_a_stumble_after_a_departure_is_no_obstacle() -> None:
    def play(ctx: Context) -> None:
        ctx.expect.that(Expectation("get_pool", "a demand", None), False, "nothing")
        raise KeyError("x")

    run = session()
    assert execute(run, _scenario(play)) is None
    assert outcomes(run)["list_pools"] == (Outcome.NOT_REACHED, "the kit stumbled: KeyError: 'x'")


def test_what_a_backend_has_not_is_neither_asked_for_nor_told() -> None:
    def play(ctx: Context) -> None:
        ctx.require(200, "get_pool", {"pool_id": "p"})

    run = session()
    run.document = Document(load_spec())
    run.http.document = run.document
    run.document.narrow(("list_pools", "create_pool"))
    assert execute(run, _scenario(play)) is None
    assert outcomes(run) == {"list_pools": (Outcome.NOT_REACHED, "needs get_pool")}
    # Only that operation shows that the kit's own containers can be reached.
    execute(run, _scenario(play, "needs.containers", needs=("containers",)))
    notes = [
        outcome.note
        for outcome in run.collector.result().outcomes
        if outcome.check == "needs.containers"
    ]
    assert notes == ["tried with the kit's containers, once get_pool_container_health is there"]
