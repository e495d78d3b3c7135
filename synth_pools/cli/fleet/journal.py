"""`synth-pools journal`: contents of the journals of runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from synth_pools.cli import output
from synth_pools.cli.failures import reported_errors
from synth_pools.cli.files import FILE, check_distinct, complete_file, force_option, is_stdout
from synth_pools.cli.fleet.results import row_line
from synth_pools.cli.fleet.summary import RunSummary
from synth_pools.cli.groups import HELP_NAMES, SuggestingGroup
from synth_pools.cli.operations.commands import output_option
from synth_pools.runs.recorded import iter_journal

_COLUMNS = ("index", "status", "reward", "seconds", "failure", "rollout_id")


@click.group(cls=SuggestingGroup, context_settings=HELP_NAMES)
def journal() -> None:
    """Show and merge the journals of runs."""


@journal.command("show")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@output_option
def show_journal(file: Path, output: str) -> int:
    """Show the results in a journal, and the rollouts that are still running.

    \b
    Example:
      synth-pools journal show run.jsonl
    """
    with reported_errors():
        rows = [result.row for result in iter_journal(file)]
    _write(rows, output)
    return 0


@journal.command("merge")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--out",
    required=True,
    type=FILE,
    metavar="FILE",
    help="The file for the results, a line of JSON for each; - for standard output.",
)
@force_option
def merge_journals(files: tuple[Path, ...], out: Path, force: bool) -> int:
    """Write the results of several journals to one file, and sum them up.

    \b
    Example:
      synth-pools journal merge run.jsonl other.jsonl --out merged.jsonl
    """
    check_distinct(out, *files)
    summary = RunSummary()
    with (
        reported_errors(),
        complete_file(out, force=force) as path,
        path.open("w", encoding="utf-8") as file,
    ):
        file.writelines(map(row_line, _ended(files, summary)))
    output.write_text(summary.text(), to_stderr=is_stdout(out))
    return 0


def _ended(files: tuple[Path, ...], summary: RunSummary) -> Iterator[dict[str, Any]]:
    for file in files:
        for result in iter_journal(file):
            if result.has_ended:
                index = summary.total
                summary.add(result.row)
                yield {**result.row, "journal": str(file), "index": index}


def _write(rows: list[dict[str, Any]], form: str) -> None:
    if form == "id":
        output.write_text("".join(f"{row['rollout_id'] or '-'}\n" for row in rows))
        return
    output.write_answer(json.dumps({"items": rows}).encode(), form, _COLUMNS)
    if form == "table":
        output.write_text(f"\n{RunSummary(rows).text()}")
