"""`synth-pools journal`: what is in the journals of runs."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

from synth_pools.cli import output
from synth_pools.cli.failures import CommandError
from synth_pools.cli.fleet.results import ResultFile
from synth_pools.cli.fleet.summary import RunSummary
from synth_pools.cli.operations.commands import output_option

_COLUMNS = ("index", "status", "reward", "seconds", "rollout_id", "failure")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def journal() -> None:
    """Show and merge the journals of runs."""


@journal.command("show")
@click.argument("file", type=click.Path(path_type=Path, dir_okay=False))
@output_option
def show_journal(file: Path, output: str) -> int:
    """Show the results in a journal, and what is still under way.

    \b
    Example:
      synth-pools journal show run.jsonl
    """
    _write(list(iter_results(file)), output)
    return 0


@journal.command("merge")
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--out",
    required=True,
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The file for the results, a line of JSON for each; it must not exist.",
)
def merge_journals(files: tuple[Path, ...], out: Path) -> int:
    """Write the results of several journals to one file, and sum them up.

    \b
    Example:
      synth-pools journal merge run.jsonl other.jsonl --out merged.jsonl
    """
    if out.exists():
        raise CommandError(f"{out} is there already")
    summary = RunSummary()
    rows: list[dict[str, Any]] = []
    for file in files:
        for row in iter_results(file):
            if row["status"] != "running":
                rows.append({**row, "journal": str(file), "index": len(rows)})
                summary.add(row)
    ResultFile(out, rows).close()
    output.write_text(summary.text())
    return 0


def _write(rows: list[dict[str, Any]], form: str) -> None:
    if form == "table":
        output.write_text(output.object_table(rows, _COLUMNS) + "\n" + RunSummary(rows).text())
        return
    if form == "id":
        output.write_text("".join(f"{row['rollout_id'] or '-'}\n" for row in rows))
        return
    if form == "jsonl":
        output.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
        return
    output.write_answer(json.dumps({"items": rows}).encode(), form)


def iter_results(path: Path) -> Iterator[dict[str, Any]]:
    """Yield a row for each request of a journal, in their order; what runs has the status running.

    Raises:
        CommandError: It cannot be read, or is no journal.
    """
    # Here, since it brings the HTTP library along, which help does without.
    from synth_pools import RolloutFailedError, RolloutOutcome

    latest: dict[int, dict[str, Any]] = {}
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}") from None
    # What has no line feed behind it was never acted on.
    for number, line in enumerate(lines[:-1], 1):
        record = _record(line)
        if record is None or (number == 1) != ("synth_pools_journal" in record):
            raise CommandError(f"{path}: line {number} is no line of a journal")
        if number > 1:
            latest[int(record["i"])] = record
    if len(lines) < 2:
        raise CommandError(f"{path}: it is no journal")
    for index, record in sorted(latest.items()):
        rollout, stored = record.get("rollout"), record.get("error")
        if record["is"] == "admitted" or (rollout is None and stored is None):
            row = RolloutOutcome(index, None, None, None).to_dict()
            yield {**row, "status": "running", "rollout_id": record.get("rollout_id")}
            continue
        failure = None
        ended = rollout or {}
        reason = (stored or {}).get("fields") or ended.get("error") or {}
        if stored is not None or reason:
            code = reason.get("code") or (stored or {}).get("type")
            failure = RolloutFailedError(
                str((stored or {}).get("text") or reason.get("message")),
                code=None if code is None else str(code),
                message=str(reason.get("message", "")),
                status=str(ended.get("status", "error")),
                rollout_id=str(ended.get("id", "")),
            )
        attempts = int(record.get("attempt", 0)) + 1
        yield RolloutOutcome(index, None, rollout, failure, attempts).to_dict()


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    fits = isinstance(record, dict) and (
        "synth_pools_journal" in record or isinstance(record.get("i"), int)
    )
    return record if fits else None
