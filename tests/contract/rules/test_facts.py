"""Facts that several answers state, and what may have come between them."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from synth_pools.contract.results import Exchange
from tests.contract.rules.answers import (
    ROLLOUT,
    WHOLE,
    answered,
    complaints,
    example,
    stream,
    streamed,
)

_POOL = "/v1/pools/docs-example-pool"
_TASK = f"{_POOL}/tasks/addition"
_ROLLOUT = f"/v1/rollouts/{ROLLOUT}"
_KIND = (("content-type", "text/event-stream"),)
_DONE, _RUN = example("rollout_completed"), example("run")


def _rollout(**changed: Any) -> Exchange:
    return answered("GET", _ROLLOUT, 200, {**_DONE, **changed})


def _usage(**changed: Any) -> Exchange:
    return answered("GET", f"{_ROLLOUT}/usage", 200, {**example("rollout_usage"), **changed})


class _Lagging:
    """Server whose reads are late, but none that it was asked about."""

    is_sending = False

    def is_late(self, exchange: Exchange) -> bool:
        return False

    def lag(self) -> bool:
        return True


def test_what_a_patch_does_not_name_stays_unless_something_else_came_between() -> None:
    task = {**example("task"), "task_config": {"a": 1}}
    grown = {**task, "task_config": {"a": 1, "b": 2}, "backend": "another"}

    def sent(began: float, method: str, path: str, body: Any, patch: Any = None) -> Exchange:
        headers = (("x-request-id", f"req_{method}_{began}"), ("vary", "Prefer"))
        answer = answered(method, path, 200, body, sent=patch, headers=headers)
        return replace(answer, began=began, elapsed=2.0 if patch else 0.0)

    def listed(began: float) -> Exchange:
        return sent(began, "GET", f"{_POOL}/tasks", {"items": [task], "next_cursor": None})

    def patched(began: float, answer: dict[str, Any], **patch: Any) -> Exchange:
        return sent(began, "PATCH", _TASK, answer, patch)

    page = listed(0.5)
    config = {"task_config": {"b": 2}}
    assert complaints(page, patched(1.0, grown, **config)) == {"facts.patched"}
    assert complaints(page, patched(1.0, grown, **config, backend="another")) == set()
    # A change at the same time may have made it another.
    at_once = (patched(1.0, task, name="x"), patched(2.0, grown, **config))
    assert complaints(page, *at_once) == set()
    later = (listed(4.0), patched(5.0, grown, **config))
    assert complaints(page, *at_once, *later) == {"facts.patched"}
    pool = sent(0.5, "GET", _POOL, example("pool"))
    moved = sent(1.0, "POST", f"{_POOL}/pause", {**example("pool"), "tasks": []})
    assert "facts.patched" in complaints(pool, moved)
    unanswered = replace(at_once[0], status=None, trouble="no answer within 30 s")
    assert complaints(page, unanswered, *later) == set()
    # The change that explains it is answered later, or recorded later.
    doubtful, cause = patched(1.0, grown, **config), patched(2.5, grown, backend="another")
    for later_one in (cause, replace(cause, began=0.6, elapsed=0.2), replace(cause, status=422)):
        assert "facts.patched" not in complaints(page, doubtful, later_one)
    assert complaints(page, doubtful, replace(cause, began=3.0)) == {"facts.patched"}
    # The answer to a change counts for more than a read, which may be late.
    stale = sent(3.5, "GET", f"{_POOL}/tasks", {"items": [task], "next_cursor": None})
    again = {**grown, "task_config": {"a": 1, "b": 3}}
    third = patched(4.0, again, task_config={"b": 3})
    assert complaints(replace(cause, began=0.6), stale, third) == {"facts.stored"}
    # Where reads are late, only such an answer counts.
    assert complaints(page, doubtful, late_reads=_Lagging()) == set()
    lost = patched(7.0, {**again, "backend": "a third"}, task_config={"b": 3})
    assert complaints(third, lost, late_reads=_Lagging()) == {"facts.patched"}


def _pool(status: str = "active", **changed: Any) -> Exchange:
    return answered("GET", _POOL, 200, {**example("pool"), "status": status, **changed})


def test_a_pool_may_move_by_itself_but_pauses_by_request_alone() -> None:
    def page(status: str) -> Exchange:
        body = {**example("pool_event_page"), "status": status}
        return answered("GET", f"{_POOL}/events?format=json", 200, body)

    resumed = answered("POST", f"{_POOL}/resume", 200, example("pool"))
    paused = answered("POST", f"{_POOL}/pause", 200, {**example("pool"), "status": "paused"})
    for states, is_wrong in (
        ((_pool("paused"), page("active"), _pool("paused")), True),
        # It failed, was prepared again, and is active since.
        ((_pool("paused"), page("active"), _pool()), False),
        ((_pool("paused"), page("active"), resumed, paused, _pool("paused")), False),
        ((resumed, _pool("paused")), True),
        ((paused, _pool("active"), _pool("paused")), True),
        ((paused, _pool("active")), False),
        ((_pool(), page("failed"), _pool()), False),
        ((_pool(), page("paused")), True),
        ((_pool("archived"), page("active")), True),
    ):
        assert ("facts.state" in complaints(*states)) is is_wrong


def test_what_others_made_may_change_between_two_reads() -> None:
    first, second = (
        answered("GET", "/v1/runs/a", 200, {**_RUN, "name": "a", "configuration_digest": digest})
        for digest in ("a" * 64, "b" * 64)
    )
    rollout = _rollout(run="a", request={**_DONE["request"], "run": "a"})
    empty = answered("GET", "/v1/rollouts", 200, {"items": [], "next_cursor": None})
    patch = {"metadata": {"a": 1}}
    patched = answered("PATCH", _POOL, 200, {**example("pool"), "capacity": 7}, sent=patch)
    no_runs = answered("GET", "/v1/runs", 200, {"items": [], "next_cursor": None})
    assert "facts.listed" in complaints(rollout, first, no_runs)
    assert "facts.listed" not in complaints(rollout, first, no_runs, is_own=False)
    counts = {f"{state}_rollouts": 0 for state in ("completed", "failed", "cancelled")}
    metrics = {**example("pool_metrics"), **counts, "success_rate": None}
    figures = answered("GET", f"{_POOL}/metrics", 200, metrics)
    none = {**_RUN, "name": "a", "rollouts": dict.fromkeys(_RUN["rollouts"], 0)}
    begun_again = answered("GET", "/v1/runs/a", 200, none)
    reads = (rollout, first, second, empty, _pool(), patched, figures, begun_again)
    wrong = {"facts.run", "facts.listed", "facts.patched", "facts.metrics", "facts.runs"}
    assert wrong <= complaints(*reads)
    assert wrong.isdisjoint(complaints(*reads, is_own=False))


def test_fields_that_are_not_documented_may_change_at_any_time() -> None:
    def more(value: Any, number: int) -> Any:
        if isinstance(value, list):
            return [more(item, number) for item in value]
        is_resource = isinstance(value, dict) and not value.keys().isdisjoint(
            ("created_at", "code")
        )
        parts = {k: more(v, number) for k, v in value.items()} if isinstance(value, dict) else value
        return {**parts, "x_of_the_future": number} if is_resource else parts

    pool = {**example("pool"), "tasks": [example("task")]}
    moved = answered("POST", f"{_POOL}/pause", 200, more(pool, 3))
    failed = {**_DONE, "error": {"code": "container_failed", "message": "m"}, "status": "failed"}
    archived = {**pool, "status": "archived", "state": "archived"}
    artifacts = f"{_ROLLOUT}/artifacts"
    bodies = ((_ROLLOUT, failed), (_POOL, archived), (artifacts, example("artifact_list")))
    twice = [answered("GET", path, 200, more(body, n)) for path, body in bodies for n in (1, 2)]
    first = answered("GET", _POOL, 200, more(pool, 2))
    for exchanges in ((first, moved), twice):
        assert not any(check.startswith("facts.") for check in complaints(*map(_named, exchanges)))


def _named(exchange: Exchange) -> Exchange:
    """Give an answer an id of its own."""
    return replace(
        exchange,
        response_headers=(*exchange.response_headers[:1], ("x-request-id", f"{id(exchange)}")),
    )


def test_a_deleted_run_is_demanded_nowhere() -> None:
    rollout = _rollout(run="a", request={**_DONE["request"], "run": "a"})
    run = {**_RUN, "name": "a", "rollouts": {**_RUN["rollouts"], "completed": 1}}
    deleted = answered("DELETE", "/v1/runs/a", 200, run)
    metrics = {f"{state}_rollouts": 0 for state in ("completed", "failed", "cancelled")}
    figures = answered(
        "GET", f"{_POOL}/metrics", 200, {**example("pool_metrics"), **metrics, "success_rate": None}
    )
    later = answered("GET", "/v1/runs/a", 200, {**run, "rollouts": {"completed": 0}})
    empty = answered("GET", "/v1/rollouts", 200, {"items": [], "next_cursor": None})
    refusal = {"detail": "no", "error": {"code": "of_this_server", "message": "no"}}
    for answer, rule in (
        (empty, "facts.listed"),
        (figures, "facts.metrics"),
        (later, "facts.runs"),
    ):
        assert rule in complaints(rollout, answer)
        assert rule not in complaints(rollout, deleted, answer)
        # An answer from before the deletion may be judged after it.
        assert rule not in complaints(rollout, deleted, rollout, answer)
        refused = answered("DELETE", "/v1/runs/a", 409, refusal)
        assert rule in complaints(rollout, refused, answer)
        # Other runs keep theirs.
        of_other = answered("DELETE", "/v1/runs/b", 200, {**run, "name": "b"})
        assert rule in complaints(rollout, of_other, answer)


def test_a_deleted_run_of_rollouts_without_a_valid_time_is_demanded_nowhere() -> None:
    undated = {"run": "a", "request": {**_DONE["request"], "run": "a"}, "created_at": "today"}
    first, moved = _rollout(**undated), _rollout(**undated, pool_id="another")
    run = {**_RUN, "name": "a", "rollouts": {**_RUN["rollouts"], "completed": 1}}
    deleted = answered("DELETE", "/v1/runs/a", 200, run)
    metrics = {f"{state}_rollouts": 0 for state in ("completed", "failed", "cancelled")}
    figures = answered(
        "GET", f"{_POOL}/metrics", 200, {**example("pool_metrics"), **metrics, "success_rate": None}
    )
    assert "facts.metrics" in complaints(first, figures)
    assert "facts.metrics" not in complaints(first, deleted, figures)
    # It ended in another pool than that which it was in before.
    active = _rollout(**undated, status="running", finished_at=None)
    assert "facts.runs" not in complaints(active, moved, deleted)


def test_the_status_beside_the_last_page_of_events_is_final() -> None:
    body = {"rollout_id": ROLLOUT, "status": "running", "events": [], "next_sequence": 0}
    for has_more in (True, False):
        page = answered(
            "GET", f"{_ROLLOUT}/events?format=json", 200, {**body, "has_more": has_more}
        )
        assert ("facts.final" in complaints(_rollout(), page)) is not has_more


def test_streams_without_events_may_come_without_their_header() -> None:
    buffering = (("x-request-id", "req_1"), ("vary", "Prefer"), ("x-accel-buffering", "no"))
    complete = replace(streamed(stream(*WHOLE)), response_headers=(*_KIND, *buffering))
    bare = replace(streamed(b""), response_headers=(*_KIND, *buffering[1:2]))
    assert "facts.streams" not in complaints(complete, bare)
    bare = replace(bare, response_body=stream(*WHOLE))
    assert "facts.streams" in complaints(complete, bare)


def test_what_a_result_says_is_said_elsewhere_too() -> None:
    usage = {"input_tokens": 7, "cost_usd": 0.25}
    final = _rollout(result={"reward": 1.0, "usage": usage}, score=1.0)
    for field, value in (("llm_input_tokens", 8), ("cost_usd", None), ("llm_output_tokens", 0)):
        right = {"llm_input_tokens": 7, "llm_output_tokens": None, "cost_usd": 0.25}
        figures = _usage(**{**right, field: value})
        assert "facts.usage" in complaints(final, figures), field
    # Several names with several values have no order.
    unclear = _rollout(result={"reward": 1.0, "usage": {**usage, "prompt_tokens": 9}}, score=1.0)
    reported = {"llm_input_tokens": 9, "llm_output_tokens": None, "cost_usd": 0.25}
    figures = _usage(**reported)
    assert "facts.usage" not in complaints(unclear, figures)
    result, metrics = {"reward": 0.5, "summary": {"reward": 1.0}}, {"outcome_reward": 0.5}
    wrong = _rollout(result=result, metrics=metrics, score=0.5)
    assert "facts.final" in complaints(wrong)


def test_the_sums_of_a_run_are_those_of_its_rollouts() -> None:
    request = {**_DONE["request"], "run": "r"}
    first = {**_DONE, "run": "r", "request": request}
    second = {**first, "id": "rollout_2", "rollout_id": "rollout_2", "score": None}
    second["metrics"], second["result"] = {"outcome_reward": None}, {"status": "completed"}
    read = [answered("GET", _ROLLOUT, 200, first)]
    read += [answered("GET", "/v1/rollouts/rollout_2", 200, second)]
    counts = {**dict.fromkeys(_RUN["rollouts"], 0), "completed": 2}
    sums = {"name": "r", "rollouts": counts, "rewards": 1, "mean_reward": first["score"]}
    seconds = 2 * example("rollout_summary")["timing"]["run_seconds"]
    sums |= dict.fromkeys(("cost_usd", "llm_input_tokens", "llm_output_tokens"))
    sums |= {"run_seconds": seconds}
    right = answered("GET", "/v1/runs/r", 200, {**_RUN, **sums})
    assert "facts.runs" not in complaints(*read, right)
    for name, value in (("rewards", 2), ("mean_reward", 0.5), ("run_seconds", 99)):
        wrong = answered("GET", "/v1/runs/r", 200, {**_RUN, **sums, name: value})
        assert "facts.runs" in complaints(*read, wrong), name
        # One more may have come that nobody has read.
        more = {**counts, "running": 1}
        grown = answered("GET", "/v1/runs/r", 200, {**_RUN, **sums, name: value, "rollouts": more})
        assert "facts.runs" not in complaints(*read, grown), name


def test_a_deleted_rollout_is_in_no_answer_that_was_requested_after_its_deletion() -> None:
    of_run = {**_DONE, "run": "r", "request": {**_DONE["request"], "run": "r"}}
    read = answered("GET", _ROLLOUT, 200, of_run)
    deletion = replace(answered("DELETE", "/v1/runs/r", 200, {**_RUN, "name": "r"}), elapsed=1.0)
    body = {"items": [of_run], "next_cursor": None}
    page = answered("GET", "/v1/rollouts", 200, body, headers=(("vary", "Prefer"),))
    events = streamed(stream(*WHOLE))
    began = time.monotonic()
    deletion, late = replace(deletion, began=began), began + 2.0
    for answer in (page, events):
        assert "facts.deleted" in complaints(read, deletion, replace(answer, began=late))
        # It was requested before the answer to the deletion.
        assert "facts.deleted" not in complaints(read, deletion, replace(answer, began=began + 0.5))
        refused = replace(deletion, status=409)
        assert "facts.deleted" not in complaints(read, refused, replace(answer, began=late))
    # A rollout that had not ended may have been admitted meanwhile.
    running = answered("GET", _ROLLOUT, 200, {**of_run, "status": "running", "state": "running"})
    assert "facts.deleted" not in complaints(running, deletion, replace(page, began=late))


def test_the_seconds_of_a_run_may_be_more_exact_than_the_times_of_its_rollouts() -> None:
    times = {"started_at": "2026-11-20T09:30:00Z", "finished_at": "2026-11-20T09:30:01Z"}
    rollout = {**_DONE, "run": "r", "request": {**_DONE["request"], "run": "r"}, **times}
    names = [f"rollout_{number}" for number in range(6)]
    read = [
        answered("GET", f"/v1/rollouts/{name}", 200, {**rollout, "id": name, "rollout_id": name})
        for name in names
    ]
    counts = {**dict.fromkeys(_RUN["rollouts"], 0), "completed": len(read)}
    figures = {"name": "r", "rollouts": counts, "rewards": 6, "mean_reward": rollout["score"]}
    figures |= dict.fromkeys(("cost_usd", "llm_input_tokens", "llm_output_tokens"))
    for seconds, is_right in ((6 * 1.9, True), (6 * 2.9, False)):
        run = answered("GET", "/v1/runs/r", 200, {**_RUN, **figures, "run_seconds": seconds})
        assert ("facts.runs" not in complaints(*read, run)) is is_right
