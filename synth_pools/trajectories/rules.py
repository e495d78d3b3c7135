"""Rules of ATIF that a schema cannot express."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any


def misplaced(trajectory: Mapping[str, Any]) -> str | None:
    """Return what breaks the order of a trajectory, or refers to nothing; None if nothing does.

    Args:
        trajectory: The trajectory, valid by its schema.
    """
    remaining = [("", trajectory)]
    while remaining:
        place, document = remaining.pop()
        for number, step in enumerate(document["steps"], 1):
            if (fault := _misplaced_in_step(step, number)) is not None:
                return f"{place}steps[{number - 1}].{fault}"
        embedded = document.get("subagent_trajectories") or []
        ids = [item.get("trajectory_id") for item in embedded]
        if None in ids or len(set(ids)) < len(ids):
            return f"{place}subagent_trajectories: each has a trajectory_id of its own"
        remaining += [
            (f"{place}subagent_trajectories[{number}].", item)
            for number, item in enumerate(embedded)
        ]
    return None


def _misplaced_in_step(step: Mapping[str, Any], number: int) -> str | None:
    if step["step_id"] != number:
        return f"step_id is {step['step_id']}, and not {number}"
    try:
        datetime.fromisoformat(step.get("timestamp") or "2026-01-01")
    except ValueError:
        return f"timestamp is no time in ISO format: {step['timestamp'][:100]!r}"
    calls = {call["tool_call_id"] for call in step.get("tool_calls") or ()}
    for result in (step.get("observation") or {"results": ()})["results"]:
        call_id = result.get("source_call_id")
        if call_id is not None and call_id not in calls:
            return f"observation answers a tool call that the step does not have: {call_id[:100]!r}"
    return None


def step_range(step: str) -> tuple[int, int | None]:
    """Return the numbers of the first step and of the last one, None for that of the trajectory.

    Args:
        step: The number of a step, or the first and last: `3..5`, `3..` or `..5`.

    Raises:
        ValueError: The last one is before the first.
    """
    first, dots, last = step.partition("..")
    start = int(first or 1)
    end = int(last) if last else None if dots else start
    if end is not None and end < start:
        raise ValueError(f"{end} is before {start}; a range is as 3..5")
    return start, end


def selected(trajectory: Mapping[str, Any], start: int, end: int | None) -> dict[str, Any]:
    """Return a trajectory with some of its steps.

    Args:
        trajectory: The trajectory.
        start: The number of the first step.
        end: That of the last one; None for all from the first on.
    """
    return {**trajectory, "steps": trajectory["steps"][start - 1 : end]}
