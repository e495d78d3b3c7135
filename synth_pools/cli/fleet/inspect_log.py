"""Results of a run as a log of Inspect, for `inspect view` and its data frames.

The log is a ZIP archive of JSON documents, and is written without Inspect. A seed is a sample, a
repeat of it an epoch, the reward its score.
"""

from __future__ import annotations

import hashlib
import json
import math
import zipfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import fmean, stdev
from typing import Any, NamedTuple

from synth_pools.runs.recorded import RecordedResult, RecordedRun
from synth_pools.runs.rows import finite_number
from synth_pools.trajectories.conversations import conversations, finish_reason, is_own_answer
from synth_pools.trajectories.messages import as_text, model_usage, step_messages

# Version of the format, which Inspect has had since 2024.
_VERSION = 2
# Inspect writes this if no model takes part; the service names no model.
_NO_MODEL = "none/none"
_SCORE = "reward"
_STOPS: Mapping[str | None, str] = {
    None: "stop",
    "length": "max_tokens",
    **{reason: reason for reason in ("stop", "model_length", "tool_calls", "content_filter")},
}


def write_inspect_log(
    path: Path, name: str, run: RecordedRun, trajectories: Mapping[str, Mapping[str, Any]]
) -> None:
    """Write a log, named after the common task of the results, or else `name`.

    Unfinished results are left out, and the log has the status `started`.

    Args:
        path: The file.
        name: The name.
        run: The results.
        trajectories: Trajectories by the ids of their rollouts.

    Raises:
        OSError: It cannot be written.
    """
    finished = [result for result in run.results if result.has_ended]
    samples = _samples(finished, trajectories)
    header = _header(name, run, samples)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        start = {key: header[key] for key in ("version", "eval", "plan")}
        archive.writestr("_journal/start.json", json.dumps(start))
        for sample in samples:
            place = f"samples/{sample['id']}_epoch_{sample['epoch']}.json"
            archive.writestr(place, json.dumps(sample))
        archive.writestr("summaries.json", json.dumps([_summary(sample) for sample in samples]))
        archive.writestr("header.json", json.dumps(header))


