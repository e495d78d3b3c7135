"""First contact: URL and key, containers of the kit that a backend reaches, and its proof."""

from __future__ import annotations

from typing import Any

import pytest

from synth_pools.contract.document import Document
from synth_pools.contract.exceptions import UnjudgeableError
from synth_pools.contract.harness.waits import Rollout
from synth_pools.contract.options import Profile
from synth_pools.contract.preflight import (
    check_access,
    checked_key,
    checked_url,
    first_contact,
    prove,
    try_containers,
)
from synth_pools.contract.results import Column, Layer, Outcome
from synth_pools.contract.session import Session
from synth_pools.spec import load_spec
from tests.contract.harness.sessions import (
    DOCUMENT,
    answering,
    asked,
    departures,
    outcomes,
    session,
)
from tests.support.fault_server import FaultServer, Seen
from tests.support.faults import Fault, answer, html, junk

_FIRST = {
    "get_capabilities": answer({"features": {"echo": True}}),
    "list_pools": answer({"items": []}),
    "get_queue_status": answer({"queued": 0}),
}
_REFUSED = answer({"detail": "no", "error": {"code": "unauthorized", "message": "no"}}, 401)
_MADE = answer({"id": "made", "status": "active"}, 201)


@pytest.mark.parametrize(
    ("url", "base"),
    [
        (" http://x:80/ ", "http://x:80"),
        ("https://x/base/v1/", "https://x/base"),
        ("http://x/v1", "http://x"),
        ("http://x/v10", "http://x/v10"),
    ],
)
def test_a_url_is_that_of_the_base(url: str, base: str) -> None:
    assert checked_url(url) == base


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("x", "^what was given as URL is no URL"),
        ("ftp://x", "^'ftp://x' is no URL"),
        ("http://", "^'http://' is no URL"),
        ("http://x:0", "is no URL"),
        ("http://x:port", "^'http://x:port' is no URL"),
        ("http://user@x", "holds a user or a key"),
        ("http://x?key=1", "has a query or a fragment"),
        ("http://x#a", "has a query or a fragment"),
    ],
)
def test_what_is_no_base_url_is_refused(url: str, message: str) -> None:
    with pytest.raises(UnjudgeableError, match=message):
        checked_url(url)


@pytest.mark.parametrize(
    ("key", "message"),
    [
        (None, "no API key"),
        (" ", "no API key"),
        ("bearer x", "give the key alone"),
        ("http://x", "each other's place"),
        ("a b", "cannot carry"),
        ("ü", "cannot carry"),
        ("a\x00b", "cannot carry"),
    ],
)
def test_what_is_no_key_is_refused(key: str | None, message: str) -> None:
    with pytest.raises(UnjudgeableError, match=message):
        checked_key(key)


def test_a_key_is_taken_without_space_around_it() -> None:
    assert checked_key(" a-key\n") == "a-key"


def test_a_backend_is_known_by_its_first_answers() -> None:
    with answering(_FIRST) as (run, server):
        first_contact(run)
        assert [request.path for request in server.requests] == [
            "/v1/capabilities",
            "/v1/pools",
            "/v1/queue/status",
        ]
    assert run.features == {"echo": True}
    actual = {
        (outcome.operation, outcome.layer)
        for outcome in run.collector.result().outcomes
        if outcome.check == "preflight.contact" and outcome.outcome is Outcome.HELD
    }
    assert actual == {(name, Layer.PREFLIGHT) for name in _FIRST}
    assert run.collector.result().requests == 3


def test_an_operation_that_is_not_offered_or_wrong_is_told() -> None:
    answers = {**_FIRST, "get_capabilities": answer({}, 501), "list_pools": answer({}, 500)}
    with answering(answers) as (run, _):
        first_contact(run)
    assert run.features == {}
    actual = {
        outcome.operation: outcome.outcome
        for outcome in run.collector.result().outcomes
        if outcome.check == "preflight.contact"
    }
    assert actual == {
        "get_capabilities": Outcome.NOT_OFFERED,
        "list_pools": Outcome.DEPARTED,
        "get_queue_status": Outcome.HELD,
    }


