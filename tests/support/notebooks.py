"""Notebooks that are run from their first cell to their last."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nbclient import NotebookClient

_MOST_STARTS = 5


def execute(notebook: Any, folder: Path, *, seconds: int) -> None:
    """Run the cells in a folder, each for some seconds at most.

    A kernel listens on ports that were free before it was started; if another program has bound one
    of them meanwhile, it ends before the first cell, and is started once more.
    """
    for start in range(_MOST_STARTS):
        client = NotebookClient(
            notebook,
            timeout=seconds,
            startup_timeout=100,
            kernel_name="python3",
            resources={"metadata": {"path": str(folder)}},
        )
        try:
            client.execute()
        except RuntimeError as error:
            has_begun = any(cell.get("execution_count") for cell in notebook.cells)
            if has_begun or "Kernel died" not in str(error) or start == _MOST_STARTS - 1:
                raise
        else:
            return
