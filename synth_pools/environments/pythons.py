"""Pythons that have the frameworks, found or installed, and pools whose processes they run."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import requires
from pathlib import Path
from typing import Any

from synth_pools.environments.kinds import Kind, id_from_name, split_reference

FOLDER_VARIABLE = "SYNTH_POOLS_ENVIRONMENTS"
_CHECK_SECONDS = 60.0
# Frameworks take seconds of processor time to import, and all replicas start at once.
_START_SECONDS = 90.0
_TARGETS = ("harbor", "openenv")
_SERVER = ("starlette", "uvicorn")
_EXTRA = re.compile(r"\s*(?:\band\b)?\s*\bextra\s*==\s*['\"]([\w-]+)['\"]\s*")
# Prints the missing modules, and the release of the framework.
_CHECK = """
import importlib.metadata, importlib.util, json, sys
missing = [name for name in sys.argv[2:] if importlib.util.find_spec(name) is None]
try:
    release = importlib.metadata.version(sys.argv[1])
except importlib.metadata.PackageNotFoundError:
    release = None
print(json.dumps([missing, release, sys.version_info[:2]]))
"""


class NotInstalledError(Exception):
    """Python without a framework, or one that cannot be installed; the message says what to do."""


@dataclass(frozen=True, slots=True)
class FrameworkPython:
    """Python that has a framework.

    Attributes:
        path: The interpreter.
        release: The release of the framework, if it can be found out.
    """

    path: Path
    release: str | None


def config_dir() -> Path:
    """Return the directory of the user's configuration; it may not exist yet."""
    if sys.platform == "darwin":
        return Path("~/Library/Application Support/synth-pools").expanduser()
    base = os.environ.get("XDG_CONFIG_HOME", "")
    # The XDG specification says to ignore a relative path.
    return Path(base if Path(base).is_absolute() else "~/.config").expanduser() / "synth-pools"


def installed_python(kind: Kind) -> Path:
    """Return the Python of `env install`, whether it is there or not."""
    chosen = os.environ.get(FOLDER_VARIABLE)
    folder = Path(chosen).absolute() if chosen else config_dir() / "environments"
    return folder / kind.name / "bin" / "python"


def find_python(kind: Kind, chosen: str | os.PathLike[str] | None = None) -> FrameworkPython:
    """Return the Python that runs environments of a kind.

    Args:
        kind: The kind.
        chosen: The user's own Python; None for that of `env install`, or this one.

    Raises:
        NotInstalledError: It lacks the framework, or there is none.
    """
    if chosen is not None:
        program = shutil.which(os.fspath(chosen))
        if program is None:
            raise NotInstalledError(f"{os.fspath(chosen)} is no program: name a Python.")
        # Not resolved: the environment of a Python is that of its link.
        return check_python(Path(program).absolute(), kind)
    installed = installed_python(kind)
    if installed.exists():
        return check_python(installed, kind)
    try:
        return check_python(Path(sys.executable), kind)
    except NotInstalledError:
        raise NotInstalledError(
            f"{kind.name} is not installed: synth-pools env install {kind.name}, or "
            f"pip install 'synth-pools[{kind.name}]', or name a Python that has it by --python."
        ) from None


def check_python(python: Path, kind: Kind) -> FrameworkPython:
    """Return a Python, if it has a framework and what serves it.

    Args:
        python: The interpreter.
        kind: The kind.

    Raises:
        NotInstalledError: It lacks something, is too old, or does not run.
    """
    # Without the user's own modules, and without reading what is in the current folder.
    command = [str(python), "-I", "-c", _CHECK, kind.package, kind.module, *_SERVER]
    try:
        done = subprocess.run(  # noqa: S603 - the user's own choice
            command, capture_output=True, text=True, timeout=_CHECK_SECONDS
        )
        missing, release, version = json.loads(done.stdout)
    except (OSError, subprocess.TimeoutExpired, ValueError) as error:
        raise NotInstalledError(f"{python} does not run as a Python: {error}") from None
    if tuple(version) < kind.python:
        needed = "{}.{}".format(*kind.python)
        raise NotInstalledError(f"{kind.name} needs Python {needed}: {python} is older.")
    if missing:
        needed = " ".join(map(repr, requirements_of(kind)))
        raise NotInstalledError(
            f"{python} has no {missing[0]}: synth-pools env install {kind.name} makes an "
            f"environment that has it, or {python} -m pip install {needed}"
        )
    return FrameworkPython(python, release)


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


def requirements_of(kind: Kind) -> list[str]:
    """Return what an environment of a kind needs: what the extra of its name brings."""
    requirements = []
    for line in requires("synth-pools") or ():
        requirement, _, marker = line.partition(";")
        extras = _EXTRA.findall(marker)
        if extras and kind.name not in extras:
            continue
        rest = _EXTRA.sub("", marker).strip()
        requirements.append(f"{requirement.strip()}; {rest}" if rest else requirement.strip())
    return requirements


def install(
    kind: Kind, base: str | None, run: Callable[[Sequence[str]], int], further: Sequence[str] = ()
) -> FrameworkPython:
    """Install a framework into an environment of its own, with uv where it is there.

    Args:
        kind: The kind.
        base: The Python that the environment is made of; None for this one, or for one that uv
            finds.
        run: Runs a command, and returns its exit status.
        further: Requirements of the environments themselves, as pip takes them.

    Raises:
        NotInstalledError: A step failed; an earlier installation stays.
    """
    python = installed_python(kind)
    folder = python.parent.parent
    needed = "{}.{}".format(*kind.python)
    is_old = base is None and sys.version_info < kind.python
    uv = shutil.which("uv")
    if is_old and uv is None:
        raise NotInstalledError(f"{kind.name} needs Python {needed}: name one by --python.")
    source = base or (f">={needed}" if is_old else sys.executable)
    requirements = [*requirements_of(kind), *further]
    # Programs of an environment have its path in them, so the former one has to leave it.
    former = folder.with_name(f".{folder.name}.former")
    if folder.exists() and not former.exists():
        folder.rename(former)
    shutil.rmtree(folder, ignore_errors=True)
    if uv is not None:
        make = [uv, "venv", "--quiet", "--python", source, str(folder)]
        fill = [uv, "pip", "install", "--quiet", "--python", str(python), *requirements]
    else:
        make = [source, "-m", "venv", str(folder)]
        pip = ["-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
        fill = [str(python), *pip, *requirements]
    try:
        for command in (make, fill):
            if run(command):
                raise NotInstalledError(f"{kind.name} was not installed: {' '.join(command)}")
        installed = check_python(python, kind)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        if former.exists():
            former.rename(folder)
        raise
    shutil.rmtree(former, ignore_errors=True)
    return installed