@pytest.mark.parametrize(
    ("fault", "message", "count"),
    [
        (html(200), "is no Container Pools API: GET /v1/capabilities answers 200 <html>", 3),
        (answer({"hello": "world"}), "is no Container Pools API", 3),
        (_REFUSED, r"the key is refused \(401\)", 3),
        (answer({}, 403), r"the key is refused \(403\)", 3),
        (junk(), "does not answer as an HTTP server would", 2),
    ],
)
def test_what_is_no_backend_is_told_in_one_line(fault: Fault, message: str, count: int) -> None:
    for offered in (False, True):
        # A backend that refuses or is silent is not asked for its operations.
        if offered and "is no" in message:
            continue
        with answering(dict.fromkeys(DOCUMENT.operations, fault), offered=offered) as (run, server):
            with pytest.raises(UnjudgeableError, match=message):
                first_contact(run)
            assert len(server.requests) == count


def test_nobody_answers() -> None:
    with pytest.raises(UnjudgeableError, match="nobody answers at http://127.0.0.1:9 "):
        first_contact(session())


def test_what_a_backend_has_is_found_out() -> None:
    # Other operations answer like an unknown path.
    answers = {"list_pools": answer({"items": []}), "get_pool": answer({}, 200)}
    with answering(answers, offered=True) as (run, _):
        run.document = Document(load_spec())
        run.http.document = run.document
        first_contact(run)
        assert set(run.document.operations) == {"list_pools", "get_pool"}
    with answering({}, offered=True) as (run, _):
        run.document = run.http.document = Document(load_spec())
        with pytest.raises(UnjudgeableError, match="no operation of the document is at"):
            first_contact(run)


def test_a_backend_without_the_usual_operations_is_asked_for_simple_ones() -> None:
    document = Document(load_spec())
    document.narrow(("get_pool", "list_global_rollouts"))
    with answering({"list_global_rollouts": answer({"items": []})}) as (run, server):
        run.document = run.http.document = document
        first_contact(run)
        assert [request.path for request in server.requests] == ["/v1/rollouts"]


def _proof(**more: Any) -> dict[str, Any]:
    return {
        "create_pool": _MADE,
        "create_task": answer({"task_id": "task-1"}, 201),
        "create_rollout": answer({"rollout_id": "r"}, 202),
        "get_rollout": answer({"status": "completed"}),
        **more,
    }


def test_a_rollout_that_ends_proves_the_backend() -> None:
    with answering(_proof(), rollout_request={"seed": 7}) as (run, server):
        assert prove(run) == Rollout(run.pool_id("preflight"), "r")
        (sent,) = (request.json for request in asked(server, "create_rollout"))
        assert len(asked(server, "create_pool")) == 2
    assert sent == {"seed": 7, "task_id": "task-1"}
    assert run.proven
    assert run.patience >= 30.0
    # The pool that was created as a trial is removed as well.
    assert "made" in run.created.remaining()


def test_without_tasks_a_rollout_proves_it_too() -> None:
    document = Document(load_spec())
    document.narrow(("create_pool", "create_rollout", "get_rollout", "get_pool"))
    with answering(_proof()) as (run, server):
        run.document = run.http.document = document
        assert prove(run) is not None
        assert [request.json for request in asked(server, "create_rollout")] == [{}]
    document.narrow(("create_pool", "create_rollout"))
    run.document = run.http.document = document
    assert prove(run) is None
    assert outcomes(run)["create_pool"] == (Outcome.NOT_REACHED, "needs get_rollout")


@pytest.mark.parametrize("status", [401, 402, 403, 409, 501])
def test_a_pool_that_may_not_be_made_is_the_callers_to_mend(status: int) -> None:
    answers = _proof(create_pool=answer({"detail": "your plan has no pools"}, status))
    with (
        answering(answers) as (run, _),
        pytest.raises(UnjudgeableError, match=f"no pool can be made: {status}.*--pool-request"),
    ):
        prove(run)
    assert departures(run) == []


