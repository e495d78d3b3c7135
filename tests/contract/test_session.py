"""The session: the bodies of pools and rollouts, optional operations, and waiting loops."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from synth_pools.contract.document import Document
from synth_pools.contract.exceptions import StoppedError
from synth_pools.contract.http.client import HttpClient
from synth_pools.contract.session import OURS, remove_created, remove_leftovers
from synth_pools.spec import load_spec
from tests.contract.harness.sessions import DOCUMENT, answering, asked, session
from tests.support.faults import Fault, answer

_GOOD = {"good": "http://127.0.0.1:1"}


@pytest.mark.parametrize(
    ("features", "containers", "options", "expected"),
    [
        ({"echo": True}, _GOOD, {}, None),
        ({}, _GOOD, {}, _GOOD["good"]),
        ({}, {}, {}, None),
        ({}, _GOOD, {"container_url": "http://c"}, "http://c"),
        ({}, _GOOD, {"pool_request": {"container_url": "http://p"}}, "http://p"),
        ({"echo": True}, {}, {"container_url": "http://c"}, "http://c"),
    ],
)
def test_the_container_of_a_pool(
    features: dict[str, Any], containers: dict[str, str], options: dict[str, Any], expected: Any
) -> None:
    run = session(features, **options)
    run.containers = containers
    body = run.pool_body("x", capacity=2)
    assert body.get("container_url") == expected
    assert (body["pool_id"], body["capacity"], body["tasks"]) == ("contract-kit-0a1b2c3d-x", 2, [])
    assert OURS.match(body["name"])


def test_a_pool_definition_of_the_callers_keeps_the_names_of_the_run() -> None:
    run = session(pool_request={"id": "theirs", "target": "harbor", "x": 1})
    body = run.pool_body("x")
    assert (body["target"], body["x"], body["pool_id"]) == ("harbor", 1, run.pool_id("x"))
    assert "id" not in body
    assert len(run.pool_id("x" * 300)) == 128


def test_a_live_pool_needs_the_echo_target_or_a_stub_container() -> None:
    run = session(container_url="http://c")
    assert run.live_pool_body("x") is None
    run.containers = _GOOD
    live = run.live_pool_body("x", concurrency=1)
    assert live is not None
    assert (live["container_url"], live["concurrency"]) == (_GOOD["good"], 1)
    echo = session({"echo": True}, container_url="http://c").live_pool_body("x")
    assert echo is not None
    assert echo["container_url"] is None


def test_a_rollout_request_is_the_callers_without_an_empty_pool() -> None:
    run = session(rollout_request={"seed": 7, "pool_id": None})
    assert run.rollout_body(mode="sync") == {"seed": 7, "mode": "sync"}
    assert run.rollout_body(pool_id="p", seed=8) == {"seed": 8, "pool_id": "p"}


def test_only_a_feature_that_is_true_is_offered() -> None:
    run = session({"pause": True, "batch": "yes", "replay": False})
    absent = run.not_offered()
    assert absent["create_rollout_batch"] == "features.batch is not true"
    assert not absent.keys() & {"pause_pool", "resume_pool"}
    offered = session(dict.fromkeys(DOCUMENT.optional, True))
    assert offered.not_offered() == {}


def test_a_waiting_loop_has_a_last_turn_and_ends_with_the_run() -> None:
    run = session()
    assert list(run.pauses(0.001))
    run.http.stop.set()
    turns = run.pauses()
    next(turns)
    with pytest.raises(StoppedError):
        next(turns)


def test_pools_are_registered_until_they_are_gone() -> None:
    run = session()
    for name in ("a", "b", "a"):
        run.register_pool(name)
    run.created.discard("b")
    run.created.discard("never there")
    assert run.created.remaining() == ("a",)


def _listed(*pools: dict[str, Any], after: str | None = None) -> Fault:
    return answer({"items": list(pools), "next_cursor": after})


def _pool(pool_id: str, name: str = "x", status: str = "active") -> dict[str, Any]:
    return {"pool_id": pool_id, "name": name, "status": status}


_OURS = "contract-kit-0123abcd"


def test_pools_of_earlier_runs_are_told_by_their_names_on_every_page() -> None:
    answers = {
        "list_pools": [
            _listed(_pool(f"{_OURS}-a"), _pool("theirs"), _pool("named", _OURS), after="1"),
            _listed(_pool(f"{_OURS}-b", status="archived"), _pool(f"{_OURS}x"), {}, after="2"),
            # A repeated cursor is the end.
            _listed(_pool(f"{_OURS}-c"), after="2"),
        ],
        "delete_pool": [answer(), answer(status=409), answer()],
    }
    with answering(answers) as (run, server):
        assert remove_leftovers(run.http) == (2, 1)
        assert [sent.query.get("cursor") for sent in asked(server, "list_pools")] == [
            None,
            "1",
            "2",
        ]
        deleted = [request.path.rpartition("/")[2] for request in asked(server, "delete_pool")]
    assert deleted == [f"{_OURS}-a", "named", f"{_OURS}-c"]


def test_the_clean_up_archives_what_is_there() -> None:
    answers = {"delete_pool": [answer(), answer(status=404), answer(status=409)]}
    with answering(answers) as (run, server):
        for name in ("a", "b", "c"):
            run.register_pool(name)
        assert remove_created(run.http, run.created) == 1
        assert len(asked(server, "delete_pool")) == 3
        assert remove_created(run.http, run.created, limit=-1.0) == 1
        assert len(asked(server, "delete_pool")) == 3


def test_the_clean_up_gives_up_where_nobody_answers() -> None:
    run = session()
    for number in range(40):
        run.register_pool(f"p{number}")
    run.http.stop.set()
    assert remove_created(run.http, run.created) == 40


@pytest.mark.parametrize(("there", "remaining"), [("create_pool", 1), ("get_pool", 0)])
def test_without_delete_pool_nothing_can_be_removed(there: str, remaining: int) -> None:
    run = session()
    run.http.document = Document(load_spec())
    run.http.document.narrow((there,))
    run.register_pool("p")
    assert remove_created(run.http, run.created) == remaining


def test_a_wait_shows_something_where_an_answer_takes_little_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with answering({"get_capabilities": answer()}) as (run, server):
        assert run.is_proof(10_000.0)
        assert not run.is_proof(0.0)
        assert [request.path for request in server.requests] == ["/v1/capabilities"] * 2
        # The kit's own containers are slow.
        run.received.note_turn(2_000.0)
        assert not run.is_proof(10_000.0)
        server.play(answer(status=503, retry_after="0"))
        monkeypatch.setattr(importlib.import_module(HttpClient.__module__), "_BUSY_SECONDS", -1.0)
        assert not run.is_proof(1e9)


def test_a_backend_without_simple_operations_is_not_asked() -> None:
    run = session()
    run.document = Document(load_spec())
    run.document.narrow(("get_pool",))
    assert run.is_proof(1.0)
    run.http.round_trip = 0.2
    assert not run.is_proof(1.0)
    assert run.is_proof(2.0)
