"""Taskset of verifiers: say a number."""

# mypy: ignore-errors

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import verifiers.v1 as vf

__all__ = ["GuessTaskset"]


class GuessData(vf.TaskData):
    """Data of a task."""

    answer: str


class GuessTask(vf.Task[GuessData]):
    """Task whose answer is a number."""

    @vf.reward(weight=1.0)
    async def exact(self, task: GuessData, trace: Any) -> float:
        """Compare the last answer."""
        return float(trace.last_reply.strip() == task.answer)

    @vf.metric
    async def length(self, trace: Any) -> float:
        """Count the letters of the last answer."""
        return float(len(trace.last_reply))


class GuessTaskset(vf.Taskset[GuessTask, vf.TasksetConfig]):
    """Six tasks."""

    def load(self) -> Iterator[GuessTask]:
        """Load the tasks."""
        for number in range(6):
            data = GuessData(id=f"g{number}", prompt=f"Say {number}", answer=str(number))
            yield GuessTask(data, self.config.task)
