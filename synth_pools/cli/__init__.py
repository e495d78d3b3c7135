"""The command line `synth-pools`: commands for operations of openapi.yaml, and others."""

from __future__ import annotations

from collections.abc import Sequence

__all__ = ["run"]


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status, 2 for wrong usage."""
    # Imported here, so that an import of this package alone stays cheap.
    from synth_pools.cli.main import main

    return main(argv)
