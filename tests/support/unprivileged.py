"""An engine as a user has it who is not root, for tests that are root."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.oci import EngineUnderTest

# There is one everywhere, and it has no range of ids for podman, which works all the same.
_USER = "nobody"
_SOCKET = "unix:///var/run/docker.sock"


class Unprivileged:
    """Folder and engine of a user, and the words that run a command as this user.

    Args:
        folder: The folder, which becomes the user's.
        engine: The name of the engine.
        groups: Groups of the user.
    """

    def __init__(self, folder: Path, engine: str, groups: Sequence[int] = ()) -> None:
        user = pwd.getpwnam(_USER)
        self.folder = folder
        self.uid = user.pw_uid
        chosen = ",".join(map(str, groups or (user.pw_gid,)))
        self.before = (
            "setpriv",
            *("--reuid", str(user.pw_uid), "--regid", str(user.pw_gid), "--groups", chosen),
            # It reads the Python and the modules of the tests, wherever these are; no right to
            # write comes with that.
            *("--inh-caps", "+dac_read_search", "--ambient-caps", "+dac_read_search"),
        )
        run = folder / "run"
        run.mkdir()
        run.chmod(0o700)
        self.engine = EngineUnderTest(engine, folder / engine, self.before)
        self.engine.variables |= {"HOME": str(folder), "XDG_RUNTIME_DIR": str(run)}
        for path in (folder, *folder.rglob("*")):
            os.chown(path, user.pw_uid, user.pw_gid)

    def may(self, option: str, path: str) -> bool:
        """Run `test` on a path as this user, for instance with `-w`."""
        return subprocess.run([*self.before, "test", option, path], check=False).returncode == 0

    def wrap(self, script: str) -> str:
        """Put a script before the engine; return the PATH that finds it."""
        place = self.folder / "bin" / self.engine.name
        place.parent.mkdir()
        place.write_text(f"#!/bin/sh\n{script}\n")
        place.chmod(0o755)
        return f"{place.parent}:{os.environ['PATH']}"


@contextlib.contextmanager
def unprivileged(engine: str, *groups: int) -> Iterator[Unprivileged]:
    """A user with a folder of its own, as long as the block runs."""
    # Not a folder of the tests: those around it are root's alone.
    folder = Path(tempfile.mkdtemp(prefix="synth-pools-user-"))
    try:
        user = Unprivileged(folder, engine, groups)
        try:
            yield user
        finally:
            if engine == "podman":
                # This ends the process that keeps the user namespace.
                user.engine.say("system", "migrate", check=False)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def group_of_docker() -> int:
    """Return the group whose members may use the daemon."""
    address = os.environ.get("DOCKER_HOST", _SOCKET)
    return Path(address.removeprefix("unix://")).stat().st_gid
