"""The session: the bodies of pools and rollouts, optional operations, and waiting loops."""

from __future__ import annotations

from typing import Any

import pytest

from synth_pools.contract.exceptions import StoppedError
from synth_pools.contract.session import OF_FEATURE, OURS
from tests.contract.harness.sessions import DOCUMENT, session

_GOOD = {"good": "http://127.0.0.1:1"}


@pytest.mark.parametrize(
    ("features", "containers", "options", "wanted"),
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
    features: dict[str, Any], containers: dict[str, str], options: dict[str, Any], wanted: Any
) -> None:
    run = session(features, **options)
    run.containers = containers
    body = run.pool_body("x", capacity=2)
    assert body.get("container_url") == wanted
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
    offered = session(dict.fromkeys(OF_FEATURE, True))
    assert offered.not_offered() == {}
    assert {name for names in OF_FEATURE.values() for name in names} <= DOCUMENT.operations.keys()


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
