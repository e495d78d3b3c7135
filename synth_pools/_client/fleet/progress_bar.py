"""Progress of a fleet on standard error: a bar on a terminal with `rich`, else lines."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from synth_pools._client.fleet.outcomes import FleetProgress
from synth_pools._client.fleet.table import summary

if TYPE_CHECKING:
    from rich.progress import Progress


_LINE_SECONDS = 10.0


class ProgressBar:
    """Progress bar on standard error if that is a terminal; else a line every 10 seconds."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._bar: Progress | None = None
        self._task: Any = None
        self._written_at = clock()
        self._is_closed = False

    def __call__(self, progress: FleetProgress) -> None:
        if self._bar is None and not self._open(progress):
            if self._clock() - self._written_at >= _LINE_SECONDS:
                self._written_at = self._clock()
                _write([str(progress)])
            return
        bar = self._bar
        if bar is not None:
            bar.update(
                self._task, completed=progress.done, total=progress.total, counts=_counts(progress)
            )

    def close(self, progress: FleetProgress) -> None:
        """Close the bar, leave it on the screen, and write the summary. Can be repeated."""
        bar, self._bar = self._bar, None
        if bar is not None:
            bar.stop()
        if not self._is_closed and progress.done:
            _write(summary(progress) if bar is None else summary(progress)[1:])
        self._is_closed = True

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
    return str(progress).partition(", ")[2]


def _write(lines: list[str]) -> None:
    stream = sys.stderr
    if stream is not None:
        with contextlib.suppress(OSError, ValueError):
            stream.write("".join(f"{line}\n" for line in lines))
            stream.flush()
