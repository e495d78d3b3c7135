"""The command line `synth-pools`: commands for the operations of openapi.yaml, and by hand."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["run"]


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status (2: something is wrong with what was asked)."""
    # Here, so that what only looks for this package loads nothing else.
    from synth_pools.cli.main import main

    return main(argv)