def test_a_rollout_that_is_refused_departs_and_one_that_does_not_end_is_the_callers_to_mend(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with answering(_proof(create_rollout=answer({}, 400))) as (run, _):
        assert prove(run) is None
    assert not run.proven
    assert "create_rollout" in {departure.operation for departure in departures(run)}
    monkeypatch.setattr(Session, "allowance", lambda _, seconds: seconds)
    with answering(_proof(get_rollout=answer({"status": "running"}))) as (run, _):
        run.patience = 0.01
        with pytest.raises(UnjudgeableError, match="was running and not .*--rollout-request"):
            prove(run)


@pytest.mark.parametrize(
    ("creation", "health", "used"),
    [
        (_MADE, answer({}), True),
        (_MADE, answer({}, 500), True),
        (_MADE, answer({}, 403), False),
        (_MADE, answer({}, 502), False),
        (_MADE, answer({}, 504), False),
        (answer({}, 403), answer({}), False),
    ],
)
def test_containers_of_the_kit_are_used_where_they_are_reached(
    creation: Fault, health: Fault, used: bool
) -> None:
    urls = {"good": "http://127.0.0.1:1", "bad": "http://127.0.0.1:2"}
    with answering({"create_pool": creation, "get_pool_container_health": health}) as (run, server):
        try_containers(run, urls)
        (sent,) = asked(server, "create_pool")
    assert sent.json["container_url"] == urls["good"]
    assert run.containers == (urls if used else {})
    assert run.created.remaining() == (("made",) if creation is _MADE else ())


def test_without_the_operations_for_it_no_container_is_tried() -> None:
    document = Document(load_spec())
    document.narrow(("create_pool",))
    with answering({}) as (run, server):
        run.document = document
        try_containers(run, {"good": "http://127.0.0.1:1"})
        assert server.requests == []


_RIGHT = "Bearer sessions-key-0123456789"


def _access(lenient: str = "", features: bool = True, **options: Any) -> tuple[Session, list[Seen]]:
    """Check the access to a backend that refuses all wrong keys but those of one operation."""

    def choose(request: Seen) -> Fault:
        operation = DOCUMENT.operation_of(request.method, request.target)
        assert operation is not None
        assert request.headers.get("authorization") != _RIGHT
        return answer({}, 404) if operation.id == lenient else _REFUSED

    with FaultServer(choose=choose) as server:
        names = dict.fromkeys(("pause", "validate", "batch", "replay", "artifact_downloads",
                               "support_bundle", "image_releases", "deployments",
                               "container_probes", "trajectories", "runs", "query",
                               "pool_events", "pool_logs"), features)  # fmt: skip
        run = session(names, url=server.url, **options)
        check_access(run, Rollout("p", "r"))
        run.http.close()
        return run, server.requests[:]


def _operation(request: Seen) -> str:
    operation = DOCUMENT.operation_of(request.method, request.target)
    assert operation is not None
    return operation.id


def test_every_operation_is_asked_for_without_a_key_and_with_wrong_ones() -> None:
    run, requests = _access()
    assert {_operation(request) for request in requests} == DOCUMENT.operations.keys()
    assert {
        cell.outcome for cell in run.collector.result().outcomes if cell.check == "auth.refused"
    } == {Outcome.HELD}
    for name in DOCUMENT.operations:
        sent = [request for request in requests if _operation(request) == name]
        assert {None, "Bearer wrong-key-of-the-contract-kit"} <= {
            request.headers.get("authorization") for request in sent
        }
        few = name not in ("list_pools", "create_rollout", "get_rollout")
        # Without a key and with a wrong one also at unknown ids.
        expected = 5 + 2 * bool(DOCUMENT.operations[name].id_names)
        assert len(sent) == expected if few else len(sent) > 12, name
    # A backend that does not check keys obeys, so deletions come last.
    assert {_operation(request) for request in requests[-10:]} == {"delete_task", "delete_pool"}
    (body,) = {item.body for item in requests if _operation(item) == "create_global_rollout"}
    assert body == b'{"pool_id": "p"}'
    bodies = [request.json for request in requests if _operation(request) == "create_pool"]
    assert all(body["pool_id"] == body["name"] for body in bodies)
    assert set(run.created.remaining()) == {body["pool_id"] for body in bodies}
    paths = [request.path for request in requests if _operation(request) == "get_rollout"]
    assert paths.count("/v1/pools/p/rollouts/r") == len(paths) - 2
    assert len(set(paths)) == 2


def test_an_operation_that_takes_wrong_keys_departs_for_each_answer_once() -> None:
    run, _ = _access("get_pool")
    departed = [departure for departure in departures(run) if departure.check == "auth.refused"]
    assert [
        (departure.operation, departure.column, departure.cause, departure.times)
        for departure in departed
    ] == [("get_pool", Column.AUTH, "auth.refused|404", 7)]
    assert departed[0].expected == "401: no key was sent"


def test_smoke_asks_with_what_is_surely_wrong_and_read_only_reads() -> None:
    _, requests = _access(profile=Profile.SMOKE)
    assert len([request for request in requests if _operation(request) == "get_pool"]) == 2
    _, requests = _access(read_only=True)
    assert {request.method for request in requests} == {"GET"}
    assert "get_pool" in {_operation(request) for request in requests}


def test_what_is_not_offered_is_not_asked_for() -> None:
    run, requests = _access(features=False)
    assert not {"pause_pool", "replay_rollout"} & {_operation(request) for request in requests}
    assert outcomes(run)["pause_pool"] == (Outcome.NOT_OFFERED, "features.pause is not true")
