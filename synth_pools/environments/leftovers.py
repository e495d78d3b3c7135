"""Temporary folders that end with their process, or after a kill at the start of the next one."""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path

ENGINES = ("docker", "podman")
_ENGINE_SECONDS = 30.0
_LARGEST_FILE = 8 * 1024 * 1024


def open_folder(kind: str) -> Path:
    """Make the temporary folder of this process; what processes of its kind left is removed.

    That is their folders, and the containers and networks whose names begin with those of these.

    Args:
        kind: The kind of environment.
    """
    prefix = f"synth-pools-{kind}-"
    for former in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        # Locked by a process that runs, another user's, or gone.
        with contextlib.suppress(OSError), _locked(former):
            if former.lstat().st_uid == os.getuid():
                _remove_containers(former.name)
                shutil.rmtree(former, ignore_errors=True)
    while True:
        folder = Path(tempfile.mkdtemp(prefix=prefix))
        # Another process may take it for a former one before it is locked.
        with contextlib.suppress(OSError), contextlib.ExitStack() as stack:
            stack.enter_context(_locked(folder))
            folder.stat()
            # Locked until the end of this process, however it comes.
            atexit.register(stack.pop_all().close)
            atexit.register(shutil.rmtree, folder, ignore_errors=True)
            return folder


def small_files(folder: Path, names: Iterable[str]) -> Iterator[tuple[str, bytes]]:
    """Yield files with their contents, each up to a size, and all up to twice that.

    Folders and links are left out: a link may lead out of the sandbox that has made it.

    Args:
        folder: Their folder.
        names: Their names in it.
    """
    room = 2 * _LARGEST_FILE
    for name in names:
        state = (folder / name).lstat()
        if not stat.S_ISREG(state.st_mode):
            continue
        if state.st_size > min(room, _LARGEST_FILE):
            # The log of the rollout.
            print(f"{name} is not kept: it has {state.st_size} bytes.")  # noqa: T201
            continue
        room -= state.st_size
        yield name, (folder / name).read_bytes()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(lock)


def _remove_containers(name: str) -> None:
    for engine in filter(shutil.which, ENGINES):
        for listing, removal in (
            (["ps", "--all"], ["rm", "--force", "--volumes"]),
            (["network", "ls"], ["network", "rm"]),
        ):
            ids = _run(engine, *listing, "--quiet", "--filter", f"name={name}").split()
            if ids:
                _run(engine, *removal, *ids)


def _run(*command: str) -> str:
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        return subprocess.run(  # noqa: S603 - an engine of this machine
            command, capture_output=True, text=True, check=False, timeout=_ENGINE_SECONDS
        ).stdout
    return ""