def _samples(
    results: Sequence[RecordedResult], trajectories: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    ids = _ids(results)
    epochs: Counter[str] = Counter()
    samples = []
    for result in results:
        row, rollout = result.row, result.rollout or {}
        sample_id = ids[row["group"]]
        epochs[sample_id] += 1
        sample: dict[str, Any] = {
            "id": sample_id,
            "epoch": epochs[sample_id],
            "input": json.dumps(row.get("request"), ensure_ascii=False, indent=2),
            "target": "",
            "messages": [],
            "output": _output(rollout.get("result")),
            "scores": _scores(row),
            "metadata": {
                key: row.get(key)
                for key in ("index", "rollout_id", "task_id", "seed", "status", "attempts")
            },
            "started_at": rollout.get("started_at"),
            "completed_at": rollout.get("finished_at"),
            "total_time": row.get("seconds"),
            "working_time": row.get("seconds"),
            "uuid": row.get("rollout_id"),
        }
        if row.get("failure") is not None:
            message = f"{row['failure']}: {row.get('message')}"
            sample["error"] = {"message": message, "traceback": "", "traceback_ansi": ""}
        if (trajectory := trajectories.get(str(row.get("rollout_id")))) is not None:
            sample |= _played(sample, trajectory)
        samples.append(sample)
    return samples


class _Answer(NamedTuple):
    choice: dict[str, Any]
    messages: list[dict[str, Any]]
    place: int
    sent: list[dict[str, Any]]
    before: int


def _played(sample: Mapping[str, Any], trajectory: Mapping[str, Any]) -> dict[str, Any]:
    """Build the fields of a sample that tell what was said, and what it cost."""
    model = str(trajectory["agent"].get("model_name") or _NO_MODEL)
    by_step: dict[int, list[dict[str, Any]]] = {}
    answers: dict[int, _Answer] = {}
    messages: list[dict[str, Any]] = []
    count = 0
    for steps in conversations(trajectory):
        messages, sent, before = [], list[dict[str, Any]](), 0
        for step in steps:
            number = step["step_id"]
            if number not in by_step:
                parts = [_message(message, model) for message in step_messages(step)]
                # Readers of several samples take messages of one id for one message.
                by_step[number] = [
                    {"id": f"{sample['uuid']}-{count + place}", **part}
                    for place, part in enumerate(parts, 1)
                ]
                count += len(parts)
            message, *results = by_step[number]
            if is_own_answer(step):
                reason = _STOPS.get(finish_reason(step), "unknown")
                choice = {"message": message, "stop_reason": reason}
                answers[number] = _Answer(choice, messages, len(messages), sent, before)
                sent, before = list(results), number
            else:
                sent += [message, *results]
            messages += [message, *results]
    moment, last = sample["started_at"], 0
    events: list[dict[str, Any]] = []
    output = None
    for number in sorted(answers):
        answer = answers[number]
        goes_on = answer.before == last
        output = {"model": model, "choices": [answer.choice]}
        events.append(
            {
                "event": "model",
                "model": model,
                # Each message once: those before are in the event before, if it goes on from that.
                "input": answer.sent if goes_on else answer.messages[: answer.place],
                "output": output,
                "tools": [],
                "tool_choice": "auto",
                "config": {},
                **({"timestamp": moment} if moment else {}),
            }
        )
        last = number
    fields = {"messages": messages, "turn_count": len(events), "events": events}
    fields |= {"model_usage": _usage(trajectory)}
    return fields | ({"output": output} if output else {})


def _message(message: Mapping[str, Any], model: str) -> dict[str, Any]:
    fields = {"role": message["role"], "content": _content(message)}
    if message["role"] == "assistant":
        is_copy = message.get("weight") == 0
        fields |= {"source": "input"} if is_copy else {"source": "generate", "model": model}
        if calls := message.get("tool_calls"):
            fields["tool_calls"] = [
                {"id": call["id"], "type": "function", **_function(call["function"])}
                for call in calls
            ]
    elif message["role"] == "tool":
        fields |= {"tool_call_id": message["tool_call_id"], "function": message["name"]}
    return fields


def _function(function: Mapping[str, Any]) -> dict[str, Any]:
    return {"function": function["name"], "arguments": function["arguments"]}


def _content(message: Mapping[str, Any]) -> str | list[dict[str, str]]:
    content: Any = message["content"]
    if isinstance(content, str) and "reasoning_content" not in message:
        return content
    parts: list[dict[str, str]] = []
    if "reasoning_content" in message:
        parts.append({"type": "reasoning", "reasoning": str(message["reasoning_content"])})
    if isinstance(content, str):
        content = [{"text": content}]
    for part in content:
        if "image_url" in part:
            parts.append({"type": "image", "image": part["image_url"]["url"]})
        else:
            parts.append({"type": "text", "text": as_text([part])})
    return parts


def _usage(trajectory: Mapping[str, Any]) -> dict[str, dict[str, float]]:
    usage = {}
    for model, sums in model_usage(trajectory).items():
        sent, cached = sums.get("prompt_tokens", 0), sums.get("cached_tokens", 0)
        sampled = sums.get("completion_tokens", 0)
        usage[model] = {
            # Without cached ones, as Inspect counts them.
            "input_tokens": max(0, sent - cached),
            "input_tokens_cache_read": cached,
            "output_tokens": sampled,
            "total_tokens": sent + sampled,
            **({"total_cost": sums["cost_usd"]} if "cost_usd" in sums else {}),
        }
    return usage


def _summed(samples: Sequence[dict[str, Any]]) -> dict[str, Mapping[str, float]]:
    sums: dict[str, Any] = defaultdict(Counter)
    for sample in samples:
        for model, usage in sample.get("model_usage", {}).items():
            sums[model].update(usage)
    return sums


def _ids(results: Sequence[RecordedResult]) -> dict[int, str]:
    """Name each group after its task and seed, with a number if the name is in use."""
    names: dict[int, str] = {}
    uses: Counter[str] = Counter()
    for result in results:
        group: int = result.row["group"]
        task, seed = result.row.get("task_id"), result.row.get("seed")
        if group in names:
            continue
        parts = [str(task)] if task else []
        parts += [] if seed is None else [f"seed {seed}"]
        name = " ".join(parts).replace("/", "-")[:100] or f"request {group}"
        uses[name] += 1
        names[group] = name if uses[name] == 1 else f"{name} ({uses[name]})"
    return names


def _output(result: Any) -> dict[str, Any]:
    if result is None:
        return {"model": _NO_MODEL, "choices": []}
    text = json.dumps(result, ensure_ascii=False, indent=2)
    message = {"role": "assistant", "source": "generate", "content": text}
    choice = {"message": message, "stop_reason": "stop"}
    return {"model": _NO_MODEL, "choices": [choice], "completion": text}


def _scores(row: dict[str, Any]) -> dict[str, Any]:
    reward = finite_number(row.get("reward"))
    return {} if reward is None else {_SCORE: {"value": reward, "history": []}}


def _summary(sample: dict[str, Any]) -> dict[str, Any]:
    same = (
        *("id", "epoch", "input", "target", "scores", "metadata", "started_at", "completed_at"),
        *("total_time", "working_time", "uuid"),
    )
    error = sample.get("error")
    return {
        **{key: sample[key] for key in same},
        **({"model_usage": sample["model_usage"]} if "model_usage" in sample else {}),
        "message_count": len(sample["messages"]),
        "completed": True,
        **({"error": error["message"]} if error else {}),
    }


def _header(name: str, run: RecordedRun, samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
    tasks = {str(result.row["task_id"]) for result in run.results if result.row.get("task_id")}
    ids = list(dict.fromkeys(sample["id"] for sample in samples))
    starts = [sample["started_at"] for sample in samples if sample["started_at"]]
    ends = [sample["completed_at"] for sample in samples if sample["completed_at"]]
    created = min(starts, default=datetime.now(UTC).isoformat())
    usage = _summed(samples)
    task = tasks.pop() if len(tasks) == 1 else name
    # Readers identify logs by this id: equal results give equal ids.
    digest = hashlib.sha256("".join(str(sample["uuid"]) for sample in samples).encode())
    log_id = run.run_id or digest.hexdigest()[:32]
    rewards = [
        sample["scores"][_SCORE]["value"] for sample in samples if _SCORE in sample["scores"]
    ]
    return {
        "version": _VERSION,
        # A reader may read the log of an unfinished run again.
        "status": "success" if len(samples) == len(run.results) else "started",
        "eval": {
            "eval_id": log_id,
            "run_id": log_id,
            "created": created,
            "task": task,
            "task_id": task,
            "dataset": {"name": name, "samples": len(ids), "sample_ids": ids, "shuffled": False},
            "model": next(iter(usage), _NO_MODEL) if len(usage) == 1 else _NO_MODEL,
            "config": {"epochs": max((sample["epoch"] for sample in samples), default=1)},
            "metadata": {"pool_id": run.pool_id},
        },
        "plan": {"name": "synth-pools", "steps": []},
        "results": {
            "total_samples": len(samples),
            "completed_samples": sum("error" not in sample for sample in samples),
            "scores": [_score(rewards)] if rewards else [],
        },
        "stats": {
            "started_at": min(starts, default=""),
            "completed_at": max(ends, default=""),
            "model_usage": usage,
        },
    }


def _score(rewards: Sequence[float]) -> dict[str, Any]:
    number = len(rewards)
    error = stdev(rewards) / math.sqrt(number) if number > 1 else 0.0
    values = {"mean": fmean(rewards), "stderr": error}
    return {
        "name": _SCORE,
        "scorer": _SCORE,
        "scored_samples": number,
        "metrics": {key: {"name": key, "value": value} for key, value in values.items()},
    }
