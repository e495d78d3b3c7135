"""Shares of a processor that processes are held to, by a control group of the system."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
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
            is_limited = True
        except OSError:
            stack.close()
            is_limited = False
        yield is_limited


@contextlib.contextmanager
def _group(name: str, share: float, pid: int) -> Iterator[None]:
    root, limits = _controller(int(share * _PERIOD_MICROSECONDS))
    former = root / _place(pid, root).lstrip("/")
    group = root / name
    group.mkdir()
    try:
        for limit, value in limits.items():
            (group / limit).write_text(value)
        (group / "cgroup.procs").write_text(str(pid))
        yield
    finally:
        # An ended process has left the group.
        with contextlib.suppress(OSError):
            (former / "cgroup.procs").write_text(str(pid))
        group.rmdir()


def _controller(quota: int) -> tuple[Path, dict[str, str]]:
    """Return the group of all processes, and what holds one below it to a quota."""
    if (_ROOT / "cgroup.controllers").exists():
        (_ROOT / "cgroup.subtree_control").write_text("+cpu")
        return _ROOT, {"cpu.max": f"{quota} {_PERIOD_MICROSECONDS}"}
    period = str(_PERIOD_MICROSECONDS)
    return _ROOT / "cpu", {"cpu.cfs_period_us": period, "cpu.cfs_quota_us": str(quota)}


def _place(pid: int, root: Path) -> str:
    """Return the group that a process is in."""
    controller = "" if root == _ROOT else "cpu"
    for line in Path(f"/proc/{pid}/cgroup").read_text().splitlines():
        _, controllers, place = line.split(":", 2)
        if controller in controllers.split(","):
            return place
    raise FileNotFoundError(f"process {pid} is in no group")
