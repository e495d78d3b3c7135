"""`synth-pools export`: what its files hold; those of other tools are opened in tests/tools."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from pyarrow import parquet

from synth_pools._client.fleet.journal import OutcomeRecord, Run, decode
from synth_pools.local import LocalBackend
from tests.cli.conftest import Command

# A row of a file of results.
ROW: dict[str, Any] = {"index": 0, "group": 0, "seed": 1, "status": "completed", "reward": 0.5}
HEAD = Run("run", "pool", "http://127.0.0.1:1").encode().decode()
# Journals of version 1 have no checksums.
OLD_HEAD = (
    '{"synth_pools_journal":1,"run_id":"run","pool_id":"pool","base_url":"http://127.0.0.1:1"}\n'
)
OUTCOME = OutcomeRecord(0, 0, "sha", {"reward": 0.5}, None).encode().decode()


@pytest.fixture
def run(command: Command, backend: LocalBackend, tmp_path: Path) -> tuple[Path, Path]:
    """A run with a rollout that failed: its journal, and its results."""
    journal, results = tmp_path / "run.jsonl", tmp_path / "results.jsonl"
    with backend.client() as client:
        pool = client.create_pool({"name": "exported"})["id"]
    files = ("--journal", journal, "--out", results)
    done = command("run", pool, "--seeds", "3..4", "--repeats", "2", "--env", "reward=0.5", *files)
    assert done.returncode == 0, done.stderr
    record = decode(journal.read_bytes().splitlines(keepends=True)[-1])
    assert isinstance(record, OutcomeRecord)
    assert record.rollout is not None
    record.rollout.update(
        status="failed", error={"code": "container_failed", "message": 'It said "no",\nand left.'}
    )
    record.rollout.update(metrics=None, summary=None, score=None)
    with journal.open("ab") as file:
        file.write(record.encode())
    return journal, results


def test_csv(command: Command, run: tuple[Path, Path], tmp_path: Path) -> None:
    done = command("export", run[0], "--format", "csv")
    assert (done.returncode, done.stderr) == (0, "")
    rows = list(csv.DictReader(done.stdout.splitlines(keepends=True)))
    assert [(row["index"], row["group"], row["seed"]) for row in rows] == [
        ("0", "0", "3"),
        ("1", "0", "3"),
        ("2", "1", "4"),
        ("3", "1", "4"),
    ]
    [failed] = [row for row in rows if row["status"] == "failed"]
    assert (failed["failure"], failed["reward"]) == ("container_failed", "")
    assert failed["message"] == 'It said "no",\nand left. (container_failed)'
    assert json.loads(rows[0]["request"]) == {"env": {"reward": 0.5}, "seed": 3}
    target = tmp_path / "out.csv"
    assert command("export", run[0], "--format", "csv", "--out", target).stdout == f"{target}\n"
    assert target.read_text() == done.stdout


def test_lines_of_json(command: Command, run: tuple[Path, Path]) -> None:
    journal, results = (
        [json.loads(line) for line in done.stdout.splitlines()]
        for done in (command("export", path, "--format", "jsonl") for path in run)
    )
    assert [row["index"] for row in results] == [0, 1, 2, 3]
    for expected, row in zip(journal, results, strict=True):
        # Columns that a file of results lacks stay empty.
        assert (row["created_at"], row["result"]) == (None, None)
        assert expected["created_at"]
        same = ("index", "group", "seed", "rollout_id", "request", "attempts")
        assert [expected[key] for key in same] == [row[key] for key in same]


def test_parquet(command: Command, run: tuple[Path, Path], tmp_path: Path) -> None:
    target = tmp_path / "out.parquet"
    done = command("export", run[0], "--format", "parquet", "--out", target)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{target}\n", "")
    table = parquet.read_table(target)
    assert [str(table.schema.field(name).type) for name in ("index", "seed", "reward")] == [
        "int64",
        "int64",
        "double",
    ]
    assert str(table.schema.field("finished_at").type) == "timestamp[us, tz=UTC]"
    rewards = table.column("reward").to_pylist()
    assert sorted(rewards, key=str) == [0.5, 0.5, 0.5, None]
    assert all(json.loads(text) for text in table.column("result").to_pylist())


def test_seeds_of_any_kind_are_kept(command: Command, tmp_path: Path) -> None:
    results, target = tmp_path / "results.jsonl", tmp_path / "out.parquet"
    rows = [{**ROW, "index": index, "seed": seed} for index, seed in enumerate([7, 2**80, None])]
    results.write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    assert command("export", results, "--format", "parquet", "--out", target).returncode == 0
    assert parquet.read_table(target).column("seed").to_pylist() == ["7", str(2**80), None]


def test_a_value_that_fits_in_no_column_is_told(command: Command, tmp_path: Path) -> None:
    results, target = tmp_path / "results.jsonl", tmp_path / "out.parquet"
    results.write_text(json.dumps({**ROW, "reward": "high", "group": []}) + "\n")
    done = command("export", results, "--format", "parquet", "--out", target)
    assert (done.returncode, "reward does not fit" in done.stderr) == (2, True)
    assert not target.exists()
    for form in ("inspect", "csv"):
        assert command("export", results, "--format", form, "--out", target).returncode == 0
        target.unlink()


def test_what_runs_is_left_out_and_told(
    command: Command, run: tuple[Path, Path], tmp_path: Path
) -> None:
    journal = tmp_path / "part.jsonl"
    lines = run[0].read_text().splitlines(keepends=True)
    # Admissions only, one of them incomplete.
    started = [line for line in lines if '"outcome"' not in line]
    journal.write_text("".join(started) + lines[-1][:20])
    done = command("export", journal, "--format", "csv")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 1)
    assert done.stderr == "4 have not ended and are left out\n"
    target = tmp_path / "part.eval"
    assert command("export", journal, "--format", "inspect", "--out", target).returncode == 0
    with zipfile.ZipFile(target) as archive:
        assert json.loads(archive.read("header.json"))["status"] == "started"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("", "there are no results in it"),
        ('{"a": 1}\n', "line 1 is no result of a run"),
        (f"{json.dumps(ROW)}\n{{'a'}}\n", "line 2, column 2: not JSON"),
        ("[]\n", "line 1: must hold an object, not list"),
        (HEAD + OUTCOME.replace("0.5", "0.7"), "line 2: its checksum does not fit"),
        (HEAD + '{"i":1,"is":"outcome"}\n', "line 2: it has no checksum"),
        ('{"synth_pools_journal": 1}\n', "line 1: run_id is missing"),
        (OLD_HEAD + '{"i": 0}\n', "line 2: attempt is missing"),
        (
            OLD_HEAD + '{"i":0,"is":"outcome","attempt":0,"sha":"","rollout":[]}\n',
            "line 2: it says nothing that is known here",
        ),
    ],
)
def test_a_file_that_is_none_is_told_with_its_line(
    command: Command, tmp_path: Path, text: str, line: str
) -> None:
    path = tmp_path / "run.jsonl"
    path.write_text(text)
    done = command("export", path, "--format", "csv")
    assert (done.returncode, done.stdout) == (2, "")
    [lines] = done.stderr.splitlines()
    assert line in lines


def test_a_run_that_is_nowhere_is_told(command: Command) -> None:
    done = command("export", "nowhere at all", "--format", "csv")
    assert (done.returncode, done.stdout) == (3, "")
    assert "nowhere at all: there is no such file, and as a run of the service: " in done.stderr


def test_a_run_of_the_service_is_exported_by_its_name(
    command: Command, backend: LocalBackend, tmp_path: Path
) -> None:
    journal = tmp_path / "run.jsonl"
    with backend.client() as client:
        pool = client.create_pool({"name": "exported"})["id"]
        words = ("--name", "a/run", "--seeds", "3..4", "--repeats", "2", "--label", "model=x")
        assert command("run", pool, *words, "--journal", journal).returncode == 0
        late = client.rollouts.create(pool, {"seed": 5, "run": "a/run", "env": {"delay": 600}})
        done = command("export", "a/run", "--format", "jsonl")
        client.rollouts.cancel(pool, late["id"])
    assert (done.returncode, done.stderr) == (0, "1 have not ended and are left out\n")
    recorded = command("export", journal, "--format", "jsonl")
    rows, expected = (
        {row["rollout_id"]: row for row in map(json.loads, lines.splitlines())}
        for lines in (done.stdout, recorded.stdout)
    )
    # Only the order of the results differs, and where it is measured how long they took.
    assert [row["index"] for row in rows.values()] == [0, 1, 2, 3]
    repeats = [[row["rollout_id"] for row in rows.values() if row["group"] == n] for n in (0, 1)]
    assert [len(ids) for ids in repeats] == [2, 2]
    for row in (*rows.values(), *expected.values()):
        del row["index"], row["group"]
        row["seconds"] = row["seconds"] >= 0
    assert rows == expected
    done = command("export", "a/run", "--format", "inspect", folder=tmp_path)
    assert (done.returncode, done.stdout) == (0, "a-run.eval\n")
    with zipfile.ZipFile(tmp_path / "a-run.eval") as archive:
        assert json.loads(archive.read("header.json"))["eval"]["task"] == "a/run"


def test_nothing_is_written_over(command: Command, run: tuple[Path, Path], tmp_path: Path) -> None:
    target = tmp_path / "there.csv"
    target.write_text("mine")
    done = command("export", run[0], "--format", "csv", "--out", target)
    assert (done.returncode, "is there already" in done.stderr) == (2, True)
    assert target.read_text() == "mine"
    away = command("export", run[0], "--format", "inspect", "--out", tmp_path / "no/where.eval")
    assert (away.returncode, "cannot be written" in away.stderr) == (2, True)


def test_a_missing_extra_is_told_with_what_installs_it(
    run: tuple[Path, Path], surroundings: dict[str, str], tmp_path: Path
) -> None:
    program = (
        "import sys; sys.modules['pyarrow'] = None; from synth_pools.cli import run;"
        f"sys.exit(run(['export', {str(run[0])!r}, '--format', 'parquet']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert "pip install 'synth-pools[parquet]'" in done.stderr
    assert not list(tmp_path.glob("*.parquet*"))
