"""`synth-pools contract-test`: check that a backend keeps the contract."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import click

from synth_pools.cli.contract.reports import ReportFiles, log_target, report_options, write_file
from synth_pools.cli.failures import CommandError, needing
from synth_pools.cli.files import FILE, check_writable

_KEY_VARIABLE = "SYNTH_API_KEY"
_INTERRUPTED = 130
_LINE_SECONDS = 5.0
_TOKEN_SECONDS = 60.0


def _json_object(
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


def _image(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> dict[str, Any] | None:
    """Read a `config.image`: a reference alone, or an object."""
    if text is None or text.startswith(("@", "{")):
        return _json_object(context, parameter, text)
    return {"image": text}


def _names(_: click.Context, __: click.Parameter, text: str | None) -> tuple[str, ...]:
    return tuple(filter(None, (name.strip() for name in (text or "").split(","))))


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


def _key_of_command(command: str) -> str:
    """Run a command that prints the key."""
    try:
        # The user's own command, for their shell.
        process = subprocess.run(  # noqa: S602
            command, shell=True, stdout=subprocess.PIPE, timeout=_TOKEN_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise CommandError(f"the token command took more than {_TOKEN_SECONDS:.0f} s") from None
    if process.returncode != 0 or not process.stdout.strip():
        raise CommandError(f"the token command ended with {process.returncode}, or printed nothing")
    return process.stdout.decode("utf-8", "replace").strip()


def _list_checks(context: click.Context, _: click.Parameter, is_asked: bool) -> None:
    if not is_asked:
        return
    # Imported here: other commands do not need the extra `contract`.
    from synth_pools.contract.run import known_checks

    for check, clause, operations in known_checks():
        click.echo(f"{check:<28} {clause}")
        if operations:
            click.echo(f"{'':<28}   {', '.join(operations)}")
    context.exit()


@click.command("contract-test")
@click.argument("url")
@click.option("--api-key", metavar="KEY", help=f"The key; else the variable {_KEY_VARIABLE}.")
@click.option("--token-command", metavar="CMD", help="A command that prints the key.")
@click.option(
    "--other-key", metavar="KEY", help="The key of another organisation, which must find nothing."
)
@click.option(
    "--header",
    "headers",
    multiple=True,
    callback=_header_pairs,
    metavar="'NAME: VALUE'",
    help="A header of every request; repeat it for several.",
)
@click.option("--client-cert", type=FILE, metavar="FILE.PEM")
@click.option("--client-key", type=FILE, metavar="FILE.PEM")
@click.option("--ca", type=FILE, metavar="FILE.PEM", help="The certificates to trust.")
@click.option("--proxy", metavar="URL", help="The proxy to go through.")
@click.option(
    "--restart", metavar="CMD", help="A command that restarts the backend: try what it keeps."
)
@click.option(
    "--image",
    metavar="REF|JSON|@FILE",
    callback=_image,
    help="An image whose containers serve rollouts, or a whole config.image.",
)
@click.option(
    "--scenarios", multiple=True, type=FILE, metavar="FILE.PY", help="Scenarios of your own."
)
@click.option(
    "--only",
    multiple=True,
    metavar="CHECK",
    help="Only this check, or those whose ids begin with it; repeat it for several.",
)
@click.option(
    "--skip", multiple=True, metavar="CHECK", help="Not this check; repeat it for several."
)
@click.option(
    "--operations",
    callback=_names,
    metavar="A,B",
    help="The operations that the backend has so far, by id, tag or path.",
)
@click.option(
    "--without-operations", callback=_names, metavar="A,B", help="Those that it does not have yet."
)
@click.option("--offered", is_flag=True, help="Find out which operations the backend has.")
@click.option("--read-only", is_flag=True, help="Send GETs alone, for production.")
@click.option("--seed", type=int, help="Repeat a run: the same seed sends the same requests.")
@click.option(
    "--max-time",
    type=click.FloatRange(min=1),
    metavar="S",
    help="Stop beginning anything new after so many seconds.",
)
@click.option(
    "--profile",
    type=click.Choice(["smoke", "quick", "full"]),
    default="full",
    show_default=True,
    help="quick shortens the fuzzing; smoke, for every commit, plays the shortest scenarios alone.",
)
@click.option(
    "--pool-request",
    callback=_json_object,
    metavar="@F.JSON",
    help="The body that pools are created with. [default: an arbitrary pool on the echo target]",
)
@click.option(
    "--rollout-request",
    callback=_json_object,
    metavar="@F.JSON",
    help="The body that rollouts are created with. [default: an empty one]",
)
@click.option("--container-url", metavar="URL", help="The container that pools are given.")
@click.option(
    "--patience",
    type=click.FloatRange(min=1),
    default=30.0,
    show_default=True,
    metavar="S",
    help="How long to wait for a change that has to come.",
)
@report_options
@click.option("--har", type=FILE, metavar="OUT.HAR")
@click.option("--ndjson", type=FILE, metavar="OUT.NDJSON")
@click.option(
    "--baseline",
    type=FILE,
    metavar="KNOWN.JSON",
    help="Departures that are known and do not count.",
)
@click.option("--baseline-update", is_flag=True, help="Add what departs to the baseline.")
@click.option("--baseline-prune", is_flag=True, help="Remove from it what departs no more.")
@click.option(
    "--list",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_list_checks,
    help="Print all checks, and end.",
)
@click.option(
    "--spec",
    type=FILE,
    metavar="FILE",
    help="Judge by this document. [default: the one that this package comes with]",
)
@click.option("--cleanup", is_flag=True, help="Only remove what earlier runs left over, and end.")
def contract_test(
    url: str,
    api_key: str | None,
    token_command: str | None,
    headers: dict[str, str],
    client_cert: Path | None,
    client_key: Path | None,
    ca: Path | None,
    proxy: str | None,
    files: ReportFiles,
    har: Path | None,
    ndjson: Path | None,
    baseline: Path | None,
    baseline_update: bool,
    baseline_prune: bool,
    spec: Path | None,
    cleanup: bool,
    **settings: Any,
) -> int:
    """Judge the backend at URL by the contract, openapi.yaml.

    Exit status: 0 it conforms, 1 it departs (where, and with which request, is told), 2 it could
    not be judged (what stood in the way is told), 130 interrupted. What the run makes it removes.

    \b
    Example:
      synth-pools contract-test http://127.0.0.1:8080 --profile smoke
    """
    with needing("`contract-test`", "contract,cli"):
        # Imported here: other commands do not need the extra `contract`.
        from synth_pools.contract.exceptions import InterruptedRunError, UnjudgeableError
        from synth_pools.contract.options import Access
        from synth_pools.contract.reports.baseline import (
            departures_of,
            read_baseline,
            render_baseline,
            stale_departures,
            with_baseline,
        )
        from synth_pools.contract.run import clean_leftovers, run_contract
        from synth_pools.contract.traffic.log import TrafficLog
    files.check(har, ndjson)
    if baseline is not None:
        check_writable(baseline, force=True)
    if baseline is None and (baseline_update or baseline_prune):
        raise CommandError("--baseline-update and --baseline-prune need --baseline")
    if token_command is not None:
        api_key = _key_of_command(token_command)
    signal.signal(signal.SIGTERM, _interrupt)
    progress = _Progress()
    try:
        if cleanup:
            removed, remaining = clean_leftovers(url, api_key=api_key, spec=spec)
            click.echo(f"removed {removed} pools of earlier runs, {remaining} could not be removed")
            return 0 if not remaining else 2
        departures = frozenset() if baseline is None else read_baseline(baseline)
        with TrafficLog(log_target(har), log_target(ndjson)) as log:
            result = run_contract(
                url,
                api_key=api_key,
                access=Access(headers, client_cert, client_key, ca, proxy),
                spec=spec,
                **settings,
                progress=progress,
                on_report=files.write,
                on_exchange=log.write,
            )
        if baseline is not None:
            changed = departures
            if baseline_update:
                changed |= departures_of(result)
            if baseline_prune:
                changed -= stale_departures(result, departures)
            if changed != departures:
                write_file(baseline, render_baseline(changed))
            departures = changed
            result = with_baseline(result, departures, baseline.name)
        progress.end()
        if result.notes:
            # The clean-up may have added a note.
            files.write(result, again=True)
    except UnjudgeableError as error:
        raise CommandError(str(error)) from None
    except KeyboardInterrupt as error:
        progress.end()
        if isinstance(error, InterruptedRunError):
            files.print_table(error.report, har, ndjson)
        click.echo("\ninterrupted; what the run had made was removed", err=True)
        # Threads may still wait for answers, and Python would wait for them.
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(_INTERRUPTED)
    if result.obstacles and not result.outcomes:
        # The table would be empty.
        raise CommandError(f"could not be judged: {result.obstacles[0]}")
    files.print_table(result, har, ndjson)
    return result.exit_code


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


def _interrupt(_number: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt
