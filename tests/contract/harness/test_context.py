"""The context: it judges and records requests; a late answer only counts where others are quick."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import pytest

from synth_pools.contract.exceptions import InconclusiveError, StopScenarioError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.results import Outcome
from synth_pools.contract.session import Session
from tests.contract.harness.sessions import answering, asked, context, departures
from tests.support.faults import answer, events, stall

_CLIENT = importlib.import_module("synth_pools.contract.http.client")
_WRONG = answer({"items": 5}, x_request_id="req_1", vary="Prefer")
_IDS = {"pool_id": "p", "rollout_id": "r"}


def _raw(ctx: Context) -> Any:
    url = ctx.session.http.url("/v1/pools", {})
    return ctx.raw("GET", url, ctx.session.http.authorized(), None, "list_pools")


@pytest.mark.parametrize(
    "ask",
    [
        lambda ctx: ctx.call("list_pools"),
        lambda ctx: ctx.require(200, "list_pools"),
        lambda ctx: ctx.check(200, "list_pools"),
        _raw,
    ],
)
def test_an_answer_is_judged_by_the_document_and_kept(ask: Callable[[Context], Any]) -> None:
    with answering({"list_pools": _WRONG}) as (run, _):
        ctx = context(run, "list_pools")
        assert ask(ctx).at("items") == 5
    assert [exchange.operation for exchange in ctx.expect.trail] == ["list_pools"]
    assert {(departure.check, departure.operation) for departure in departures(run)} == {
        ("schema.body", "list_pools")
    }


def test_what_is_taken_though_it_has_to_be_refused_is_one_departure() -> None:
    with answering({"create_pool": answer({"odd": 1}, 201)}) as (run, _):
        ctx = context(run, "create_pool")
        ctx.check((400, 422), "create_pool", json={})
        assert [departure.check for departure in departures(run)] == ["a.b"]
        assert len(ctx.expect.trail) == 1
        # An answer that is rightly a success is judged.
        ctx.check(201, "create_pool", json={})
    assert "schema.body" in {departure.check for departure in departures(run)}


def test_a_refusal_is_judged_by_the_document() -> None:
    with answering({"create_pool": answer({"odd": 1}, 400)}) as (run, _):
        context(run).check(400, "create_pool", json={})
    assert "schema.error_body" in {departure.check for departure in departures(run)}


def test_only_what_the_rest_builds_on_ends_the_scenario() -> None:
    with answering({}) as (run, _):
        ctx = context(run, "get_pool")
        assert ctx.check(200, "get_pool", {"pool_id": "p"}).status == 404
        with pytest.raises(StopScenarioError):
            ctx.require(200, "get_pool", {"pool_id": "p"})
        assert ctx.require((200, 404), "get_pool", {"pool_id": "p"}).status == 404
    assert [departure.times for departure in departures(run) if departure.check == "a.b"] == [2]


def test_no_late_answer_counts_where_all_are_late_unless_a_limit_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_CLIENT, "CALL_SECONDS", 1.0)
    late = dict.fromkeys(("list_pools", "get_capabilities"), stall())
    with answering(late) as (run, server):
        ctx = context(run)
        for ask in (lambda: ctx.call("list_pools"), lambda: _raw(ctx)):
            with pytest.raises(InconclusiveError, match="requests take long here") as raised:
                ask()
            assert (raised.value.outcome, raised.value.operation) == (
                Outcome.NOT_REACHED,
                "list_pools",
            )
        assert ctx.call("list_pools", limit=1.0).status is None
        assert len(asked(server, "list_pools")) == 3
    assert departures(run) == []


def test_a_stream_is_read_to_what_is_waited_for_and_judged() -> None:
    data = b'id: 1\nevent: x\ndata: {"id": "1"}\n\n'
    with answering({"stream_rollout_events": events([data, data], end="stall")}) as (run, _):
        ctx = context(run)
        stream = ctx.stream(
            "stream_rollout_events", _IDS, until=lambda reader: len(reader.messages) == 2
        )
        assert [message.envelope for message in stream.reader.messages] == [{"id": "1"}] * 2
        assert (stream.complete, stream.late) == (False, False)
        assert len(ctx.expect.trail) == 1


def test_a_stream_of_another_status_ends_the_scenario() -> None:
    with answering({}) as (run, _), pytest.raises(StopScenarioError):
        context(run).stream("stream_rollout_events", _IDS)
    (departed,) = (departure for departure in departures(run) if departure.check == "a.b")
    assert (departed.operation, departed.expected) == ("stream_rollout_events", "200")


@pytest.mark.parametrize("is_proof", [True, False])
def test_a_stream_that_does_not_end_in_time_shows_something_where_nothing_is_slow(
    is_proof: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Session, "is_proof", lambda *_: is_proof)
    hello = events([b": hello\n\n"] * 40, pause=0.02, end="stall")
    with answering({"stream_rollout_events": hello}) as (run, _):
        ctx = context(run)
        if is_proof:
            assert ctx.stream("stream_rollout_events", _IDS, limit=2.0).late
            return
        with pytest.raises(InconclusiveError, match="did not come to its end") as raised:
            ctx.stream("stream_rollout_events", _IDS, limit=2.0)
        assert raised.value.operation == "stream_rollout_events"


@pytest.mark.parametrize(
    ("meets", "departed"),
    [
        (lambda judge: judge.field("items.0.id", "a"), ""),
        (lambda judge: judge.field("items.0.name", None, optional=True), ""),
        (lambda judge: judge.among("items.0.id", ("a", "b"), "one of two"), ""),
        (lambda judge: judge.that("a page", True), ""),
        (lambda judge: judge.field("items.0.id", "b", "the id"), 'the id is "b": "a"'),
        (lambda judge: judge.field("items.0.name", None), "items.0.name is null: nothing"),
        (lambda judge: judge.equal("the number", 2, 1), "the number is 2: 1"),
        (lambda judge: judge.among("items.0.id", ("b",), "one"), "one: items.0.id a"),
        (lambda judge: judge.that("a page", False), "a page: it is not so"),
    ],
)
def test_a_judge_names_the_value_that_departs(meets: Callable[[Any], bool], departed: str) -> None:
    with answering({"get_capabilities": answer({"items": [{"id": "a"}]})}) as (run, _):
        ctx = context(run, "get_capabilities")
        response = run.http.call("get_capabilities")
        assert meets(ctx.judge("get_capabilities", response)) is (departed == "")
    actual = [f"{departure.expected}: {departure.got}" for departure in departures(run)]
    assert actual == [departed] * bool(departed)


def test_a_change_that_no_reader_shows_departs_for_its_writer() -> None:
    with answering({"get_pool": answer({"name": "old"})}) as (run, _):
        ctx = context(run, "update_pool")
        response = run.http.call("get_pool", {"pool_id": "p"})
        views = [("update_pool", {"name": "new"}, response), ("get_pool", response.json, response)]
        judge = ctx.judge("update_pool", response)
        assert not judge.shown_field(views, "name", "new", "name is 'new'")
    (departure,) = departures(run)
    assert (departure.operation, departure.got) == ("update_pool", "name is 'old'")
