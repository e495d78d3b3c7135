"""Reports of the contract kit: as files, and as a table for the terminal."""

from __future__ import annotations

import functools
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synth_pools.cli.failures import CommandError

if TYPE_CHECKING:
    from synth_pools.contract.results import Report


FILE = click.Path(path_type=Path)


def report_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options for files of reports to a command, which gets them as `files`."""

    @functools.wraps(command)
    def call(report: Path | None, junit: Path | None, json_file: Path | None, **values: Any) -> int:
        return command(files=ReportFiles(report, junit, json_file), **values)

    decorated: Callable[..., int] = call
    for flags, metavar in (
        (("--json", "json_file"), "JSON"),
        (("--junit",), "XML"),
        (("--report",), "HTML"),
    ):
        decorated = click.option(*flags, type=FILE, metavar=f"OUT.{metavar}")(decorated)
    return decorated


@dataclass(frozen=True, slots=True)
class ReportFiles:
    """Files of the reports; None for formats that are not written."""

    html: Path | None = None
    junit: Path | None = None
    json: Path | None = None

    def check(self, *others: Path | None) -> None:
        """Refuse files that cannot be written, before a run of minutes."""
        for file in (self.html, self.junit, self.json, *others):
            _check_writable(file)

    def write(self, report: Report) -> None:
        """Write the reports, before the table is printed: the terminal may be closed by then."""
        # Imported here: other commands do not need the extra `contract`.
        from synth_pools.contract.reports.html import render_html
        from synth_pools.contract.reports.json import render_json
        from synth_pools.contract.reports.junit import render_junit

        for file, render in (
            (self.html, render_html),
            (self.junit, render_junit),
            (self.json, render_json),
        ):
            if file is not None:
                write_file(file, render(report))

    def table(self, report: Report) -> str:
        """Return the report for the terminal."""
        # Imported here for the same reason.
        from synth_pools.contract.reports.text import render_table

        return render_table(
            report,
            colour=sys.stdout.isatty() and "NO_COLOR" not in os.environ,
            width=shutil.get_terminal_size((100, 24)).columns,
            unicode=_speaks_unicode(),
            elsewhere=str(self.html) if self.html is not None else None,
        )


def write_file(file: Path, text: str) -> None:
    """Write a file.

    Raises:
        CommandError: It cannot be written.
    """
    try:
        file.write_text(text, encoding="utf-8")
    except OSError as error:
        raise CommandError(f"{file} cannot be written: {error.strerror}") from error


def _check_writable(file: Path | None) -> None:
    if file is not None and not file.absolute().parent.is_dir():
        raise CommandError(f"{file} cannot be written: there is no folder {file.parent}")
    if file is not None and file.is_dir():
        raise CommandError(f"{file} cannot be written: it is a folder")


def _speaks_unicode() -> bool:
    try:
        "✓✗○·".encode(sys.stdout.encoding or "ascii")
    except (UnicodeError, LookupError):
        return False
    return True
