"""The scope: operations chosen by name, and operations that a backend turns out to offer."""

from __future__ import annotations

from typing import Any

import pytest

from synth_pools.contract.document import Document
from synth_pools.contract.exceptions import UnjudgeableError
from synth_pools.contract.harness.scope import chosen_operations, lacking, offered_operations
from synth_pools.spec import load_spec
from tests.contract.harness.sessions import DOCUMENT, answering, asked
from tests.support.faults import Fault, answer, text

_ALL = frozenset(DOCUMENT.operations)
_OF_QUEUE = frozenset(name for name, item in DOCUMENT.operations.items() if "/queue" in item.path)
_TAG = DOCUMENT.operations["get_pool"].tag


@pytest.mark.parametrize(
    ("only", "unwanted", "chosen"),
    [
        ((), (), _ALL),
        (("get_pool", "list_pools"), (), {"get_pool", "list_pools"}),
        (("/v1/queue",), (), _OF_QUEUE),
        (("/v1/queue/",), (), _OF_QUEUE),
        (("get_pool", "list_pools"), ("get_pool",), {"list_pools"}),
        ((), ("/v1/queue",), _ALL - _OF_QUEUE),
        ((_TAG,), (), {name for name, item in DOCUMENT.operations.items() if item.tag == _TAG}),
    ],
)  # fmt: skip
def test_operations_are_chosen_by_id_tag_or_path(
    only: tuple[str, ...], unwanted: tuple[str, ...], chosen: frozenset[str]
) -> None:
    assert chosen
    assert chosen_operations(DOCUMENT, only, unwanted) == chosen


@pytest.mark.parametrize(
    ("only", "unwanted", "message"),
    [
        (("get_pools",), (), "is called 'get_pools'"),
        (("/v1/que",), (), "is called '/v1/que'"),
        (("v1/queue",), (), "is called 'v1/queue'"),
        (("get_pool",), ("nothing",), "is called 'nothing'"),
        (("get_pool",), ("get_pool",), "no operation is left to judge"),
    ],
)
def test_a_name_of_nothing_is_refused(
    only: tuple[str, ...], unwanted: tuple[str, ...], message: str
) -> None:
    with pytest.raises(UnjudgeableError, match=message):
        chosen_operations(DOCUMENT, only, unwanted)


def test_a_part_of_the_kit_says_what_it_lacks() -> None:
    document = Document(load_spec())
    assert lacking(document, ("get_pool", "list_pools")) == ""
    document.narrow(("get_pool",))
    assert lacking(document, ("get_pool", "list_pools", "get_queue_status")) == "needs list_pools"


def _no(code: str) -> Fault:
    return answer({"error": {"code": code, "message": "m"}}, 404)


# The server's answer for an unknown path, which it quotes.
_NO_ROUTE = answer({"detail": "There is no '/v1/x' of 2026 here."}, 404)


@pytest.mark.parametrize(
    ("unknown", "refusal", "other_code"),
    [
        (_no("no_such_path"), _no("no_such_path"), _no("not_found")),
        (_NO_ROUTE, answer({"detail": "There is no '/v1/queue' of 2027 here."}, 404),
         answer({"detail": "no pool is called 'p'"}, 404)),
        (_NO_ROUTE, _NO_ROUTE, answer({"error": "There is no '/v1/x' of 2026 here."}, 404)),
        (text("Not Found", 404), text("Not Found", 404), text("No such pool", 404)),
    ],
)  # fmt: skip
def test_an_operation_is_there_unless_it_answers_as_an_unknown_path_does(
    unknown: Fault, refusal: Fault, other_code: Fault
) -> None:
    answers = {
        **dict.fromkeys(DOCUMENT.operations, refusal),
        "create_pool": answer({"id": "p"}, 201),
        "create_rollout": answer({"rollout_id": "made"}, 202),
        "get_pool": answer({}, 200),
        "get_rollout": other_code,
        "list_tasks": answer({}, 501),
        "list_rollouts": answer({}, 405),
        "stream_rollout_events": text("", 200, "text/event-stream"),
    }
    with answering(answers) as (run, server):
        choose = server._choose
        assert choose is not None
        server.play(choose=lambda sent: unknown if "no-such-path" in sent.path else choose(sent))
        there = offered_operations(run)
        paths = [(request.method, request.path) for request in server.requests]
        name = run.pool_id("offered")
        assert ("GET", f"/v1/pools/{name}/rollouts/made") in paths
        assert asked(server, "create_pool")[0].json["tasks"] == [{"task_id": "t"}]
        # A run is there as long as a rollout of its name.
        assert ("GET", f"/v1/runs/{name}") in paths
        assert asked(server, "create_rollout")[0].json["run"] == name
        # Deletions come last; the first two requests created their resources.
        assert [method for method, _ in paths[-3:]] == ["DELETE"] * 3
        # An operation with a body gets an invalid one.
        assert asked(server, "update_pool")[0].json == []
        assert asked(server, "get_pool")[0].body == b""
    assert there == {
        "create_pool", "create_rollout", "get_pool", "get_rollout", "stream_rollout_events"
    }  # fmt: skip
    assert run.created.remaining() == (name,)


@pytest.mark.parametrize(
    ("options", "answers", "created"),
    [
        ({}, {"create_pool": answer({}, 405)}, 0),
        ({}, {"create_pool": answer({}, 400), "create_rollout": answer({}, 400)}, 1),
    ],
)
def test_without_a_pool_of_its_own_it_asks_for_unknown_ids(
    options: dict[str, Any], answers: dict[str, Fault], created: int
) -> None:
    with answering(answers, **options) as (run, server):
        there = offered_operations(run)
        name = run.pool_id("offered")
        assert [request.path for request in asked(server, "get_rollout")] == [
            f"/v1/pools/{name}/rollouts/{name}"
        ]
        # Once like every other operation, and once before to create the rollout.
        assert len(asked(server, "create_rollout")) == 1 + created
    assert len(run.created.remaining()) == created
    assert there == {operation for operation in answers if created}


def test_a_rollout_without_a_run_is_created_where_the_field_is_refused() -> None:
    answers = {
        **dict.fromkeys(DOCUMENT.operations, _no("no_such_path")),
        "create_pool": answer({"id": "p"}, 201),
        "create_rollout": answer({}, 422),
    }
    with answering(answers) as (run, server):
        offered_operations(run)
        bodies = [request.json for request in asked(server, "create_rollout")]
    # The third request tries the operation itself, without a usable body.
    assert ["run" in body for body in bodies] == [True, False, False]


def test_a_read_only_run_tries_those_that_read_and_takes_the_others_for_there() -> None:
    writes = {name for name, operation in DOCUMENT.operations.items() if operation.method != "GET"}
    answers = {"create_pool": answer({"id": "p"}, 201), "create_rollout": answer({}, 202)}
    with answering({**answers, "get_pool": answer({})}, read_only=True) as (run, server):
        assert offered_operations(run) == {"get_pool", *writes}
        assert {request.method for request in server.requests} == {"GET"}
    assert run.created.remaining() == ()
    with answering(answers, read_only=True) as (run, _):
        assert offered_operations(run) == frozenset()
