"""Trajectories of a run in the forms that trainers and other tools read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from synth_pools.cli import output
from synth_pools.cli.access.connection import ServiceOptions
from synth_pools.runs.recorded import RecordedResult
from synth_pools.runs.rows import finite_number
from synth_pools.trajectories.conversations import conversations
from synth_pools.trajectories.messages import step_messages
from synth_pools.trajectories.sequences import TokenSequence, token_sequences

_AT_ONCE = 8
_TRL_COLUMNS = ("reward", "rollout_id", "task_id", "seed")
# SkyRL takes any other word for an answer that was cut off.
_SKYRL_STOPS = {None: "stop", "tool_calls": "stop"}
_ROW = ("rollout_id", "task_id", "seed", "status", "reward")

Played = tuple[RecordedResult, dict[str, Any]]


def has_trajectory(result: RecordedResult) -> bool:
    """Return True if the answer of the container has a trajectory, or nobody knows."""
    if not result.row.get("rollout_id"):
        return False
    answer = (result.rollout or {}).get("result")
    return result.rollout is None or isinstance((answer or {}).get("trajectory"), dict)


def read_trajectories(
    results: Sequence[RecordedResult], connection: ServiceOptions
) -> Iterator[Played]:
    """Read the trajectories of results from the service, in their order.

    Results without one are passed over.
    """
    candidates = [result for result in results if has_trajectory(result)]
    if not candidates:
        return
    # Imported here: help does not need the client.
    from synth_pools import NotFoundError

    with connection.client() as client, ThreadPoolExecutor(_AT_ONCE) as threads:

        def read(result: RecordedResult) -> dict[str, Any] | None:
            try:
                return client.agent_rollouts.trajectory(result.row["rollout_id"])
            except NotFoundError:
                return None

        for start in range(0, len(candidates), _AT_ONCE):
            some = candidates[start : start + _AT_ONCE]
            for result, trajectory in zip(some, threads.map(read, some), strict=True):
                if trajectory is not None:
                    yield result, trajectory


def write_atif(path: Path, played: Iterator[Played], total: int) -> None:
    """Write a line for each trajectory; `extra.rollout` tells its rollout."""
    _write_lines(path, ([_atif(item)] for item in played), total, "have no trajectory")


def write_sft(path: Path, played: Iterator[Played], total: int) -> None:
    """Write a line with messages for each conversation, for supervised fine-tuning."""
    _write_lines(path, map(_sft, played), total, "have no trajectory")


def write_trl(path: Path, played: Iterator[Played], total: int) -> None:
    """Write what `rollout_func` of TRL's GRPO trainer returns: lists with an entry a sequence."""
    rows: list[tuple[RecordedResult, TokenSequence]] = []
    count = 0
    for result, sequences in _sampled(played):
        if all(sequence.logprobs is not None for sequence in sequences):
            count += 1
            rows += [(result, sequence) for sequence in sequences]
    document = {
        "prompt_ids": [sequence.prompt for _, sequence in rows],
        "completion_ids": [sequence.response for _, sequence in rows],
        "logprobs": [sequence.logprobs for _, sequence in rows],
        "env_mask": [sequence.mask for _, sequence in rows],
        **{name: [result.row.get(name) for result, _ in rows] for name in _TRL_COLUMNS},
    }
    _say_left_out(total - count, "have no reward, or steps without token ids and log-probabilities")
    path.write_text(json.dumps(document) + "\n", encoding="utf-8")


def write_skyrl(path: Path, played: Iterator[Played], total: int) -> None:
    """Write a `GeneratorOutput` of SkyRL: lists with an entry a sequence."""
    rows: list[tuple[RecordedResult, TokenSequence]] = []
    repeats: dict[str, int] = {}
    ids: list[dict[str, Any]] = []
    count = 0
    for result, sequences in _sampled(played):
        count += 1
        instance = str(result.row["group"])
        repeats[instance] = repetition = repeats.get(instance, -1) + 1
        rows += [(result, sequence) for sequence in sequences]
        ids += [{"instance_id": instance, "repetition_id": repetition}] * len(sequences)
    logprobs = [sequence.logprobs for _, sequence in rows]
    document = {
        "prompt_token_ids": [sequence.prompt for _, sequence in rows],
        "response_ids": [sequence.response for _, sequence in rows],
        "rewards": [result.row["reward"] for result, _ in rows],
        "loss_masks": [sequence.mask for _, sequence in rows],
        "stop_reasons": [
            _SKYRL_STOPS.get(sequence.finish_reason, sequence.finish_reason) for _, sequence in rows
        ],
        "rollout_metrics": None,
        "rollout_logprobs": None if None in logprobs else logprobs,
        "trajectory_ids": ids,
        "is_last_step": [sequence.ends for _, sequence in rows],
    }
    _say_left_out(total - count, "have no reward, or steps without token ids")
    path.write_text(json.dumps(document) + "\n", encoding="utf-8")


def _sampled(played: Iterator[Played]) -> Iterator[tuple[RecordedResult, list[TokenSequence]]]:
    for result, trajectory in played:
        sequences = token_sequences(trajectory)
        if sequences is not None and finite_number(result.row.get("reward")) is not None:
            yield result, sequences


def _atif(played: Played) -> dict[str, Any]:
    result, trajectory = played
    rollout = {name: result.row.get(name) for name in _ROW}
    extra = {**(trajectory.get("extra") or {}), "rollout": rollout}
    return {"schema_version": "ATIF-v1.8", **trajectory, "extra": extra}


def _sft(played: Played) -> list[dict[str, Any]]:
    result, trajectory = played
    tools = trajectory["agent"].get("tool_definitions")
    taught: set[int] = set()
    rows = []
    for steps in conversations(trajectory):
        messages = []
        for step in steps:
            answer, *results = step_messages(step)
            if step["step_id"] in taught and answer["role"] == "assistant":
                # It is in an earlier line, too.
                answer["weight"] = 0
            messages += [answer, *results]
        taught |= {step["step_id"] for step in steps}
        row = {"messages": messages, **({"tools": tools} if tools else {})}
        rows.append(row | {name: result.row.get(name) for name in _ROW})
    return rows


def _write_lines(
    path: Path, documents: Iterator[list[dict[str, Any]]], total: int, reason: str
) -> None:
    count = 0
    with path.open("w", encoding="utf-8") as file:
        for lines in documents:
            # Escaped: a text may hold half a character.
            file.writelines(f"{json.dumps(line)}\n" for line in lines)
            count += 1
    _say_left_out(total - count, reason)


def _say_left_out(count: int, reason: str) -> None:
    if count:
        output.say(f"{count} are left out: they {reason}")
