"""Comparison of two runs, whose rollouts the page has read."""

from __future__ import annotations

import json
from typing import Any

# Rollouts of both runs together, which take some seconds of a processor.
_MOST_ROWS = 100_000


def compared(body: bytes) -> dict[str, Any]:
    """Compare two runs, paired by task and seed.

    Args:
        body: JSON: `names` of the runs, `columns` of their rows, `runs`, the rows of each, and
            `failures` and `other_tasks` of `synth_pools.compare`.

    Returns:
        The comparison, and `sentences` that say how the runs differ; the `problem` of runs that
        cannot be compared.

    Raises:
        ValueError: The body holds something else.
    """
    # Imported here: no other request needs it.
    from synth_pools.runs.comparison import compare
    from synth_pools.runs.reports import sentences

    try:
        request = json.loads(body)
        columns, (first, later) = request["columns"], request["runs"]
        if (count := len(first) + len(later)) > _MOST_ROWS:
            problem = f"The page compares at most {_MOST_ROWS:,} rollouts, and these are {count:,}"
            return {"problem": f"{problem}: `synth-pools compare` takes any number."}
        runs = [[dict(zip(columns, row, strict=True)) for row in rows] for rows in (first, later)]
        names = [str(name) for name in request["names"]]
        failures, other_tasks = request["failures"], bool(request["other_tasks"])
    except (KeyError, RecursionError, TypeError) as error:
        raise ValueError(f"This is no comparison: {error!r}") from None
    try:
        comparison = compare(*runs, names=names, failures=failures, other_tasks=other_tasks)
    except ValueError as error:
        return {"problem": str(error)}
    texts = list(sentences(comparison, comparison.difference))
    return {**comparison.to_dict(), "sentences": texts}
