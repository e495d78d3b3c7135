"""Operations on runs: the rollouts of a name."""

from __future__ import annotations

import hashlib
import json
import secrets
from typing import Any

from starlette.responses import Response

from tests.contract.second_backend.calls import Call, answer, operation
from tests.contract.second_backend.problems import Problem
from tests.contract.second_backend.state import Rollout, text_of


@operation("list_runs")
async def list_runs(call: Call) -> Response:
    runs = sorted(_runs(call).values(), key=lambda run: run[0].number, reverse=True)
    label = call.query.get("label")
    if label is not None and call.keeps("runs.label"):
        name, _, value = label.partition("=")
        runs = [run for run in runs if (run[0].request.get("labels") or {}).get(name) == value]
    scope = ("runs", call.owner, label)
    issued, number = call.store.cursors.get(call.query.get("cursor", ""), ((), 0))
    if "cursor" in call.query:
        runs = [run for run in runs if issued == scope and run[0].number < number]
    limit = call.query["limit"]
    following = None
    if len(runs) > limit:
        following = secrets.token_urlsafe(18)
        call.store.cursors[following] = (scope, runs[limit - 1][0].number)
    return answer({"items": [_run(call, run) for run in runs[:limit]], "next_cursor": following})


@operation("get_run")
async def get_run(call: Call) -> Response:
    rollouts = _runs(call).get(call.path["run"])
    if rollouts is None:
        raise Problem("not_found", "No rollout has this run.")
    return answer({**_run(call, rollouts), "configuration": _configuration(call, rollouts[0])})


@operation("delete_run")
async def delete_run(call: Call) -> Response:
    rollouts = _runs(call).get(call.path["run"])
    if rollouts is None:
        raise Problem("not_found", "No rollout has this run.")
    is_active = any(rollout.state in ("queued", "running") for rollout in rollouts)
    if is_active and call.keeps("runs.active"):
        raise Problem("run_active", "Rollouts of the run are queued or running.")
    document = _run(call, rollouts)
    for rollout in rollouts if call.keeps("runs.deleted") else rollouts[1:]:
        del call.store.rollouts[rollout.id]
    return answer(document)


_OF_ONE = ("instance_id", "labels", "mode", "priority", "run", "seed", "task_id")


def _configuration(call: Call, first: Rollout) -> dict[str, Any]:
    of_one = {*_OF_ONE, "trace_correlation_id"} if call.keeps("runs.configuration") else {"run"}
    request = {
        name: value
        for name, value in first.request.items()
        if value is not None and name not in of_one
    }
    metadata = dict(request.pop("metadata", {}))
    if metadata.get("run") == first.request["run"] and call.keeps("runs.metadata"):
        del metadata["run"]
    if metadata:
        request["metadata"] = metadata
    return {**request, "pool_id": first.pool.id}


def _digest(call: Call, first: Rollout) -> str:
    # A number may be written as 7.0.
    text = json.dumps(_configuration(call, first))
    text = json.dumps(json.loads(text, parse_int=float), sort_keys=call.keeps("runs.digest"))
    return hashlib.sha256(text.encode()).hexdigest()


def _runs(call: Call) -> dict[str, list[Rollout]]:
    runs: dict[str, list[Rollout]] = {}
    for rollout in call.store.rollouts.values():
        is_ours = rollout.pool.owner == call.owner or not call.keeps("auth.others_hidden")
        name = rollout.request.get("run")
        if is_ours and name is not None:
            runs.setdefault(name, []).append(rollout)
    return {name: sorted(run, key=lambda item: item.number) for name, run in runs.items()}


def _run(call: Call, rollouts: list[Rollout]) -> dict[str, Any]:
    states = [rollout.state for rollout in rollouts]
    rewards = [rollout.reward for rollout in rollouts if rollout.reward is not None]
    usages = [rollout.usage(call.store.clock.now()) for rollout in rollouts]
    sums: dict[str, Any] = {}
    for name in ("llm_input_tokens", "llm_output_tokens", "cost_usd"):
        values = [usage[name] for usage in usages if usage[name] is not None]
        sums[name] = sum(values) if values else None
    mean = sum(rewards) / len(rewards) if rewards and call.keeps("runs.mean") else None
    labels = [rollout.request["labels"] for rollout in rollouts if rollout.request.get("labels")]
    if call.keeps("runs.first_labels"):
        labels = [rollouts[0].request.get("labels") or {}]
    return {
        "name": rollouts[0].request["run"],
        "labels": labels[-1] if labels else {},
        "created_at": text_of(rollouts[0].created_at),
        "rollouts": {
            state: states.count(state)
            for state in ("queued", "running", "completed", "failed", "cancelled")
        },
        "rewards": len(rewards),
        "mean_reward": mean,
        "configuration_digest": _digest(call, rollouts[0]),
        "run_seconds": sum(
            rollout.seconds(rollout.finished_at)
            for rollout in rollouts
            if rollout.finished_at is not None
        ),
        **sums,
    }
