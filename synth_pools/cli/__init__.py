"""The command line `synth-pools`: one module for each command."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from synth_pools import __version__

__all__ = ["run"]

# Where there is no click to write it.
_HELP = """\
Usage: synth-pools [OPTIONS] COMMAND [ARGS]...

  Container pools on this machine: a backend to develop against.

Options:
  --version   Show the version and exit.
  -h, --help  Show this message and exit.

Commands: backup, compact, contract-diff, contract-judge, contract-proxy, contract-test, serve.

This is the base install, the client alone. Commands need more:
  serve, backup, compact:  pip install 'synth-pools[local]'
  contract-...:            pip install 'synth-pools[contract,cli]'\
"""


def run(argv: Sequence[str] | None = None) -> int:
    """Run one command; return its exit status (2: something is wrong with what was asked)."""
    try:
        import click  # noqa: F401 - the base install comes without it
    except ModuleNotFoundError:
        words = list(sys.argv[1:] if argv is None else argv)
        if words == ["--version"]:
            print(f"synth-pools {__version__}")
            return 0
        if words in ([], ["-h"], ["--help"]):
            print(_HELP)
            return 0
        print(
            "synth-pools: error: the command line needs more than the base install: "
            "pip install 'synth-pools[local]'",
            file=sys.stderr,
        )
        return 2
    # Here, since it needs what was looked for above.
    from .main import main

    return main(argv)
