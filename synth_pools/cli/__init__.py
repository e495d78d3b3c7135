"""The command line `synth-pools`: one module for each command."""

from __future__ import annotations

import sys
from collections.abc import Sequence

__all__ = ["run"]


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status (2: something is wrong with what was asked)."""
    try:
        import click  # noqa: F401 - the base install comes without it
    except ModuleNotFoundError:
        print(
            "synth-pools: error: the command line needs more than the base install: "
            "pip install 'synth-pools[local]'",
            file=sys.stderr,
        )
        return 2
    # Here, since it needs what was looked for above.
    from .main import main

    return main(argv)
