"""Progress bar of a fleet, on a terminal and with `rich`."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from synth_pools._client.fleet.outcomes import FleetProgress

if TYPE_CHECKING:
    from rich.progress import Progress


class ProgressBar:
    """Progress bar on standard error while that is a terminal; does nothing elsewhere."""

    def __init__(self) -> None:
        self._bar: Progress | None = None
        self._task: Any = None

    def __call__(self, progress: FleetProgress) -> None:
        if self._bar is None and not self._open(progress):
            return
        bar = self._bar
        if bar is not None:
            bar.update(
                self._task,
                completed=progress.done,
                total=progress.total,
                counts=_counts(progress),
            )

    def close(self) -> None:
        """Close the bar, and leave it on the screen. Can be repeated."""
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.stop()

    def _open(self, progress: FleetProgress) -> bool:
        if not _is_terminal():
            return False
        try:
            # Needs the extra `cli`.
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn
            from rich.progress import TimeElapsedColumn as Elapsed
        except ImportError:
            return False
        self._bar = Progress(
            TextColumn("rollouts"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[counts]}"),
            Elapsed(),
            console=Console(stderr=True),
        )
        self._task = self._bar.add_task("", total=progress.total, counts="")
        self._bar.start()
        return True


def _is_terminal() -> bool:
    try:
        return sys.stderr.isatty()
    except (AttributeError, ValueError):
        return False


def _counts(progress: FleetProgress) -> str:
    words = [f"{progress.rate:.1f}/s", f"{progress.running} running"]
    words += [f"{progress.failed} failed"] if progress.failed else []
    words += [f"{progress.errors} errors"] if progress.errors else []
    return ", ".join(words)
