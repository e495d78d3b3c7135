"""Reports of the contract kit: as files, and as a table for the terminal."""

from __future__ import annotations

import io
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click

from synth_pools.cli.files import (
    FILE,
    check_writable,
    complete_file,
    force_option,
    is_stdout,
    is_stream,
    open_stream,
)
from synth_pools.cli.options import in_one_argument

if TYPE_CHECKING:
    from synth_pools.contract.results import Report


def report_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options for files of reports to a command, which gets them as `files`."""
    options = (
        click.option("--report", "html", type=FILE, metavar="OUT.HTML"),
        click.option("--junit", type=FILE, metavar="OUT.XML"),
        click.option("--json", type=FILE, metavar="OUT.JSON"),
        force_option,
    )
    names = [option.name for option in fields(ReportFiles)]
    return in_one_argument(command, "files", ReportFiles, names, options)


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Files of the reports; None for formats that are not written."""

    html: Path | None = None
    junit: Path | None = None
    json: Path | None = None
    force: bool = False

    def check(self, *others: Path | None) -> None:
        """Refuse files that cannot be written, before a run of minutes."""
        for file in (self.html, self.junit, self.json, *others):
            if file is not None:
                check_writable(file, force=self.force)

    def write(self, report: Report, *, again: bool = False) -> None:
        """Write the reports, before the table is printed: the terminal may be closed by then.

        A report that is written again replaces the former one; a stream gets the former one alone.
        """
        # Imported here: other commands do not need the extra `contract`.
        from synth_pools.contract.reports.html import render_html
        from synth_pools.contract.reports.json import render_json
        from synth_pools.contract.reports.junit import render_junit

        for file, render in (
            (self.html, render_html),
            (self.junit, render_junit),
            (self.json, render_json),
        ):
            if file is not None and not (again and is_stream(file)):
                write_file(file, render(report))

    def print_table(self, report: Report, *others: Path | None) -> None:
        """Print the report, to standard error if another file goes to standard output."""
        is_taken = any(map(is_stdout, (self.html, self.junit, self.json, *others)))
        click.echo(self._table(report), nl=False, err=is_taken)

    def _table(self, report: Report) -> str:
        # Imported here for the same reason.
        from synth_pools.contract.reports.text import render_table

        return render_table(
            report,
            colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ,
            width=shutil.get_terminal_size((100, 24)).columns,
            unicode=_speaks_unicode(),
            elsewhere=str(self.html) if self.html is not None else None,
        )


def log_target(file: Path | None) -> Path | TextIO | None:
    """Return where a log of traffic is written: a path, or an open stream."""
    if file is None or not is_stream(file):
        return file
    return io.TextIOWrapper(open_stream(file), encoding="utf-8")


def write_file(file: Path, text: str) -> None:
    """Write a file that was checked before; replace an earlier one.

    Raises:
        CommandError: It cannot be written.
    """
    with complete_file(file, force=True) as path:
        path.write_text(text, encoding="utf-8")


def _speaks_unicode() -> bool:
    try:
        "✓✗○·".encode(sys.stdout.encoding or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True
