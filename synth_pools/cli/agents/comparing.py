"""The tool that compares runs, as `synth-pools compare` does."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

from synth_pools import AsyncContainerPoolsClient
from synth_pools.cli.fleet.compare import MOST_PAIRS, PAGE, left_out, render
from synth_pools.cli.operations.schemas import problems
from synth_pools.runs.service import ServiceRun

COMPARE = "compare_runs"
# Operations that it calls.
COMPARE_NEEDS = frozenset({"get_run", "list_global_rollouts"})
_MOST_PROBLEMS = 3
_ARGUMENTS = {
    "type": "object",
    "properties": {
        "runs": {
            "type": "array",
            "items": {"type": "string", "minLength": 1},
            "minItems": 2,
            "description": "The names of the runs. Each later one is compared with the first.",
        },
        "failures": {
            "type": "string",
            "enum": ["zero", "leave-out"],
            "description": "What a rollout counts that failed or has no reward: 0, or nothing. "
            "Default: zero.",
        },
        "threshold": {
            "type": "number",
            "description": "Least reward of a rollout that passed, for pass@k and pass^k. "
            "Default: 1.",
        },
        "other_tasks": {
            "type": "boolean",
            "description": "Compare what runs of different tasks have in common. Default: false.",
        },
        "output": {
            "type": "string",
            "enum": ["markdown", "json"],
            "description": f"Markdown with the {MOST_PAIRS} pairs that changed most, of the better "
            "and of the worse, or JSON with all of them and the ids of their rollouts. "
            "Default: markdown.",
        },
    },
    "required": ["runs"],
    "additionalProperties": False,
}
COMPARE_TOOL = {
    "name": COMPARE,
    "description": "Compare runs with the first of them, paired by task and seed.\n\n"
    "Says the difference of the mean rewards with its interval, what got better or worse, pass@k "
    "and pass^k of repeats, and time, tokens and cost. Refuses runs of different tasks.",
    "inputSchema": _ARGUMENTS,
    "annotations": {"readOnlyHint": True},
}


async def compare_runs(
    client: AsyncContainerPoolsClient, arguments: Mapping[str, Any]
) -> tuple[str, list[str]]:
    """Compare runs of the service; return the text, and a line for each run that has not ended.

    Args:
        client: A client of the service.
        arguments: The arguments of the tool.

    Raises:
        ValueError: The arguments do not match, or the runs cannot be compared.
        SynthPoolsError: The service does not answer, or has no such run.
    """
    options = {name: value for name, value in arguments.items() if value is not None}
    if lines := list(islice(problems(options, _ARGUMENTS, COMPARE), _MOST_PROBLEMS)):
        raise ValueError("; ".join(lines))
    names, form = options.pop("runs"), options.pop("output", "markdown")
    # A service that has no such run says so before any rollouts are read.
    described = [await client.runs.get(name) for name in names]
    runs = [
        ServiceRun(run, [item async for item in client.agent_rollouts.iter(run=name, limit=PAGE)])
        for run, name in zip(described, names, strict=True)
    ]
    # In a thread: large runs take seconds of the processor, and other tools are called meanwhile.
    return await asyncio.to_thread(_compared, runs, names, form, options)


def _compared(
    runs: Iterable[ServiceRun], names: list[str], form: str, options: Mapping[str, Any]
) -> tuple[str, list[str]]:
    # Imported here: the command loads it when it is needed, too.
    from synth_pools.runs.comparison import compare

    rows = [run.comparable_rows() for run in runs]
    comparison = compare(*rows, names=names, **options)
    return render(comparison, form, MOST_PAIRS), list(left_out(comparison))
