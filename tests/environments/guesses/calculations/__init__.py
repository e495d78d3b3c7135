"""Taskset of verifiers whose task has a tool, and no id."""

# mypy: ignore-errors

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import verifiers.v1 as vf
from calculator import Calculator

__all__ = ["Calculations"]


class Calculation(vf.Task[vf.TaskData]):
    """Sum of two numbers."""

    @classmethod
    def toolsets(cls, config: Any) -> list[Any]:  # noqa: ARG003
        """Return the servers of tools."""
        return [Calculator(vf.ToolsetConfig())]

    @vf.reward(weight=1.0)
    async def is_calculated(self, trace: Any) -> float:
        """Look for the sum in the answers of the tool."""
        return float(any("4" in str(message.content) for message in trace.tool_messages))


class Calculations(vf.Taskset[Calculation, vf.TasksetConfig]):
    """One task."""

    def load(self) -> Iterator[Calculation]:
        """Load the task."""
        yield Calculation(vf.TaskData(prompt="What is 2+2?"), self.config.task)
