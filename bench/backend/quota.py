"""Shares of a processor that processes are held to, by a control group of the system."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

# Short, so that a process that has used its share up waits for no longer than its clients notice.
_PERIOD_MICROSECONDS = 10_000
_ROOT = Path("/sys/fs/cgroup")


@contextlib.contextmanager
def held_to(share: float, pids: list[int]) -> Iterator[bool]:
    """Hold each of some processes to a share of a processor while the block lasts.

    Args:
        share: The share, above 0 and below 1.
        pids: The processes.

    Yields:
        Whether they are: control groups take Linux, and its administrator.
    """
    with contextlib.ExitStack() as stack:
        try:
            for pid in pids:
                stack.enter_context(_group(f"synth-pools-bench-{pid}", share, pid))
            held = True
        except OSError:
            stack.close()
            held = False
        yield held


@contextlib.contextmanager
def _group(name: str, share: float, pid: int) -> Iterator[None]:
    quota = int(share * _PERIOD_MICROSECONDS)
    parent, limit = _controller(quota)
    former = parent / _place(pid, parent).lstrip("/")
    group = parent / name
    group.mkdir()
    try:
        limit(group)
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        # One that has ended left it by itself.
        with contextlib.suppress(OSError):
            (former / "cgroup.procs").write_text(str(pid))
        group.rmdir()


def _controller(quota: int) -> tuple[Path, Callable[[Path], None]]:
    """Return the group of all processes, and what sets the quota of one below it."""
    if (_ROOT / "cgroup.controllers").exists():
        (_ROOT / "cgroup.subtree_control").write_text("+cpu")
        return _ROOT, lambda group: _write(group, {"cpu.max": f"{quota} {_PERIOD_MICROSECONDS}"})
    quotas = {"cpu.cfs_period_us": str(_PERIOD_MICROSECONDS), "cpu.cfs_quota_us": str(quota)}
    return _ROOT / "cpu", lambda group: _write(group, quotas)


def _place(pid: int, parent: Path) -> str:
    """Return the group that a process is in."""
    controller = "" if parent == _ROOT else "cpu"
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, place = line.split(":", 2)
        if controller in controllers.split(","):
            return place
    raise FileNotFoundError(f"process {pid} is in no group")


def _write(group: Path, values: dict[str, str]) -> None:
    for name, value in values.items():
        (group / name).write_text(value)
