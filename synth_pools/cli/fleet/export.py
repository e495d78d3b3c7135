"""`synth-pools export`: results of a run in the formats of other tools."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from synth_pools.cli import output
from synth_pools.cli.access.connection import ServiceOptions, connection_options
from synth_pools.cli.failures import CommandError, needing, reported_errors
from synth_pools.cli.files import (
    FILE,
    check_distinct,
    complete_file,
    force_option,
    is_stream,
    write_csv,
)
from synth_pools.cli.fleet.compare import read_source
from synth_pools.runs.recorded import RecordedResult, read_run
from synth_pools.runs.rows import USAGE_COLUMNS

# Suffix of the default file; empty for formats that go to standard output.
_SUFFIXES = {
    "inspect": ".eval",
    "parquet": ".parquet",
    **dict.fromkeys(("csv", "jsonl", "atif", "sft", "trl", "skyrl"), ""),
}
_TEXTS = ("task_id", "rollout_id", "status", "failure", "message")
_MOMENTS = ("created_at", "started_at", "finished_at")
_DOCUMENTS = ("request", "result")
_COLUMNS = (
    *("index", "group", "task_id", "seed", "rollout_id", "status", "reward", "seconds"),
    *USAGE_COLUMNS,
    *("attempts", "failure", "message"),
    *_MOMENTS,
    *_DOCUMENTS,
)


@click.command()
@click.argument("run", type=click.Path(), metavar="RUN")
@click.option(
    "--format",
    "form",
    required=True,
    type=click.Choice(list(_SUFFIXES)),
    help="A log of Inspect, a Parquet file, CSV, or a line of JSON for each result; or its "
    "trajectories: lines in ATIF, lines of messages (sft), or token ids for TRL or SkyRL.",
)
@click.option(
    "--out",
    type=FILE,
    metavar="FILE",
    help="The file to write, - for standard output. [default: a file with the name of RUN, here, "
    "for inspect and parquet, else -]",
)
@force_option
@connection_options
def export(connection: ServiceOptions, run: str, form: str, out: Path | None, force: bool) -> int:
    """Write the results of a run for other tools.

    RUN is its journal, the file of `run --out`, or its name on the service, where no file has it.
    A row for each result: request, reward, times, failure; for a run of the service, each rollout.
    Times of day and what the container answered are empty for a file of `run --out`. A log of
    Inspect is read with `inspect view`: a sample for each seed, an epoch for each repeat, with the
    messages and the usage of models where there is a trajectory. Parquet needs
    `pip install 'synth-pools[parquet]'`.

    Trajectories are read from the service. Those for TRL and SkyRL have the token ids that the
    model's server told, and no others: a row for each conversation, and a new one where a prompt
    does not begin with an earlier one and its completion.

    \b
    Examples:
      synth-pools export run.jsonl --format csv
      synth-pools export run.jsonl --format inspect --out run.eval
      synth-pools export tuesday --format sft --out tuesday.jsonl
    """
    with reported_errors():
        source = read_source(run, connection)
        recorded = read_run(source) if isinstance(source, Path) else source.recorded()
    results = [result for result in recorded.results if result.has_ended]
    if len(results) < len(recorded.results):
        output.say(f"{len(recorded.results) - len(results)} have not ended and are left out")
    stem = source.stem if isinstance(source, Path) else source.file_name
    target = out or Path(stem + _SUFFIXES[form] if _SUFFIXES[form] else "-")
    if isinstance(source, Path):
        check_distinct(target, source)
    with complete_file(target, force=force) as path:
        if form == "inspect":
            # Imported here: only this format needs it.
            from synth_pools.cli.fleet.inspect_log import write_inspect_log

            write_inspect_log(path, source.stem, recorded, _trajectories(results, connection))
        elif form in ("atif", "sft", "trl", "skyrl"):
            # Imported here, like the above.
            from synth_pools.cli.fleet import training

            with reported_errors():
                played = training.read_trajectories(results, connection)
                getattr(training, f"write_{form}")(path, played, len(results))
        else:
            write = {"parquet": _write_parquet, "csv": _write_csv, "jsonl": _write_lines}[form]
            write(path, [_columns_of(result) for result in results])
    if not is_stream(target):
        output.write_text(f"{target}\n")
    return 0


def _trajectories(
    results: Sequence[RecordedResult], connection: ServiceOptions
) -> dict[str, dict[str, Any]]:
    """Read the trajectories of a journal's rollouts, by their ids, if the service answers."""
    # Imported here, like the above.
    from synth_pools import SynthPoolsError
    from synth_pools.cli.fleet.training import read_trajectories

    rollouts = [result for result in results if result.rollout is not None]
    try:
        played = read_trajectories(rollouts, connection)
        return {result.row["rollout_id"]: trajectory for result, trajectory in played}
    except (CommandError, SynthPoolsError) as error:
        output.say(f"messages are left out: {output.safe_text(str(error))}")
        return {}


def _columns_of(result: RecordedResult) -> dict[str, Any]:
    rollout = result.rollout or {}
    columns = {name: rollout.get(name) for name in (*_MOMENTS, "result")}
    return {name: {**columns, **result.row}.get(name) for name in _COLUMNS}


def _write_lines(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    lines = (f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)
    path.write_text("".join(lines), encoding="utf-8")


def _write_csv(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    write_csv(path, [_COLUMNS, *([_as_cell(row[name]) for name in _COLUMNS] for row in rows)])


def _as_cell(value: Any) -> Any:
    is_plain = value is None or isinstance(value, str | int | float)
    return value if is_plain else json.dumps(value, ensure_ascii=False)


def _write_parquet(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with needing("--format parquet", "parquet"):
        # Imported here: other formats do not need it.
        import pyarrow
        from pyarrow import parquet
    types = {
        **dict.fromkeys(("index", "group", "attempts"), pyarrow.int64()),
        **dict.fromkeys(("reward", "seconds", *USAGE_COLUMNS), pyarrow.float64()),
        **dict.fromkeys(("input_tokens", "output_tokens"), pyarrow.int64()),
        **dict.fromkeys((*_TEXTS, *_DOCUMENTS), pyarrow.string()),
        **dict.fromkeys(_MOMENTS, pyarrow.timestamp("us", tz="UTC")),
    }
    arrays = {}
    for name in _COLUMNS:
        values = [row[name] for row in rows]
        try:
            if name == "seed":
                arrays[name] = _seeds(values)
            elif name in _MOMENTS:
                arrays[name] = pyarrow.array(map(_moment, values), types[name])
            else:
                texts = map(_as_cell, values) if name in _DOCUMENTS else values
                arrays[name] = pyarrow.array(texts, types[name])
        except (pyarrow.ArrowException, OverflowError) as error:
            raise CommandError(f"{name} does not fit in a column of Parquet: {error}") from None
    parquet.write_table(pyarrow.table(arrays), path)


def _seeds(values: Sequence[Any]) -> Any:
    # Seeds have any type of JSON.
    import pyarrow

    try:
        return pyarrow.array(values, pyarrow.int64())
    except (pyarrow.ArrowInvalid, pyarrow.ArrowTypeError, OverflowError):
        return pyarrow.array([None if value is None else json.dumps(value) for value in values])


def _moment(text: Any) -> Any:
    # Imported here: only Parquet has a type for times.
    from datetime import datetime

    try:
        return None if text is None else datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None
