"""Runs of the contract kit: their options, progress, baseline and exit status."""

from __future__ import annotations

import functools
import gc
import json
import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synth_pools.cli.contract.reports import ReportFiles, log_target, report_options, write_file
from synth_pools.cli.failures import CommandError
from synth_pools.cli.files import FILE, check_writable
from synth_pools.cli.options import in_one_argument
from synth_pools.cli.signals import raise_interrupt

if TYPE_CHECKING:
    from synth_pools.contract.results import Report

_INTERRUPTED = 130
_LINE_SECONDS = 5.0
_GARBAGE_THRESHOLD = 20_000


def json_object(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> dict[str, Any] | None:
    """Read a JSON object from the value of an option, or from a file, like `@file.json`."""
    if text is None:
        return None
    try:
        if text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        value = json.loads(text)
    except (OSError, ValueError, RecursionError) as error:
        raise click.BadParameter(f"no JSON: {error}", context, parameter) from None
    if not isinstance(value, dict):
        raise click.BadParameter("no JSON object", context, parameter)
    return value


def _header_pairs(
    context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]
) -> dict[str, str]:
    """Read headers of the form `Name: value`; errors do not show the value."""
    headers = {}
    for text in texts:
        name, colon, value = text.partition(":")
        if not colon or not name.strip() or not (name + value).isprintable():
            raise click.BadParameter("no header like 'Name: value'", context, parameter)
        headers[name.strip()] = value.strip()
    return headers


@dataclass(frozen=True, slots=True)
class Runs:
    """Files of a run, and the way to its subject, from the options of a command."""

    files: ReportFiles
    headers: dict[str, str] = field(repr=False)
    client_cert: Path | None
    client_key: Path | None
    ca: Path | None
    proxy: str | None = field(repr=False)
    har: Path | None
    ndjson: Path | None
    baseline: Path | None
    baseline_update: bool
    baseline_prune: bool

    def check(self) -> None:
        """Refuse options that do not fit together, and files that cannot be written."""
        self.files.check(self.har, self.ndjson)
        if self.baseline is not None:
            check_writable(self.baseline, force=True)
        if self.baseline is None and (self.baseline_update or self.baseline_prune):
            raise CommandError("--baseline-update and --baseline-prune need --baseline")

    def guarded(self, call: Callable[[], int]) -> int:
        """Make a call of the kit, whose errors are printed on one line."""
        # Imported here: other commands do not need the extra `contract`.
        from synth_pools.contract.exceptions import InterruptedRunError, UnjudgeableError

        signal.signal(signal.SIGTERM, raise_interrupt)
        try:
            return call()
        except UnjudgeableError as error:
            raise CommandError(str(error)) from None
        except KeyboardInterrupt as error:
            if isinstance(error, InterruptedRunError):
                self.files.print_table(error.report, self.har, self.ndjson)
            click.echo("\ninterrupted; what the run had made was removed", err=True)
            # Threads may still wait for answers, and Python would wait for them.
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(_INTERRUPTED)

    def judge(self, run: Callable[..., Report]) -> int:
        """Carry out a run, print its table, and return its exit status."""
        return self.guarded(functools.partial(self._judge, run))

    def _judge(self, run: Callable[..., Report]) -> int:
        # Imported here for the same reason.
        from synth_pools.contract.options import Access
        from synth_pools.contract.reports.baseline import (
            departures_of,
            read_baseline,
            render_baseline,
            stale_departures,
            with_baseline,
        )
        from synth_pools.contract.traffic.log import TrafficLog

        progress, thresholds = _Progress(), gc.get_threshold()
        departures = frozenset() if self.baseline is None else read_baseline(self.baseline)
        # Remembered answers are no garbage; examining them repeatedly costs 8 % of the time.
        gc.set_threshold(_GARBAGE_THRESHOLD, 20, 20)
        try:
            with TrafficLog(log_target(self.har), log_target(self.ndjson)) as log:
                result = run(
                    access=Access(
                        self.headers, self.client_cert, self.client_key, self.ca, self.proxy
                    ),
                    progress=progress,
                    on_report=self.files.write,
                    on_exchange=log.write,
                )
        finally:
            gc.set_threshold(*thresholds)
            progress.end()
        if self.baseline is not None:
            changed = departures
            if self.baseline_update:
                changed |= departures_of(result)
            if self.baseline_prune:
                changed -= stale_departures(result, departures)
            if changed != departures:
                write_file(self.baseline, render_baseline(changed))
            result = with_baseline(result, changed, self.baseline.name)
        if result.notes:
            # The clean-up may have added a note.
            self.files.write(result, again=True)
        if result.obstacles and not result.outcomes:
            # The table would be empty.
            raise CommandError(f"could not be judged: {result.obstacles[0]}")
        self.files.print_table(result, self.har, self.ndjson)
        return result.exit_code


