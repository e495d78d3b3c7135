"""A daemon of docker in a temporary folder, where none is running and the tests are root."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

_PROGRAMS = ("docker", "dockerd", "containerd", "runc", "ip")
_START_SECONDS = 60.0
_END_SECONDS = 60.0
_COMMAND_SECONDS = 30.0


class NoDaemonError(Exception):
    """A daemon that cannot be started; says why in one line."""


@contextlib.contextmanager
def running_daemon() -> Iterator[str]:
    """Run a daemon until the end of the block; yield its address for DOCKER_HOST.

    It has its own storage, containerd, socket and bridge. It does not change the packet filter of
    the machine, so that its containers reach this machine alone.

    Raises:
        NoDaemonError: It does not start.
    """
    if os.getuid() != 0:
        raise NoDaemonError("no daemon of docker is running, and only root can start one")
    lacking = [name for name in _PROGRAMS if shutil.which(name) is None]
    if lacking:
        raise NoDaemonError(f"no daemon of docker is running, and there is no {lacking[0]}")
    # Not a folder of the tests: the name of a socket in it must not be long.
    folder = Path(tempfile.mkdtemp(prefix="synth-pools-docker-"))
    # Other users may enter: the socket is open to its group.
    folder.chmod(0o755)
    try:
        with _bridge() as bridge, _daemon(folder, bridge) as address:
            yield address
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _bridge() -> Iterator[str]:
    """The name of a bridge, to which the daemon gives addresses that are free."""
    name = f"pools-{secrets.token_hex(4)}"
    created = _run("ip", "link", "add", name, "type", "bridge")
    if created.returncode:
        raise NoDaemonError(f"no bridge for a daemon of docker: {_last_line(created.stderr)}")
    try:
        yield name
    finally:
        _run("ip", "link", "delete", name)


@contextlib.contextmanager
def _daemon(folder: Path, bridge: str) -> Iterator[str]:
    address, log = f"unix://{folder}/docker.sock", folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [
                "dockerd",
                *("--config-file", os.devnull),
                *("--host", address),
                *("--data-root", str(folder / "root")),
                *("--exec-root", str(folder / "exec")),
                *("--pidfile", str(folder / "pid")),
                *("--bridge", bridge),
                *("--iptables=false", "--ip6tables=false", "--ip-forward=false"),
                # The daemon manages control groups itself: there may be no systemd.
                *("--exec-opt", "native.cgroupdriver=cgroupfs"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            # A ^C is for the tests, which end it when they have removed their containers.
            start_new_session=True,
        )
    try:
        _wait_until_up(process, address, log)
        yield address
    finally:
        _end(process, folder)


def _wait_until_up(process: subprocess.Popen[bytes], address: str, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while _run("docker", "--host", address, "version").returncode:
        is_late = time.monotonic() > deadline
        if is_late or process.poll() is not None:
            how = f"is not up after {_START_SECONDS:g} seconds" if is_late else "ended at once"
            raise NoDaemonError(f"a daemon of docker {how}: {_last_line(log.read_bytes())}")
        time.sleep(0.1)


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    """End it with its containers and its containerd, which end with it unless it is killed."""
    process.send_signal(signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_END_SECONDS)
    remaining = [item for item in psutil.process_iter() if _is_of(item, folder)]
    for item in remaining:
        with contextlib.suppress(psutil.NoSuchProcess):
            item.kill()
    psutil.wait_procs(remaining, _END_SECONDS)
    process.wait(_END_SECONDS)
    # One that could not start leaves a mount of its storage, on itself.
    mounts = [line.split()[4] for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    for place in reversed([place for place in mounts if place.startswith(f"{folder}/")]):
        _run("umount", place)


def _is_of(process: psutil.Process, folder: Path) -> bool:
    with contextlib.suppress(psutil.Error):
        return any(str(folder) in word for word in process.cmdline())
    return False


def _run(*words: str) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(words, capture_output=True, timeout=_COMMAND_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(words, 1, b"", b"it did not end")


def _last_line(text: bytes) -> str:
    lines = text.decode("utf-8", "replace").strip().splitlines()
    return lines[-1] if lines else "it did not say why"
