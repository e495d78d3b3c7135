"""`synth-pools query`: rows of a statement over the views of the service."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from synth_pools.cli import output
from synth_pools.cli.access.connection import ServiceOptions, connection_options
from synth_pools.cli.failures import CommandError, ExitStatus, needing
from synth_pools.cli.files import (
    FILE,
    check_writable,
    complete_file,
    force_option,
    is_stream,
    write_csv,
)

_Rows = Sequence[Sequence[Any]]


@click.command()
@click.argument("sql", metavar="SQL")
@output.form_option("The form of the rows.", ("table", "csv", "json", "parquet"))
@click.option(
    "--limit",
    type=click.IntRange(1, 100_000),
    default=10_000,
    show_default=True,
    help="The most rows.",
)
@click.option(
    "--out", type=FILE, default="-", metavar="FILE", help="The file to write. [default: -]"
)
@force_option
@connection_options
def query(
    connection: ServiceOptions, sql: str, form: str, limit: int, out: Path, force: bool
) -> int:
    """Read runs, rollouts, usage and events with SQL, which changes nothing.

    SQL is one statement over the views `runs`, `rollouts`, `usage` and `events`, in the SQL of the
    service's database. Parquet needs `pip install 'synth-pools[parquet]'`.

    \b
    Examples:
      synth-pools query "SELECT run, AVG(reward) FROM rollouts GROUP BY run"
      synth-pools query "SELECT * FROM usage" -o parquet --out usage.parquet
    """
    check_writable(out, force=force)
    if form == "parquet" and is_stream(out) and output.is_terminal(sys.stdout):
        raise CommandError("Parquet is no text for a terminal: give --out FILE", ExitStatus.USAGE)
    with connection.client() as client:
        answer = client.run_query({"sql": sql, "limit": limit})
    columns, rows = answer["columns"], answer["rows"]
    if form == "table" and is_stream(out):
        output.write_text(_table(columns, rows))
    else:
        with complete_file(out, force=force) as path:
            if form == "parquet":
                _write_parquet(path, columns, rows)
            elif form == "csv":
                write_csv(path, [columns, *rows])
            else:
                text = json.dumps(answer, ensure_ascii=False) + "\n"
                path.write_text(_table(columns, rows) if form == "table" else text, "utf-8")
    if answer["truncated"]:
        output.say(f"there are more than these {len(rows)} rows: --limit, or a narrower query")
    return 0


def _table(columns: Sequence[str], rows: _Rows) -> str:
    is_number = [
        any(isinstance(row[at], int | float) for row in rows) for at, _ in enumerate(columns)
    ]
    return output.grid(
        [output.safe_text(name) for name in columns],
        [[output.cell(value) for value in row] for row in rows],
        right=[at for at, is_right in enumerate(is_number) if is_right],
    )


def _write_parquet(path: Path, columns: Sequence[str], rows: _Rows) -> None:
    with needing("-o parquet", "parquet"):
        # Imported here: other forms do not need it.
        import pyarrow
        from pyarrow import parquet
    if len(set(columns)) < len(columns):
        raise CommandError("two columns have one name, which Parquet does not read: rename one")
    arrays = []
    for at, _ in enumerate(columns):
        values = [row[at] for row in rows]
        try:
            arrays.append(pyarrow.array(values))
        except (pyarrow.ArrowException, OverflowError):
            # Values of several types.
            texts = (v if v is None or isinstance(v, str) else json.dumps(v) for v in values)
            arrays.append(pyarrow.array(texts, pyarrow.string()))
    parquet.write_table(pyarrow.table(arrays, names=list(columns)), path)