def list_option(
    module: str, name: str, *files: str
) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Return the option that prints checks with their clauses and operations, and ends.

    Args:
        module: The module of the kit, imported only if the option is given.
        name: The function in it that returns the checks.
        files: The options, eager ones, that the function takes.
    """

    def print_all(context: click.Context, _: click.Parameter, is_asked: bool) -> None:
        if is_asked:
            # Imported here: other commands do not need the extra `contract`.
            from synth_pools.contract.exceptions import UnjudgeableError

            known_checks = getattr(import_module(f"synth_pools.contract.{module}"), name)
            try:
                checks = known_checks(**{file: context.params.get(file) for file in files})
            except UnjudgeableError as error:
                raise CommandError(f"could not be judged: {error}") from None
            for check, clause, operations in checks:
                click.echo(f"{check:<28} {clause}")
                if operations:
                    click.echo(f"{'':<28}   {', '.join(operations)}")
            context.exit()

    return click.option(
        "--list",
        is_flag=True,
        expose_value=False,
        callback=print_all,
        help="Print all checks, and end.",
    )


def run_options(command: Callable[..., int]) -> Callable[..., int]:
    """Add the options that all runs have to a command, which gets some of them as `runs`."""
    names = [setting.name for setting in fields(Runs)]
    return in_one_argument(command, "runs", Runs, names, _OPTIONS)


_OPTIONS = (
    click.option(
        "--header",
        "headers",
        multiple=True,
        callback=_header_pairs,
        metavar="'NAME: VALUE'",
        help="A header of every request; repeat it for several.",
    ),
    click.option("--client-cert", type=FILE, metavar="FILE.PEM"),
    click.option("--client-key", type=FILE, metavar="FILE.PEM"),
    click.option("--ca", type=FILE, metavar="FILE.PEM", help="The certificates to trust."),
    click.option("--proxy", metavar="URL", help="The proxy to go through."),
    click.option(
        "--only",
        multiple=True,
        metavar="CHECK",
        help="Only this check, or those whose ids begin with it; repeat it for several.",
    ),
    click.option(
        "--skip", multiple=True, metavar="CHECK", help="Not this check; repeat it for several."
    ),
    click.option(
        "--max-time",
        type=click.FloatRange(min=1),
        metavar="S",
        help="Stop beginning anything new after so many seconds.",
    ),
    click.option(
        "--patience",
        type=click.FloatRange(min=1),
        default=30.0,
        show_default=True,
        metavar="S",
        help="How long to wait for a change that has to come.",
    ),
    report_options,
    click.option("--har", type=FILE, metavar="OUT.HAR"),
    click.option("--ndjson", type=FILE, metavar="OUT.NDJSON"),
    click.option(
        "--baseline",
        type=FILE,
        metavar="KNOWN.JSON",
        help="Departures that are known and do not count.",
    ),
    click.option("--baseline-update", is_flag=True, help="Add what departs to the baseline."),
    click.option("--baseline-prune", is_flag=True, help="Remove from it what departs no more."),
    click.option(
        "--spec",
        type=FILE,
        metavar="FILE",
        # Read before `--list`, wherever it stands.
        is_eager=True,
        help="Judge by this document. [default: the one that this package comes with]",
    ),
)


class _Progress:
    """Progress of a run: one line that is overwritten on a terminal, plain lines elsewhere."""

    def __init__(self) -> None:
        self._live = sys.stderr.isatty()
        self._printed = ("", 0.0)
        self._width = 0

    def __call__(self, phase: str, done: int, total: int) -> None:
        text = f"{phase} {done}/{total}" if total > 1 else phase
        if self._live:
            sys.stderr.write("\r" + text.ljust(self._width)[:120])
            sys.stderr.flush()
            self._width = min(len(text), 120)
            return
        former, at = self._printed
        if phase != former and time.monotonic() - at > (0 if total else _LINE_SECONDS):
            self._printed = (phase, time.monotonic())
            click.echo(f"... {text}", err=True)

    def end(self) -> None:
        """End the line."""
        if self._live:
            sys.stderr.write("\r" + " " * self._width + "\r")
            sys.stderr.flush()
