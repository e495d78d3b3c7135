"""Waits: the operation that departs when one fails, pages of lists, and simultaneous calls."""

from __future__ import annotations

import importlib
import threading
from typing import Any

import pytest

from synth_pools.contract.document import FINAL
from synth_pools.contract.exceptions import InconclusiveError, StoppedError, StopScenarioError
from synth_pools.contract.harness.waits import (
    STARTED,
    Rollout,
    call_simultaneously,
    eventually,
    ids_of,
    iterate_pages,
    moment,
    read_until,
    run_rollout,
    side_by_side,
    start_rollout,
    wait_for,
    wait_until_resumed,
)
from synth_pools.contract.results import Outcome
from synth_pools.contract.session import Session
from tests.contract.harness.sessions import answering, asked, context, departures, session
from tests.support.faults import answer

_WAITS = importlib.import_module("synth_pools.contract.harness.waits")
_ROLLOUT = Rollout("p", "r")


def _is(status: str, **more: Any) -> Any:
    return answer({"status": status, **more})


def _made(rollout_id: Any) -> Any:
    return answer({"rollout_id": rollout_id}, 202)


def _own(run: Session) -> list[tuple[str, str, str]]:
    """Return the departures of expectations, without those of bodies from the document."""
    return [(d.operation, d.expected, d.got) for d in departures(run) if d.check == "a.b"]


def _exact(monkeypatch: pytest.MonkeyPatch) -> None:
    """Keep waits as short as on a fast connection."""
    monkeypatch.setattr(Session, "allowance", lambda _, seconds: seconds)


def test_a_rollout_is_waited_for_until_it_is_in_one_of_the_states() -> None:
    answers = {
        "create_rollout": _made("r"),
        "get_rollout": [_is("queued"), _is("running"), _is("failed")],
    }
    with answering(answers, rollout_request={"seed": 7}) as (run, server):
        ctx = context(run)
        rollout = start_rollout(ctx, "p", mode="async")
        assert wait_for(ctx, rollout, STARTED).at("status") == "running"
        assert run_rollout(ctx, "p") == _ROLLOUT
        assert [request.json for request in asked(server, "create_rollout")] == [
            {"seed": 7, "mode": "async"},
            {"seed": 7},
        ]
    assert rollout == _ROLLOUT


@pytest.mark.parametrize("rollout_id", [None, "", 5])
def test_a_rollout_without_an_id_ends_the_scenario(rollout_id: Any) -> None:
    with (
        answering({"create_rollout": _made(rollout_id)}) as (run, _),
        pytest.raises(StopScenarioError),
    ):
        start_rollout(context(run), "p")


def test_a_state_that_the_other_family_alone_shows_is_a_departure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_WAITS, "_SECOND_OPINION", 0.0)
    answers = {"get_rollout": _is("running"), "get_global_rollout": _is("completed")}
    with answering(answers) as (run, _), pytest.raises(StopScenarioError):
        wait_for(context(run), _ROLLOUT, FINAL)
    expected = "status completed, as get_global_rollout says"
    assert _own(run) == [("get_rollout", expected, "running")]


def test_a_state_that_came_while_the_other_family_was_asked_is_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_WAITS, "_SECOND_OPINION", 0.0)
    answers = {
        "get_rollout": [_is("running"), _is("completed")],
        "get_global_rollout": _is("completed"),
    }
    with answering(answers) as (run, server):
        assert wait_for(context(run), _ROLLOUT, FINAL).at("status") == "completed"
        assert len(asked(server, "get_global_rollout")) == 1
    assert _own(run) == []


def test_the_other_family_is_asked_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_WAITS, "_SECOND_OPINION", 0.0)
    answers = {
        "get_rollout": [*[_is("running")] * 3, _is("completed")],
        "get_global_rollout": _is("running"),
    }
    with answering(answers) as (run, server):
        wait_for(context(run), _ROLLOUT, FINAL)
        assert len(asked(server, "get_global_rollout")) == 1


def test_a_rollout_that_does_not_end_shows_nothing_where_none_was_seen_to_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _exact(monkeypatch)
    with answering({"get_rollout": _is("running")}) as (run, server):
        run.patience = 0.01
        with pytest.raises(InconclusiveError, match="was running and not completed or") as raised:
            wait_for(context(run), _ROLLOUT, FINAL)
        assert asked(server, "create_rollout") == []
    assert (raised.value.outcome, raised.value.operation) == (Outcome.NOT_REACHED, "create_rollout")
    assert _own(run) == []


