"""`synth-pools demo`: the demo of the README, from a checkout or from an installed wheel."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.metadata import distribution
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
    """Show a backend, a container, a pool and its rollouts with live events, in a few seconds.

    It needs no account and leaves nothing behind.

    \b
    Example:
      synth-pools demo
    """
    missing = [name for name in _NEEDED if find_spec(name) is None]
    command = [sys.executable]
    if missing and (uv := os.environ.get("UV")):
        # uv sets this variable for its programs: it can add the missing packages for this run.
        version = "{}.{}".format(*sys.version_info)
        command = [uv, "tool", "run", "--python", version, "--from", _whole_requirement(), "python"]
    elif missing:
        raise CommandError(
            f"`demo` needs {missing[0]}, which the base install leaves out: "
            f"pip install '{_WHOLE}'; or, installing nothing for good: "
            f"uvx --from '{_WHOLE}' synth-pools demo"
        )
    # The demo is a program for readers, and runs as one.
    process = subprocess.Popen([*command, str(demo_path())])  # noqa: S603 - our own
    former = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        # ^C reaches both processes, and the demo ends by itself.
        status = process.wait()
    finally:
        signal.signal(signal.SIGINT, former)
        if process.poll() is None:
            process.terminate()
            process.wait(_END_SECONDS)
    return ExitStatus.INTERRUPTED if status == ExitStatus.INTERRUPTED else status


def _whole_requirement() -> str:
    """Return the requirement of this installation, with the extras of the demo."""
    package = distribution("synth-pools")
    origin = json.loads(package.read_text("direct_url.json") or "{}")
    if "url" not in origin:
        return f"{_WHOLE}=={package.version}"
    url = origin["url"]
    if vcs := origin.get("vcs_info"):
        url = f"{vcs['vcs']}+{url}@{vcs['commit_id']}"
    return f"{_WHOLE} @ {url}"


def demo_path() -> Path:
    """Find the program of the demo, in a checkout or inside the package.

    Raises:
        CommandError: It is in neither place.
    """
    package = Path(synth_pools.__file__).resolve().parent
    for folder in (package.parent / "examples", package / "examples"):
        if (folder / "demo.py").is_file():
            return folder / "demo.py"
    raise CommandError(f"the demo is not inside {package}: reinstall the package")
