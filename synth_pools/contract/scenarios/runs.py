"""Scenarios of runs: their sums, their configuration, and their deletion."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.document import FINAL, Operation
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Status, StatusLike
from synth_pools.contract.harness.registry import scenario
from synth_pools.contract.harness.subjects import offered
from synth_pools.contract.harness.waits import (
    STARTED,
    Rollout,
    iterate_pages,
    moment,
    rollout_id,
    run_rollout,
    start_rollout,
    wait_for,
)
from synth_pools.contract.http.client import ABSENT, Response, at
from synth_pools.contract.selections import reads, reads_one_rollout


@scenario(
    "runs.sums",
    "get_run",
    "list_runs",
    clauses="""
        list_runs#a9ee, get_run#ff84#ab1a, Run.name#8a5e, Run.created_at#629b, Run.rewards#26d1,
        Run.mean_reward#2cad, Run.run_seconds#2541, Run.llm_input_tokens#09bf,
        Run.llm_output_tokens#4a90, Run.cost_usd#f7cf, RunCounts#7bca, RunCounts.queued#d7dc,
        RunCounts.running#2ac7, RunCounts.completed#5142, RunCounts.failed#4042,
        RunCounts.cancelled#0bc5, RunList#7355, RunList.items#bb59, Run#1848
    """,
    needs=("runs", "live"),
)
def runs_sums(ctx: Context) -> None:
    names, runs = [], {}
    for number in range(2):
        pools = [ctx.resources.live_pool(f"{number}-{place}") for place in range(2)]
        name = f"run/é {pools[0]}"[:128]
        names.append(name)
        runs[name] = [run_rollout(ctx, pool_id, run=name) for pool_id in pools]
        runs[name].append(run_rollout(ctx, pools[0], run=name, env={"fail": True}))
        cancelled = start_rollout(ctx, pools[1], run=name, env={"delay": 600})
        ctx.require(200, *cancelled.cancels(ctx)[0], json={})
        runs[name].append(cancelled)
    # The latest rollout is not of the latest run.
    runs[names[0]].append(run_rollout(ctx, runs[names[0]][0].pool_id, run=names[0]))
    for name, rollouts in runs.items():
        run = ctx.require(200, "get_run", {"run": name})
        judge = ctx.judge("get_run", run)
        for field, expected in _sums(ctx, rollouts).items():
            actual = run.at(field)
            judge.that(f"{field} is {expected!r}", _is_same(expected, actual), repr(actual))
        first = ctx.require(200, "get_rollout", rollouts[0].ids)
        is_first = moment(run.at("created_at")) == moment(first.at("created_at"))
        judge.that("created_at of its first rollout", is_first, str(run.at("created_at")))
        judge.field("name", name, "name")
        ctx.require(200, "delete_pool", {"pool_id": rollouts[0].pool_id})
        archived = ctx.require(200, "get_run", {"run": name})
        is_equal = _is_same(run.json, archived.json)
        judge.that("the same once a pool is archived", is_equal, str(archived.json))

    def enough(items: list[Any]) -> bool:
        return {at(item, "name") for item in items} >= set(names)

    items, response, _ = iterate_pages(ctx, "list_runs", {}, {"limit": 2}, enough=enough)
    listed = [item for item in items if at(item, "name") in runs]
    judge = ctx.judge("list_runs", response)
    observed = [at(item, "name") for item in listed]
    judge.that("the latest begun first, each once", observed == names[::-1], str(observed))
    for item in listed:
        run = ctx.require(200, "get_run", {"run": at(item, "name")})
        is_equal = _is_same(item, as_listed(run))
        judge.that("as get_run has it, but for the configuration", is_equal, str(run.json))
    ctx.check(
        Status(404, "no such run", code="not_found"), "get_run", {"run": f"no {names[0]}"[:128]}
    )


def _is_same(expected: Any, actual: Any) -> bool:
    """Compare sums, which depend on the order of their fractions in the last digits."""
    if isinstance(expected, dict) and isinstance(actual, dict):
        is_same = all(_is_same(value, actual.get(name)) for name, value in expected.items())
        return is_same and expected.keys() == actual.keys()
    if isinstance(expected, float) and isinstance(actual, int | float):
        return abs(expected - actual) < 1e-6
    return bool(expected == actual)


def as_listed(run: Response) -> Any:
    """Return the answer of get_run as lists have it, without the configuration."""
    if not isinstance(run.json, dict):
        return run.json
    return {name: value for name, value in run.json.items() if name != "configuration"}


# Fields of a request that are no part of the configuration of its run.
_OF_ONE_ROLLOUT = (
    *("instance_id", "labels", "mode", "priority", "run", "seed", "task_id"),
    "trace_correlation_id",
)


@scenario(
    "runs.configuration",
    "get_run",
    "list_runs",
    clauses="""
        Run.configuration#c7ae#8d9f#3004#afa4, Run.configuration_digest#e698#5176, Run.labels#4d57,
        parameters FilterLabel#1fb3
    """,
    needs="runs",
)
def runs_configuration(ctx: Context) -> None:
    pool_id = ctx.resources.pool(tasks=[{"task_id": "t"}])
    names = [f"{name} {pool_id}"[:128] for name in ("first", "equal", "other")]
    own_fields = {"seed": 7, "labels": {"kit": pool_id}, "priority": 1, "task_id": "t", "env": None}
    metadata: dict[str, Any] = {"a": 1, "b": [None, "é"]}
    request = {"run": names[0], "metadata": {**metadata, "run": names[0]}, **own_fields}
    request["trace_correlation_id"] = "kit"
    run_rollout(ctx, pool_id, **request)
    run_rollout(ctx, pool_id, run=names[0], metadata={"a": 2}, labels={"other": pool_id})
    # Equal as JSON, though written otherwise.
    equal = {"b": [None, "é"], "a": 1.0, "run": names[1]}
    run_rollout(ctx, pool_id, run=names[1], metadata=equal)
    run_rollout(ctx, pool_id, run=names[2], metadata={"run": names[2]})
    # A run has the labels of its first rollout, and no other ones.
    run_rollout(ctx, pool_id, run=names[2], labels={"kit": pool_id})
    runs = [ctx.require(200, "get_run", {"run": name}) for name in names]
    body = ctx.session.rollout_body(**{**request, "metadata": metadata})
    expected = {
        name: value
        for name, value in body.items()
        if value is not None and name not in _OF_ONE_ROLLOUT
    }
    judge = ctx.judge("get_run", runs[0])
    judge.field("labels", {"kit": pool_id}, "those of its first rollout")
    labels = runs[2].at("labels")
    ctx.judge("get_run", runs[2]).that("no labels, as its first rollout", not labels, str(labels))
    digests = [run.at("configuration_digest") for run in runs]
    if None in digests or any(run.at("configuration") is None for run in runs):
        ctx.expect.inconclusive("get_run", "the server did not store the configuration")
    else:
        judge.field("configuration", {**expected, "pool_id": pool_id})
        least = runs[2].at("configuration")
        ctx.judge("get_run", runs[2]).that("no metadata", "metadata" not in least, str(least))
        judge = ctx.judge("get_run", runs[1])
        judge.that("a digest", isinstance(digests[0], str), repr(digests[0]))
        judge.that("the digest of an equal one", digests[0] == digests[1], str(digests))
        judge.that("another digest of another one", digests[0] != digests[2], str(digests))

    def enough(items: list[Any]) -> bool:
        return {at(item, "name") for item in items} >= set(names)

    items, response, _ = iterate_pages(ctx, "list_runs", {}, {"limit": 100}, enough=enough)
    listed = {at(item, "name"): item for item in items if at(item, "name") in names}
    judge = ctx.judge("list_runs", response)
    observed = [at(listed.get(name), "configuration_digest") for name in names]
    judge.that("the same digests", observed == digests, str(observed))
    labels = at(listed.get(names[0]), "labels")
    judge.that("the labels of its first rollout", labels == {"kit": pool_id}, str(labels))
    labelled = ctx.require(200, "list_runs", query={"label": f"kit={pool_id}", "limit": 2})
    observed = [at(item, "name") for item in labelled.list_at("items")]
    ctx.judge("list_runs", labelled).that("its label", observed == names[:1], str(observed))
    are_short = all(at(item, "configuration") is ABSENT for item in listed.values())
    judge.that("no configuration in lists", are_short, str(listed))


def _reads_of_rollout(operation: Operation) -> bool:
    return reads(operation) and "rollout_id" in operation.id_names


@scenario(
    "runs.deleted",
    _reads_of_rollout,
    "delete_run",
    "get_run",
    "list_runs",
    "list_rollouts",
    "get_pool_metrics",
    clauses="""
        delete_run#c3bb#20ef#7de8#113c, How long rollouts are kept#2f96
    """,
    needs=("runs", "live"),
)
def runs_deleted(ctx: Context) -> None:
    containers = ctx.session.containers
    more = {"container_url": containers["good"]} if containers else {}
    answer = {"status": "completed", "reward": 1.0, "artifact": [{"name": "a", "content": "a"}]}
    answer |= {"usage": {"input_tokens": 7, "output_tokens": 2, "cost_usd": 0.5}}
    pool_id = ctx.resources.live_pool(concurrency=1, **more)
    run, other_run = {"run": f"deleted {pool_id}"[:128]}, {"run": f"kept {pool_id}"[:128]}
    rollouts = [run_rollout(ctx, pool_id, **run, env={"answer": answer}) for _ in range(2)]
    # While it runs, what comes after it waits.
    other_rollout = start_rollout(ctx, pool_id, **other_run, env={"delay": 600})
    wait_for(ctx, other_rollout, STARTED)
    active = start_rollout(ctx, pool_id, **run, env={"delay": 600})
    for state in ("queued", "running"):
        wait_for(ctx, active, (state, *FINAL))
        refused = Status(409, f"one of its rollouts is {state}", code="run_active")
        _delete(ctx, refused, run["run"])
        for rollout in (*rollouts, active):
            ctx.check(Status(200, "nothing was deleted"), "get_rollout", rollout.ids)
        stopped = other_rollout if state == "queued" else active
        ctx.require(200, *stopped.cancels(ctx)[0], json={})
        wait_for(ctx, stopped, FINAL)
    rollouts.append(active)
    last = ctx.require(200, "get_run", run)
    paths = _paths(ctx, rollouts[0])
    response = _delete(ctx, 200, run["run"])
    judge = ctx.judge("delete_run", response)
    is_last = _is_same(response.json, as_listed(last))
    judge.that("the run as it was last", is_last, str(response.json))
    deleted = Status(404, "the run was deleted", code="not_found")
    ctx.check(deleted, "get_run", run)
    _delete(ctx, deleted, run["run"])
    for number, rollout in enumerate(rollouts):
        for operation in offered(ctx, reads_one_rollout):
            # Each of one, and one of each.
            if number in (0, len(operation.id) % len(rollouts)):
                refusal = Status(404, "its run was deleted", code="rollout_not_found")
                ctx.check(refusal, operation.id, operation.own_ids(rollout.ids))
    for name, ids in paths:
        refusal = Status(404, "its run was deleted", code="rollout_not_found")
        ctx.check(refusal, name, ids)
    page = ctx.require(200, "list_rollouts", {"pool_id": pool_id}, query={"limit": 100})
    observed = [at(item, "id") for item in page.list_at("items")]
    are_left = observed == [other_rollout.id]
    ctx.judge("list_rollouts", page).that("the other run", are_left, str(observed))
    if ctx.has("list_global_rollouts"):
        # The rules for facts look for what was deleted.
        ctx.require(200, "list_global_rollouts", query={"limit": 1000})
    runs = ctx.require(200, "list_runs", query={"limit": 1000})
    names = [at(item, "name") for item in runs.list_at("items")]
    ctx.judge("list_runs", runs).that("no deleted run", run["run"] not in names, str(names[:9]))
    ctx.check(Status(200, "another run"), "get_run", other_run)
    metrics = ctx.require(200, "get_pool_metrics", {"pool_id": pool_id})
    judge = ctx.judge("get_pool_metrics", metrics)
    status = ctx.require(200, "get_rollout", other_rollout.ids).at("status")
    for state in FINAL:
        judge.field(f"{state}_rollouts", int(state == status), "the rollouts that are left")
    usage: dict[str, Any] = {"rollouts": 0, "input_tokens": None, "cost_usd": None}
    for name, expected in usage.items() if containers else ():
        label = f"usage.{name} of the rollouts that are left"
        judge.field(f"usage.{name}", expected, label, optional=True)
    if ctx.session.offers("query"):
        _judge_views(ctx, rollouts[0])
    again = run_rollout(ctx, pool_id, **run)
    later_run = ctx.require(200, "get_run", run)
    status = ctx.require(200, "get_rollout", again.ids).at("status")
    judge, label = ctx.judge("get_run", later_run), "the rollouts since it was deleted"
    for state in ("queued", "running", *FINAL):
        judge.field(f"rollouts.{state}", int(state == status), label)
    for name in ("llm_input_tokens", "llm_output_tokens", "cost_usd") if containers else ():
        judge.field(name, None, f"{name} of the rollouts since it was deleted")


def _judge_views(ctx: Context, rollout: Rollout) -> None:
    """Expect nothing of a deleted rollout in the views of queries."""
    views = {"rollouts": "id", "events": "rollout_id", "usage": "rollout_id"}
    counts = (
        f"(SELECT count(*) FROM {view} WHERE {name} = '{rollout.id}')"  # noqa: S608 - ours
        for view, name in views.items()
    )
    answered = ctx.require(200, "run_query", json={"sql": f"SELECT {', '.join(counts)}"})
    ctx.judge("run_query", answered).field("rows", [[0, 0, 0]], "the rows of what was deleted")


def _paths(ctx: Context, rollout: Rollout) -> list[tuple[str, dict[str, str]]]:
    """Read what else a rollout has, and return the operations and ids of what is there."""
    page = ctx.require(200, "get_rollout_artifacts", rollout.ids)
    path = at(page.list_at("items"), 0, "path")
    ids = {**rollout.ids, **({"artifact_path": path} if isinstance(path, str) else {})}
    paths = []
    for operation in offered(ctx, _reads_of_rollout):
        if {*operation.id_names} <= {*ids} and not reads_one_rollout(operation):
            own_ids = operation.own_ids(ids)
            response = ctx.call(operation.id, own_ids)
            paths += [(operation.id, own_ids)] if response.status == 200 else []
    return paths


@scenario(
    "runs.deleted_key",
    "delete_run",
    "create_rollout",
    clauses="How long rollouts are kept#fd73",
    needs=("runs", "idempotency_keys"),
)
def runs_deleted_key(ctx: Context) -> None:
    pool_id = ctx.resources.pool()
    pool, name = {"pool_id": pool_id}, f"keyed {pool_id}"[:128]
    headers = {"idempotency-key": f"{ctx.session.options.run_id}-{ctx.scenario.id}"}
    body = ctx.session.rollout_body(run=name)
    created = ctx.require((200, 202), "create_rollout", pool, json=body, headers=headers)
    wait_for(ctx, Rollout(pool_id, rollout_id(created)), FINAL)
    _delete(ctx, 200, name)
    refusal = Status(404, "the rollout of the key was deleted", code="rollout_not_found")
    ctx.check(refusal, "create_rollout", pool, json=body, headers=headers)
    ctx.check(Status(404, "nothing was created", code="not_found"), "get_run", {"run": name})


def _delete(ctx: Context, status: StatusLike, name: str) -> Response:
    # Other scenarios may be listing its rollouts.
    ctx.session.collector.forget_run(name)
    return ctx.check(status, "delete_run", {"run": name})


def _sums(ctx: Context, rollouts: list[Rollout]) -> dict[str, Any]:
    """Return the sums of some rollouts by the fields of a run."""
    read = [ctx.require(200, "get_rollout", rollout.ids) for rollout in rollouts]
    usages = [ctx.require(200, "get_rollout_usage", rollout.ids) for rollout in rollouts]
    summaries = [ctx.require(200, "get_rollout_summary", rollout.ids) for rollout in rollouts]
    states = [item.at("status") for item in read]
    rewards = [float(score) for item in read if isinstance(score := item.at("score"), float | int)]
    usage: dict[str, Any] = {}
    for name in ("llm_input_tokens", "llm_output_tokens", "cost_usd"):
        reported = [item.at(name) for item in usages]
        values = [value for value in reported if isinstance(value, float | int)]
        usage[name] = sum(values) if values else None
    seconds = [item.at("timing", "run_seconds") for item in summaries]
    return {
        "rollouts": {state: states.count(state) for state in ("queued", "running", *FINAL)},
        "rewards": len(rewards),
        "mean_reward": sum(rewards) / len(rewards) if rewards else None,
        "run_seconds": float(sum(value for value in seconds if isinstance(value, float | int))),
        **usage,
    }