@pytest.mark.parametrize(
    ("sooner", "is_proof", "ends", "departs"),
    [(0, True, True, True), (10**9, True, True, False), (0, False, True, False),
     (0, True, False, False)],
)  # fmt: skip
def test_a_rollout_that_hangs_departs_where_one_that_is_made_later_ends_much_sooner(
    sooner: int, is_proof: bool, ends: bool, departs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    _exact(monkeypatch)
    monkeypatch.setattr(_WAITS, "_SOONER", sooner)
    monkeypatch.setattr(Session, "is_proof", lambda *_: is_proof)
    answers = {
        "get_rollout": _is("running"),
        "get_pool": answer({"id": "p", "status": "active", "container_url": "http://mine"}),
        "create_pool": answer({"id": "w", "status": "active"}, 201),
        "create_rollout": _made("witness"),
    }
    with answering(answers) as (run, server):
        choose = server._choose
        assert choose is not None
        witness = _is("completed" if ends else "running")
        server.play(choose=lambda sent: witness if sent.path.endswith("/witness") else choose(sent))
        run.patience, run.proven = 0.01, True
        run.containers = {"good": "http://good", "other": "http://mine"}
        with pytest.raises(StopScenarioError if departs else InconclusiveError):
            wait_for(context(run), _ROLLOUT, FINAL)
        (creation,) = asked(server, "create_pool")
        # The pool has the same container.
        assert creation.json["container_url"] == "http://mine"
    departed = _own(run)
    assert bool(departed) is departs
    for operation, expected, got in departed:
        assert operation == "create_rollout"
        assert expected == "a rollout that has a place becomes completed or failed or cancelled"
        assert got.startswith("it was running after ")


def test_a_rollout_that_ends_while_another_one_is_made_is_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_WAITS, "_a_later_rollout_ends", lambda *_: True)
    with answering({"get_rollout": [_is("running"), _is("completed")]}) as (run, _):
        run.proven = True
        monkeypatch.setattr(Session, "pauses", lambda *_: iter([None]))
        assert wait_for(context(run), _ROLLOUT, FINAL).at("status") == "completed"
    assert _own(run) == []


def test_a_rollout_that_sends_many_events_has_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_WAITS, "_a_later_rollout_ends", lambda *_: True)
    running = {"id": "r", "status": "running", "request": {"env": {"events": 120}}}
    with answering({"get_rollout": [answer(running)] * 4 + [_is("completed")]}) as (run, _):
        run.proven, limits = True, [2, 3]
        monkeypatch.setattr(Session, "pauses", lambda *_: iter([None] * limits.pop(0)))
        assert wait_for(context(run), _ROLLOUT, FINAL).at("status") == "completed"
    assert _own(run) == []


def test_a_pool_that_stays_paused_is_the_resumes_departure(monkeypatch: pytest.MonkeyPatch) -> None:
    _exact(monkeypatch)
    monkeypatch.setattr(_WAITS, "_SECOND_OPINION", 0.01)
    monkeypatch.setattr(Session, "is_proof", lambda *_: True)
    answers = {"get_pool": _is("paused"), "resume_pool": _is("active")}
    with answering(answers) as (run, _):
        ctx = context(run)
        resumed = ctx.check(200, "resume_pool", {"pool_id": "p"})
        with pytest.raises(StopScenarioError):
            wait_until_resumed(ctx, "p", resumed)
    assert _own(run) == [("resume_pool", "a pool that admits", "paused")]


def test_a_pool_that_is_resumed_is_waited_for_until_it_is_active() -> None:
    answers = {
        "get_pool": [_is("paused"), _is("building"), _is("building"), _is("active")],
        "resume_pool": _is("building"),
    }
    with answering(answers) as (run, server):
        ctx = context(run)
        wait_until_resumed(ctx, "p", ctx.check(200, "resume_pool", {"pool_id": "p"}))
        assert len(asked(server, "get_pool")) == 4
    assert _own(run) == []


def test_a_wait_looks_at_least_once() -> None:
    ctx = context(session())
    results = [True, False]
    assert not eventually(ctx, lambda: results.pop(), 1e-9)
    assert results == [True]
    assert eventually(ctx, lambda: True, 1e-9)


