"""In a notebook, where an event loop runs already: both clients, fleets and progress included."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nbformat
import pytest

from synth_pools.local import LocalBackend
from tests.support.notebooks import execute

CELLS = (
    """
from synth_pools import AsyncContainerPoolsClient, ContainerPoolsClient

client = ContainerPoolsClient()
pool = client.create_pool({"name": "notebook"})
rollout = client.rollouts.run(pool["id"], {"seed": 1, "env": {"events": 2}})
print(rollout["status"])
""",
    """
outcomes = client.rollouts.run_many(
    pool["id"], ({"seed": seed} for seed in range(8)), progress=True
)
print(sum(outcome.rollout["score"] for outcome in outcomes))
""",
    """
following = AsyncContainerPoolsClient()
print((await following.rollouts.run(pool["id"], {"seed": 2}))["status"])
""",
    """
async def rewards():
    async for outcome in following.rollouts.run_many(
        pool["id"], ({"seed": seed} for seed in range(8))
    ):
        yield outcome.rollout["score"]

print(sum([reward async for reward in rewards()]))
""",
    """
await following.aclose()
client.close()
print("closed")
""",
)
PRINTED = ("completed", "8.0", "completed", "8.0", "closed")


def test_cell_after_cell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells: list[dict[str, Any]] = [
        {
            "id": f"cell-{number}",
            "cell_type": "code",
            "source": source,
            "metadata": {},
            "outputs": [],
            "execution_count": None,
        }
        for number, source in enumerate(CELLS)
    ]
    document = {"nbformat": 4, "nbformat_minor": 5, "metadata": {}, "cells": cells}
    read: Callable[..., Any] = nbformat.reads
    notebook = read(json.dumps(document), as_version=4)
    # Nothing of the user's own settings, and nothing left behind in them.
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    with LocalBackend() as backend:
        monkeypatch.setenv("SYNTH_API_KEY", backend.api_key)
        monkeypatch.setenv("SYNTH_BACKEND_URL", backend.url)
        execute(notebook, tmp_path, seconds=60)
    printed = [
        "".join(output.text for output in cell.outputs if output.get("name") == "stdout").strip()
        for cell in notebook.cells
    ]
    assert tuple(printed) == PRINTED
