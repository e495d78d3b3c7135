"""Pools whose processes are an environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synth_pools.environments.kinds import id_from_name, split_reference
from synth_pools.environments.pythons import find_python

# Frameworks take seconds of processor time to import, and all replicas start at once.
_START_SECONDS = 90.0
_TARGETS = ("harbor", "openenv")


def environment_pool(
    reference: str,
    *,
    replicas: int = 1,
    python: str | os.PathLike[str] | None = None,
    folder: str | os.PathLike[str] | None = None,
    variables: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the body of a pool whose processes are an environment.

    Args:
        reference: A kind, a colon and a name, such as `gymnasium:CartPole-v1`.
        replicas: The number of processes.
        python: The Python that has the framework; None for that of `synth-pools env install`, or
            this one.
        folder: The folder of its modules and files; None for the current one.
        variables: Variables of the processes. They are stored and answered: no secret is one.

    Raises:
        ValueError: There is no such kind.
        NotInstalledError: There is no Python that has the framework.
    """
    kind, _ = split_reference(reference)
    framework = find_python(kind, python)
    process = {
        "argv": [*launch_command(framework.path), reference],
        "cwd": str(Path(folder or ".").absolute()),
        "env": dict(variables or {}),
        "start_timeout_seconds": _START_SECONDS,
    }
    return {
        "id": id_from_name(reference),
        "name": reference[:255],
        "target": kind.name if kind.name in _TARGETS else "arbitrary",
        "capacity": replicas,
        "concurrency": replicas * kind.concurrency,
        "config": {"process": process},
        "metadata": {"environment": reference},
    }


def launch_command(python: Path) -> list[str]:
    """Return the command that serves an environment, up to its reference."""
    return [str(python), "-P", str(Path(__file__).with_name("launch.py"))]
