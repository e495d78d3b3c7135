"""`synth-pools compare`: whether a run is better than another, and where."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synth_pools.cli import output
from synth_pools.cli.access.connection import ServiceOptions, connection_options
from synth_pools.cli.failures import CommandError, ExitStatus, reported_errors
from synth_pools.cli.operations.bodies import read_object
from synth_pools.cli.options import not_nan
from synth_pools.runs.service import ServiceRun

if TYPE_CHECKING:
    from synth_pools.runs.comparison import Comparison

PAGE = 1000
MOST_PAIRS = 10
_FORMATS = ("table", "json", "markdown", "html")


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, type=click.Path(), metavar="RUN...")
@output.form_option("A table, JSON for programs, Markdown, or a page of HTML.", _FORMATS)
@click.option(
    "--failures",
    default="zero",
    show_default=True,
    type=click.Choice(("zero", "leave-out")),
    help="What a rollout counts that failed or has no reward: 0, or nothing.",
)
@click.option(
    "--success",
    "threshold",
    default=1.0,
    show_default=True,
    type=float,
    help="Least reward of a rollout that passed, for pass@k and pass^k.",
)
@click.option(
    "--confidence",
    default=0.95,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Confidence of the intervals.",
)
@click.option(
    "--other-tasks", is_flag=True, help="Compare what runs of different tasks have in common."
)
@click.option(
    "--fail-if-worse",
    type=click.FloatRange(min=0),
    callback=not_nan,
    metavar="REWARD",
    help="Exit with 1 if the mean of a later run is lower than that of the first by more than "
    "this, or if a later run has not ended or, without --other-tasks, lacks cases of the first.",
)
@click.option(
    "--most",
    default=MOST_PAIRS,
    show_default=True,
    type=click.IntRange(min=0),
    help="Rows to show of each kind: worse, better, new, missing, failed.",
)
@click.option(
    "--prices",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Prices by model as of `run --prices`, to estimate the costs of runs of the service. A "
    "file has the costs that its run has estimated.",
)
@connection_options
def compare_command(
    runs: tuple[str, ...],
    form: str,
    fail_if_worse: float | None,
    most: int,
    prices: Path | None,
    connection: ServiceOptions,
    **options: Any,
) -> int:
    """Compare runs with the first RUN: each is a journal, the results of `run --out`, or a name.

    A name that no file has is that of a run of the service, as of `run --name`. Pairs the rollouts
    by task and seed and averages repeats. Shows the difference of the mean rewards with its
    interval (a bootstrap over tasks, or over seeds if there is one task), a sign test, what got
    better or worse, pass@k and pass^k of repeats, and time, tokens and cost.

    \b
    Examples:
      synth-pools compare monday.jsonl tuesday.jsonl
      synth-pools compare main.jsonl branch.jsonl --fail-if-worse 0.02 -o markdown
      synth-pools compare monday tuesday
    """
    if len(runs) < 2:
        raise CommandError("give two runs or more")
    costs = None if prices is None else read_object(prices)
    with reported_errors():
        # Imported here: it loads the HTTP library, which help does not need.
        from synth_pools.runs.comparison import compare

        sources = [read_source(text, connection) for text in runs]
        rows = [item if isinstance(item, Path) else item.comparable_rows(costs) for item in sources]
        comparison = compare(*rows, names=[source.stem for source in sources], **options)
    for line in left_out(comparison):
        output.say(output.safe_text(line))
    output.write_text(render(comparison, form, most))
    if fail_if_worse is None:
        return int(ExitStatus.DONE)
    first, problems = comparison.runs[0].name, []
    for item in comparison.differences:
        if item.mean < -fail_if_worse:
            problems.append(f"{item.name} is worse than {first} by more than {fail_if_worse:g}")
        if item.missing and not options["other_tasks"]:
            problems.append(f"{item.name} lacks {len(item.missing)} cases of {first}")
    for line in problems:
        output.say(output.safe_text(line))
    has_unended = any(run.unended for run in comparison.runs[1:])
    return int(ExitStatus.FAILED if problems or has_unended else ExitStatus.DONE)


def read_source(text: str, connection: ServiceOptions) -> Path | ServiceRun:
    """Return the path of a file, or a run of the service.

    Raises:
        CommandError: There is neither.
    """
    # A name may be longer than that of a file, or be that of a folder.
    with contextlib.suppress(OSError):
        path = Path(text)
        if path.exists() and not path.is_dir():
            return path
    try:
        with connection.client() as client:
            # Asked first: a service without runs ignores the filter, and lists the rollouts of all.
            run = client.runs.get(text)
            return ServiceRun(run, list(client.agent_rollouts.iter(run=text, limit=PAGE)))
    except CommandError as error:
        raise CommandError(
            f"{text}: there is no such file, and as a run of the service: {error.message}",
            ExitStatus(error.exit_code),
        ) from error


def left_out(comparison: Comparison) -> Iterator[str]:
    """Yield a line for each run with rollouts that have not ended."""
    for run in comparison.runs:
        if run.unended:
            yield f"{run.name}: {run.unended} have not ended and are left out"


def render(comparison: Comparison, form: str, most: int) -> str:
    """Render a comparison as a table, JSON, Markdown or HTML, with `most` rows of each kind."""
    # Imported here for the same reason.
    from synth_pools.runs import reports

    if form == "json":
        return json.dumps(comparison.to_dict(), indent=2) + "\n"
    if form == "markdown":
        return reports.comparison_text(comparison, most)
    if form == "html":
        return reports.comparison_page(comparison, most)
    return "\n".join(_sections(comparison, most))


def _sections(comparison: Comparison, most: int) -> Iterator[str]:
    # Imported here for the same reason.
    from synth_pools.runs import reports

    for text, heads, rows in reports.tables(comparison, most):
        lines = f"{output.safe_text(text)}\n" if text else ""
        if rows:
            safe = [list(map(output.safe_text, row)) for row in rows]
            lines += output.grid(heads, safe, right=range(1, len(heads)))
        yield lines
