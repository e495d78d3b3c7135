"""Conversations in a trajectory: several agents, or attempts of one, may be in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Step = Mapping[str, Any]

# Words of servers for those of chat completions.
_REASONS = {
    "completed": "stop",
    "end_turn": "stop",
    "function_call": "tool_calls",
    "tool_use": "tool_calls",
    "incomplete": "length",
    "max_tokens": "length",
    "max_output_tokens": "length",
}


def conversations(trajectory: Mapping[str, Any]) -> list[list[Step]]:
    """Return the steps of each conversation, in the order of their last answers.

    A step goes on from that of its `extra.after_step`, or else from the one before. Conversations
    with a common beginning have it each. Calls that failed are in none, unless one goes on from
    them.
    """
    steps: list[Step] = trajectory["steps"]
    before, last = [0], 0
    for number, step in enumerate(steps, 1):
        after = _extra(step).get("after_step")
        before.append(after if isinstance(after, int) and 0 <= after < number else last)
        last = last if _was_not_said(step) else number
    followed: set[int] = set()
    ends: list[int] = []
    trailing: dict[int, int] = {}
    for number in range(len(steps), 0, -1):
        step = steps[number - 1]
        if number in followed:
            followed.add(before[number])
        elif is_own_answer(step):
            ends.append(number)
            followed.add(before[number])
        elif not _was_not_said(step):
            trailing[before[number]] = number
    result = []
    for end in reversed(ends or [0]):
        numbers, number = [], end
        while number:
            numbers.append(number)
            number = before[number]
        numbers.reverse()
        number = end
        while number := trailing.get(number, 0):
            numbers.append(number)
        result.append([steps[number - 1] for number in numbers])
    return result


def is_own_answer(step: Step) -> bool:
    """Return True for what the agent itself has said; False also for a copy of that."""
    return step["source"] == "agent" and not step.get("is_copied_context")


def finish_reason(step: Step) -> str | None:
    """Return why a model stopped, in the words of chat completions; None if nobody tells."""
    reason = _extra(step).get("finish_reason")
    return _REASONS.get(reason, reason) if isinstance(reason, str) else None


def _extra(step: Step) -> Mapping[str, Any]:
    extra: Mapping[str, Any] = step.get("extra") or {}
    return extra


def _was_not_said(step: Step) -> bool:
    """Return True for a call that failed, and for the limit that has ended an episode."""
    extra = _extra(step)
    return bool(step.get("is_copied_context") and (extra.get("error") or extra.get("limit")))
