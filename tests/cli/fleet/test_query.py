"""`synth-pools query`: its forms, and what it says of refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from tests.cli.conftest import Command

# A table of text, numbers and nothing.
SQL = "VALUES ('a', 1, 0.5, NULL), ('b,\"c\"', 2, NULL, NULL)"
COLUMNS: list[str] = ["column1", "column2", "column3", "column4"]
ROWS: list[list[Any]] = [["a", 1, 0.5, None], ['b,"c"', 2, None, None]]


def test_rows_are_a_table_for_people(command: Command) -> None:
    done = command("query", SQL)
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.splitlines()]
    assert lines == [COLUMNS, ["a", "1", "0.5", "-"], ['b,"c"', "2", "-", "-"]]


def test_rows_beyond_the_limit_are_mentioned(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    some = command("query", f"{SQL}, (3, 3, 3, 3)", "--limit", "2", "-o", "csv", "--out", out)
    assert some.returncode == 0, some.stderr
    assert out.read_text("utf-8") == 'column1,column2,column3,column4\na,1,0.5,\n"b,""c""",2,,\n'
    assert "more than these 2 rows" in some.stderr


def test_texts_of_several_lines_are_quoted_in_csv(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "rows.csv"
    sql = "SELECT 'a'||char(13)||'b' AS first, 'c'||char(10)||'d' AS second"
    done = command("query", sql, "-o", "csv", "--out", out)
    assert done.returncode == 0, done.stderr
    assert out.read_bytes() == b'first,second\n"a\rb","c\nd"\n'


@pytest.mark.system
def test_values_of_several_types_are_texts_in_parquet(command: Command, tmp_path: Path) -> None:
    out = tmp_path / "rows"
    done = command("query", f"{SQL}, (3, 3, 3, NULL)", "-o", "parquet", "--out", out)
    assert done.returncode == 0, done.stderr
    rows: list[list[Any]] = [*ROWS, ["3", 3, 3.0, None]]
    expected = [dict(zip(COLUMNS, row, strict=True)) for row in rows]
    assert parquet.read_table(out).to_pylist() == expected


def test_a_refusal_says_why(command: Command) -> None:
    refused = command("query", "SELECT value FROM meta", "-o", "json")
    assert refused.returncode == 1
    views = "the views are runs, rollouts, usage, events"
    assert f"access to meta.value is prohibited; {views}." in refused.stderr
    assert views in command("query", "SELECT * FROM trajectories").stderr
    assert "Traceback" not in refused.stderr
