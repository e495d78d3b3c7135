"""Targeting of generated requests at resources of the run only."""

from __future__ import annotations

from typing import Any

import pytest

from synth_pools.contract.fuzzing.engine import GeneratedRequest
from synth_pools.contract.fuzzing.targeting import RequestTarget, RequestTargeting, RequestTargets

MARK = "contract-kit-0123abcd-g"
TARGETS = RequestTargets(
    RequestTarget("read", "addition", "rollout_1"),
    RequestTarget("pool-writes"),
    RequestTarget("task-writes", "addition"),
    RequestTarget("archived"),
)


def targeting() -> RequestTargeting:
    return RequestTargeting(MARK, TARGETS, frozenset({"somebodys"}))


def request(
    operation: str,
    method: str = "GET",
    path: dict[str, Any] | None = None,
    body: Any = None,
    negative: frozenset[str] = frozenset(),
    headers: dict[str, str] | None = None,
) -> GeneratedRequest:
    return GeneratedRequest(operation, method, path or {}, headers or {}, body, negative)


def retargeted(*arguments: Any, **more: Any) -> GeneratedRequest:
    case = request(*arguments, **more)
    targeting()(case)
    return case


def test_most_reads_go_to_what_is_there() -> None:
    went = [
        retargeted("get_rollout", path={"pool_id": f"p{n}", "rollout_id": "r"}).path_parameters
        for n in range(200)
    ]
    there = went.count({"pool_id": "read", "rollout_id": "rollout_1"})
    assert 100 < there < 200


@pytest.mark.parametrize("operation", ["replace_pool", "delete_pool", "delete_task"])
def test_no_write_reaches_a_pool_of_somebody_else(operation: str) -> None:
    for number in range(200):
        path = {"pool_id": "somebodys", "task_id": f"t{number}"}
        case = retargeted(operation, "DELETE", path=path, body={"n": number})
        pool = case.path_parameters["pool_id"]
        assert pool == "pool-writes" or pool.startswith(MARK)


def test_no_deletion_reaches_a_run_of_somebody_else() -> None:
    for number in range(200):
        case = retargeted("delete_run", "DELETE", path={"run": f"of somebody/é {number}"})
        assert case.path_parameters["run"].startswith(MARK)


def test_a_global_rollout_stays_in_a_pool_of_ours() -> None:
    for negative in (frozenset[str](), frozenset({"body"})):
        case = retargeted("create_global_rollout", "POST", body={"seed": 1}, negative=negative)
        assert case.body["pool_id"] == "read"


def test_pools_are_signed_without_changing_a_length_that_is_tried() -> None:
    short = retargeted("create_pool", "POST", body={"name": "a"}).body["name"]
    assert short == f"{MARK}a"
    long = retargeted("create_pool", "POST", body={"name": "n" * 255}).body["name"]
    assert len(long) == 255
    assert long.startswith(MARK)
    refused = {"name": "n" * 256}
    retargeted("create_pool", "POST", body=refused, negative=frozenset({"body"}))
    assert len(refused["name"]) == 256
    assert retargeted("create_pool", "POST", body={"name": ""}).body["name"] == ""


def test_ids_in_bodies_agree_with_each_other_and_are_new() -> None:
    bodies = [
        retargeted(
            "create_pool", "POST", body={"name": "n", "id": "0", "pool_id": "1", "n": n}
        ).body
        for n in range(64)
    ]
    agreed = [body for body in bodies if body["id"] == body["pool_id"]]
    assert len(agreed) > 40
    assert all(body["id"].startswith(MARK) for body in agreed)


def test_what_is_wrong_on_purpose_stays_wrong() -> None:
    path = {"pool_id": "x" * 256}
    assert (
        retargeted("get_pool", path=dict(path), negative=frozenset({"path"})).path_parameters
        == path
    )
    body = {"task_id": 7, "seed": "no"}
    case = retargeted("create_rollout", "POST", body=dict(body), negative=frozenset({"body"}))
    assert case.body == body
    headers = {"Idempotency-Key": "a b"}
    case = retargeted(
        "create_rollout", "POST", headers=dict(headers), negative=frozenset({"header"})
    )
    assert case.headers == headers


def test_pools_that_came_to_be_are_registered_and_left_alone() -> None:
    retarget = targeting()
    observed = [
        retarget.observe("create_pool", 201, b'{"pool_id": "mine"}'),
        retarget.observe("create_pool", 422, b'{"pool_id": "refused"}'),
        retarget.observe("create_pool", 201, b"no json"),
        retarget.observe("create_pool", 201, b'{"pool_id": "somebodys"}'),
        retarget.observe("get_pool", 200, b'{"pool_id": "somebodys"}'),
    ]
    assert observed == ["mine", None, None, None, None]
    case = request("delete_pool", "DELETE", path={"pool_id": "mine"})
    retarget(case)
    assert case.path_parameters == {"pool_id": "mine"}


def test_the_same_requests_go_to_the_same_places() -> None:
    def places() -> list[Any]:
        retarget, targets = targeting(), []
        for number in range(50):
            case = request("update_task", "PUT", {"pool_id": "p", "task_id": "t"}, {"n": number})
            retarget(case)
            targets.append((case.path_parameters, case.body))
        return targets

    assert places() == places()


def test_a_batch_stays_in_a_pool_of_ours() -> None:
    for negative in (frozenset[str](), frozenset({"body"})):
        body = {"rollouts": [{"pool_id": "somebodys"}, {}, 7], "requests": [{"pool_id": "other"}]}
        for ids in ({}, {"pool_id": None}, {"pool_id": "somebodys"}):
            case = retargeted(
                "create_rollout_batch", "POST", body={**body, **ids}, negative=negative
            )
            assert case.body["pool_id"] == "read"
            assert case.body["rollouts"] == [{"pool_id": "read"}, {}, 7]
            assert case.body["requests"] == [{"pool_id": "read"}]
    wrong = retargeted(
        "create_rollout_batch", "POST", body={"pool_id": ""}, negative=frozenset({"body"})
    )
    assert wrong.body["pool_id"] == ""


def test_a_pause_disturbs_no_reader() -> None:
    for operation in ("pause_pool", "resume_pool"):
        for number in range(50):
            case = retargeted(operation, "POST", path={"pool_id": f"p{number}"})
            pool = case.path_parameters["pool_id"]
            assert pool == "pool-writes" or pool.startswith(MARK)


def test_the_events_of_a_pool_are_those_of_one_that_has_ended() -> None:
    retarget = targeting()
    retarget.observe("create_pool", 201, b'{"pool_id": "mine"}')
    went = []
    for number in range(200):
        case = request("stream_pool_events", path={"pool_id": f"p{number}"})
        retarget(case)
        went.append(case.path_parameters["pool_id"])
    assert 100 < went.count("archived") < 200
    for number in range(20):
        followed = request("stream_pool_events", path={"pool_id": "mine"}, body=number)
        retarget(followed)
        assert followed.path_parameters["pool_id"] == "archived"


def test_what_is_no_json_chooses_no_place() -> None:
    class NotSet:
        """Its text has an address, as that of an absent body in the engine."""

    path = {"pool_id": "p"}
    places = {
        retargeted("get_pool", path=path.copy(), body=NotSet()).path_parameters["pool_id"]
        for _ in range(50)
    }
    assert len(places) == 1
