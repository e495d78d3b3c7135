"""`synth-pools demo`: the demo of the README, from a checkout or from an installed wheel."""

from __future__ import annotations

import signal
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import click

import synth_pools
from synth_pools.cli.failures import CommandError, ExitStatus

_NEEDED = ("starlette", "synth_containers", "uvicorn")
_WHOLE = "synth-pools[local,demo]"
_END_SECONDS = 30.0


@click.command()
def demo() -> int:
    """Show the whole chain in a few seconds: backend, container, pool, rollouts, live events.

    It needs no account and leaves nothing behind.

    \b
    Example:
      synth-pools demo
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    if missing:
        raise CommandError(
            f"`demo` needs {missing[0]}, which the base install leaves out: "
            f"pip install '{_WHOLE}'; or, installing nothing for good: "
            f"uvx --from '{_WHOLE}' synth-pools demo"
        )
    # A process of its own: it is a program as its readers write one.
    process = subprocess.Popen([sys.executable, str(demo_path())])  # noqa: S603 - our own
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        # ^C goes to both, and the demo ends by itself.
        status = process.wait()
    finally:
        signal.signal(signal.SIGINT, former)
        if process.poll() is None:
            process.terminate()
            process.wait(_END_SECONDS)
    return ExitStatus.INTERRUPTED if status == ExitStatus.INTERRUPTED else status


def demo_path() -> Path:
    """Find the program: at the root of a checkout, else inside the package.

    Raises:
        CommandError: It is in neither place.
    """
    package = Path(synth_pools.__file__).resolve().parent
    for folder in (package.parent / "examples", package / "examples"):
        if (folder / "demo.py").is_file():
            return folder / "demo.py"
    raise CommandError(f"the demo is not inside {package}: reinstall the package")
