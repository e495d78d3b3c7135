"""Taskset of verifiers whose reward is the verdict of a judge."""

# mypy: ignore-errors

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import verifiers.v1 as vf

__all__ = ["JudgedTaskset"]


class Verdict(vf.Judge[bool]):
    """Judge of an answer."""

    prompt = "Is it {answer}?"


class JudgedTask(vf.Task[vf.TaskData]):
    """Task that a judge scores."""

    @vf.reward(weight=1.0)
    async def judged(self, trace: Any) -> float:
        """Ask the judge."""
        config = vf.JudgeConfig(
            base_url=os.environ["OPENAI_BASE_URL"], api_key_var="NO_KEY", model="say:yes"
        )
        verdict = await Verdict(config).evaluate(trace=trace, answer=trace.last_reply)
        return float(verdict.parsed == "yes")


class JudgedTaskset(vf.Taskset[JudgedTask, vf.TasksetConfig]):
    """A task without an id."""

    def load(self) -> Iterator[JudgedTask]:
        """Load the task."""
        yield JudgedTask(vf.TaskData(prompt="Say 2"), self.config.task)