def test_answers_are_read_until_one_shows_what_has_to_come(monkeypatch: pytest.MonkeyPatch) -> None:
    _exact(monkeypatch)
    monkeypatch.setattr(Session, "is_proof", lambda *_: False)
    pool = {"pool_id": "p"}
    with answering({"get_pool": [_is("building"), _is("active"), _is("failed")]}) as (run, _):
        ctx = context(run)
        last, active = read_until(ctx, "get_pool", pool, lambda view: view.at("status") == "active")
        assert (last.at("status"), active) == ("active", True)
        run.patience = 0.01
        for brings, operation in ((None, "get_pool"), ("update_pool", "update_pool")):
            with pytest.raises(InconclusiveError) as raised:
                read_until(ctx, "get_pool", pool, lambda _: False, brings=brings)
            assert raised.value.operation == operation
        monkeypatch.setattr(Session, "is_proof", lambda *_: True)
        last, active = read_until(ctx, "get_pool", pool, lambda _: False)
        assert (last.at("status"), active) == ("failed", False)


def _page(*ids: str, after: Any = None) -> Any:
    return answer({"items": [{"id": item_id} for item_id in ids], "next_cursor": after})


def test_a_list_is_walked_to_its_end_with_the_cursor_of_each_page() -> None:
    pages = [_page("a", "b", after="1"), _page("c", after="2"), _page("d")]
    numbers: list[int] = []
    with answering({"list_pools": pages}) as (run, server):
        items, last, at_end = iterate_pages(
            context(run), "list_pools", {}, {"limit": 2}, between=numbers.append
        )
        assert [request.query for request in asked(server, "list_pools")] == [
            {"limit": "2"},
            {"limit": "2", "cursor": "1"},
            {"limit": "2", "cursor": "2"},
        ]
    assert (ids_of(items), ids_of(last.at("items")), at_end) == (["a", "b", "c", "d"], ["d"], True)
    assert numbers == [1, 2]


def test_a_walk_ends_where_it_has_enough_or_has_seen_the_most() -> None:
    for options in ({"enough": lambda items: len(items) > 1}, {"most": 2}):
        pages = [_page(name, after=name) for name in "abcd"]
        with answering({"list_pools": pages}) as (run, _):
            items, _, at_end = iterate_pages(context(run), "list_pools", {}, {}, **options)
        assert (ids_of(items), at_end) == (["a", "b"], False)


def test_a_cursor_that_does_not_move_on_departs() -> None:
    with answering({"list_pools": [_page("a", after="1"), _page("b", after="1")]}) as (run, _):
        items, _, at_end = iterate_pages(context(run), "list_pools", {}, {})
    assert (ids_of(items), at_end) == (["a", "b"], True)
    expected = "a next_cursor that moves on"
    assert _own(run) == [("list_pools", expected, "the cursor that was sent")]


def test_what_is_no_list_has_no_items() -> None:
    with answering({"list_pools": answer({"items": "none"})}) as (run, _):
        assert iterate_pages(context(run), "list_pools", {}, {})[0] == []


@pytest.mark.parametrize(
    ("text", "there"),
    [("2026-11-20T09:30:01Z", True), ("2026-11-20T09:30:01", False), ("soon", False), (5, False)],
)
def test_a_moment_has_a_zone(text: Any, there: bool) -> None:
    assert (moment(text) is not None) is there


@pytest.mark.parametrize("round_trip", [0.0, 1.0])
def test_calls_are_made_by_turns_on_a_fast_line_and_several_at_a_time_on_a_slow_one(
    round_trip: float,
) -> None:
    run = session()
    run.http.round_trip = round_trip
    threads: list[str] = []
    side_by_side(context(run), [lambda: threads.append(threading.current_thread().name)] * 3)
    assert len(threads) == 3
    assert {name.startswith("contract-calls") for name in threads} == {bool(round_trip)}

    def fail() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        side_by_side(context(run), [lambda: None, fail])


def test_calls_that_are_made_at_the_same_time_return_in_order() -> None:
    ctx = context(session())
    met = threading.Barrier(3)

    def call(number: int) -> int:
        met.wait(30)
        return number

    calls = [lambda number=number: call(number) for number in range(3)]
    assert call_simultaneously(ctx, calls, 30) == [0, 1, 2]


def test_a_call_that_fails_or_hangs_or_is_stopped_ends_the_others() -> None:
    run, release = session(), threading.Event()
    ctx = context(run, "pause_pool")

    def fail() -> None:
        raise ValueError("no")

    try:
        with pytest.raises(ValueError, match="no"):
            call_simultaneously(ctx, [lambda: None, fail], 30)
        with pytest.raises(InconclusiveError, match="requests took more than") as raised:
            call_simultaneously(ctx, [lambda: None, lambda: release.wait(30)], 0.01)
        assert (raised.value.outcome, raised.value.operation) == (Outcome.NOT_REACHED, "pause_pool")
        run.http.stop.set()
        with pytest.raises(StoppedError):
            call_simultaneously(ctx, [lambda: release.wait(30)], 30)
    finally:
        release.set()
