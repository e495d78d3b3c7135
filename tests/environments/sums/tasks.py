"""Tasks of Inspect."""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Any

from inspect_ai import Task, task
from inspect_ai.dataset import Sample
from inspect_ai.model import ChatMessageUser, get_model
from inspect_ai.scorer import Score, includes, mean, scorer
from inspect_ai.solver import generate, solver, use_tools
from inspect_ai.tool import tool


@tool
def add() -> Any:
    """Return a tool that adds."""

    async def execute(x: int, y: int) -> str:
        """Add two numbers.

        Args:
            x: The first.
            y: The second.
        """
        return str(x + y)

    return execute


@task
def sums(count: int = 6) -> Task:
    """Sums of the model alone; ids are numbers."""
    samples = [Sample(id=i, input=f"What is {i}+{i}?", target=str(2 * i)) for i in range(count)]
    return Task(dataset=samples, solver=generate(), scorer=includes())


@task
def tools() -> Task:
    """A sum with a tool, of an id that looks like a pattern."""
    samples = [Sample(id=name, input="What is 2+2?", target="done") for name in ("*a", "ab")]
    return Task(
        dataset=samples, solver=[use_tools(add()), generate()], scorer=[includes(), parts()]
    )


@scorer(metrics=[mean()])
def parts() -> Any:
    """Return a scorer with several values."""

    async def score(state: Any, target: Any) -> Score:
        return Score(value={"half": "P", "odd": "perhaps", "tools": len(state.messages)})

    return score


@solver
def stubborn() -> Any:
    """Return a solver that ignores its cancellation."""

    async def solve(state: Any, generate: Any) -> Any:
        state = await generate(state)
        while True:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(0.05)

    return solve


@task
def endless() -> Task:
    """A task that does not end."""
    return Task(dataset=[Sample(id=1, input="Go on.")], solver=stubborn(), scorer=includes())


@scorer(metrics=[mean()])
def grades() -> Any:
    """Return a scorer that asks a model of its own twice."""

    async def score(state: Any, target: Any) -> Score:
        url = os.environ["OPENAI_BASE_URL"]
        model = get_model("openai-api/grader/say:GRADE: C", base_url=url, api_key="none")
        messages = [ChatMessageUser(content=f"Is it {target.text}?")]
        for text in ("Really?", ""):
            answer = await model.generate(messages)
            messages += [answer.message, ChatMessageUser(content=text)]
        return Score(value=answer.completion[-1])

    return score


@task
def judged() -> Task:
    """A sum that a model judges."""
    sample = Sample(id=1, input="What is 1+1?", target="2")
    return Task(dataset=[sample], solver=generate(), scorer=grades())


@solver
def twice() -> Any:
    """Return a solver that takes no error for the end."""

    async def solve(state: Any, generate: Any) -> Any:
        for _ in range(2):
            with contextlib.suppress(Exception):
                state = await generate(state)
        return state

    return solve


@task
def patient() -> Task:
    """A sum that is asked for twice."""
    sample = Sample(id=1, input="What is 1+1?", target="2")
    return Task(dataset=[sample], solver=twice(), scorer=includes())
