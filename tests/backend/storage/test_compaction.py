"""A database shrinks: by itself in small steps, and by `synth-pools compact` as a whole."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from synth_pools.backend.errors import DataDirError, DataDirLockedError
from synth_pools.backend.storage.data_dir import FILE_NAME, LOCK_FILE, DataDir
from synth_pools.backend.storage.database import Transaction
from synth_pools.backend.storage.sqlite import vacuum
from synth_pools.backend.storage.sqlite.compaction import compact
from synth_pools.backend.storage.sqlite.database import SQLiteDatabase
from synth_pools.backend.storage.sqlite.vacuum import STEP_PAGES, free_some_pages
from tests.backend.storage.test_database import put, store
from tests.backend.storage.test_schema import COMPLETED, make_version_1
from tests.support.backend_server import eventually, serve
from tests.support.commands import refusal_of, run_command

__all__ = ["store"]

pytestmark = pytest.mark.sqlite

INCREMENTAL = 2
ROWS = 3000


def fill(database: sqlite3.Connection) -> None:
    """Rows of 4 KB each, of which one in a hundred is left."""
    rows = ((f"k{number}", "x" * 4000) for number in range(ROWS))
    database.executemany("INSERT INTO meta VALUES (?, ?)", rows)
    database.execute("DELETE FROM meta WHERE key GLOB 'k*' AND key NOT GLOB '*99'")


def grown(data_dir: Path, *, is_old: bool = False) -> list[str]:
    """A database with much room and few rows; its content."""
    if is_old:
        make_version_1(data_dir)
    with serve(data_dir) as server:
        server.run(server.pool())
    with closing(sqlite3.connect(data_dir / FILE_NAME)) as database:
        with database:
            fill(database)
        database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert free_pages(database) > 2000
    return dump(data_dir)


def free_pages(database: sqlite3.Connection) -> int:
    return int(database.execute("PRAGMA freelist_count").fetchone()[0])


def dump(data_dir: Path) -> list[str]:
    with closing(sqlite3.connect(data_dir / FILE_NAME)) as database:
        assert database.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        return list(database.iterdump())


def pragma(data_dir: Path, name: str) -> object:
    with closing(sqlite3.connect(data_dir / FILE_NAME)) as database:
        return database.execute(f"PRAGMA {name}").fetchone()[0]


def size(data_dir: Path) -> int:
    return (data_dir / FILE_NAME).stat().st_size


def fill_in(tx: Transaction) -> None:
    tx.executemany(
        "INSERT INTO meta VALUES (?, ?)", [(f"k{number}", "x" * 4000) for number in range(ROWS)]
    )


def empty_in(tx: Transaction) -> None:
    tx.execute("DELETE FROM meta WHERE key GLOB 'k*' AND key NOT GLOB '*99'")


async def test_freed_pages_are_given_back_between_other_writes(
    store: SQLiteDatabase, tmp_path: Path
) -> None:
    await store.write(fill_in)
    await asyncio.to_thread(store.checkpoint)
    full = size(tmp_path)
    await store.write(empty_in)
    with store.reading() as db:
        rest = [tuple(row) for row in db.execute("SELECT * FROM meta ORDER BY key")]
    giving = asyncio.create_task(store.maintain())
    async with asyncio.timeout(60):
        number = 0
        while size(tmp_path) > full / 10:
            number += 1
            await store.write(put(f"other{number}"))
            await asyncio.sleep(0.005)
    giving.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await giving
    # Somebody else's writes came in between: no step is as long as the whole.
    assert number > 3
    with store.reading() as db:
        stored = db.execute("SELECT * FROM meta WHERE key NOT GLOB 'other*' ORDER BY key")
        assert [tuple(row) for row in stored] == rest
        assert db.execute("PRAGMA integrity_check").fetchone()[0] == "ok"


async def test_one_step_takes_a_few_pages(store: SQLiteDatabase) -> None:
    await store.write(fill_in)
    await store.write(empty_in)
    with store.reading() as db:
        before = free_pages(db)
    freed = await store.write(free_some_pages)
    assert 0 < freed <= STEP_PAGES
    with store.reading() as db:
        assert free_pages(db) == before - freed


@pytest.mark.system
def test_a_backend_that_forgets_gets_smaller(tmp_path: Path) -> None:
    with serve(tmp_path) as before:
        pool_id = before.pool()
        for _ in range(8):
            before.run(pool_id, metadata={"filler": "x" * 1_000_000})
    full = size(tmp_path)
    assert full > 8_000_000
    with serve(tmp_path, keep_finished_seconds=0.1) as server:
        eventually(lambda: server.get("/v1/rollouts")["items"] == [])
        eventually(lambda: size(tmp_path) < full / 4)
        assert server.run(pool_id)["status"] == "completed"


def test_an_older_one_keeps_working_and_is_converted(tmp_path: Path) -> None:
    grown(tmp_path, is_old=True)
    assert pragma(tmp_path, "auto_vacuum") == 0
    with serve(tmp_path, keep_finished_seconds=3600 * 24 * 365 * 50) as server:
        assert server.get(f"/v1/rollouts/{COMPLETED}")
    before = dump(tmp_path)
    compact(tmp_path)
    assert dump(tmp_path) == before
    assert pragma(tmp_path, "auto_vacuum") == INCREMENTAL
    with serve(tmp_path) as server:
        assert server.get(f"/v1/rollouts/{COMPLETED}")
        assert pragma(tmp_path, "journal_mode") == "wal"


def test_the_command_says_how_much_was_won(tmp_path: Path) -> None:
    before, full = grown(tmp_path), size(tmp_path)
    done = run_command("compact", "--data-dir", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    numbers = re.fullmatch(
        rf"The database in {tmp_path} has (.*) MB, (.*) MB less than before\n", done.stdout
    )
    assert numbers is not None
    assert size(tmp_path) < full / 10
    assert float(numbers[1]) == round(size(tmp_path) / 1e6, 1)
    assert float(numbers[2]) == round((full - size(tmp_path)) / 1e6, 1)
    assert dump(tmp_path) == before
    assert {path.name for path in tmp_path.iterdir()} == {FILE_NAME, LOCK_FILE}
    assert {oct(path.stat().st_mode & 0o777) for path in tmp_path.iterdir()} == {"0o600"}


def test_not_while_a_backend_runs_on_it(tmp_path: Path) -> None:
    grown(tmp_path)
    full = size(tmp_path)
    with DataDir(tmp_path):
        line = refusal_of("compact", "--data-dir", tmp_path)
        assert f"{tmp_path} is in use by another process" in line
        with pytest.raises(DataDirLockedError):
            compact(tmp_path)
    # Somebody else may have the file open.
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM meta").fetchone()
        with pytest.raises(DataDirError, match="cannot compact"):
            compact(tmp_path, busy_seconds=0.1)
    assert size(tmp_path) == full


def test_what_is_no_data_directory_is_refused_untouched(tmp_path: Path) -> None:
    for name in ("missing", "empty", "other"):
        if name != "missing":
            (tmp_path / name).mkdir()
        if name == "other":
            with closing(sqlite3.connect(tmp_path / name / FILE_NAME)) as database:
                database.execute("CREATE TABLE recipes (name)")
        before = sorted(map(str, tmp_path.rglob("*")))
        line = refusal_of("compact", "--data-dir", tmp_path / name)
        assert line.startswith("synth-pools: error: ")
        after = sorted(map(str, tmp_path.rglob("*")))
        assert [path for path in after if not path.endswith(f"/{LOCK_FILE}")] == before


KILLED = """
import os, signal, sys
from pathlib import Path
from synth_pools.backend.storage.sqlite.compaction import compact

left = int(sys.argv[2])

def hook(event, arguments):
    global left
    if event == "open" or event.startswith(("os.", "sqlite3.", "fcntl.")) and event != "os.kill":
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(hook)
compact(Path(sys.argv[1]))
"""


def test_a_kill_at_any_step_leaves_it_whole(tmp_path: Path) -> None:
    before, full = grown(tmp_path), size(tmp_path)
    done = None
    for steps in range(0, 400, 2):
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(tmp_path), str(steps)], timeout=60, check=False
        )
        assert dump(tmp_path) == before
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
    assert steps > 10
    assert size(tmp_path) < full / 10
    assert {path.name for path in tmp_path.iterdir()} == {FILE_NAME, LOCK_FILE}


STOPPED = """
import sys
from pathlib import Path
from synth_pools.backend.storage.sqlite import compaction

data_dir = Path(sys.argv[1])
draft = data_dir / compaction.DRAFT_NAME

def stop():
    if draft.exists() and draft.stat().st_size > 1_000_000:
        print("in the middle", flush=True)
        sys.stdin.read()

compaction._STEPS, compaction._see_to_signals = 20, stop
compaction.compact(data_dir)
"""


def test_a_kill_in_the_middle_of_the_copy(tmp_path: Path) -> None:
    grown(tmp_path)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database, database:
        rows = ((f"live{number}", "x" * 4000) for number in range(2000))
        database.executemany("INSERT INTO meta VALUES (?, ?)", rows)
    before, full = dump(tmp_path), size(tmp_path)
    process = subprocess.Popen(
        [sys.executable, "-c", STOPPED, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "in the middle\n"
    process.kill()
    process.communicate(timeout=60)
    assert len(list(tmp_path.glob(f"{FILE_NAME}-compact*"))) > 0
    assert dump(tmp_path) == before
    assert size(tmp_path) == full
    # The next start removes its remains.
    with serve(tmp_path):
        assert list(tmp_path.glob(f"{FILE_NAME}-compact*")) == []


def test_a_full_disk_leaves_it_as_it_was(tmp_path: Path) -> None:
    before, full = grown(tmp_path), size(tmp_path)
    script = (
        "import resource, signal, sys\n"
        "from synth_pools.cli.main import main\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))\n"
        "sys.exit(main(['compact', '--data-dir', sys.argv[1]]))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"synth-pools: error: cannot compact {tmp_path}")
    assert done.stderr.count("\n") == 1
    assert dump(tmp_path) == before
    assert size(tmp_path) == full
    assert {path.name for path in tmp_path.iterdir()} == {FILE_NAME, LOCK_FILE}


def test_a_damaged_one_is_left_as_it_was(tmp_path: Path) -> None:
    grown(tmp_path)
    file = tmp_path / FILE_NAME
    with file.open("r+b") as stream:
        stream.seek(3 * 4096)
        stream.write(b"\xff" * 40_960)
    before = file.read_bytes()
    with pytest.raises(DataDirError, match="cannot compact"):
        compact(tmp_path)
    assert file.read_bytes()[4096:] == before[4096:]
    assert not os.path.lexists(tmp_path / f"{FILE_NAME}-compact")


def test_an_eighth_of_what_is_used_is_kept_for_what_comes() -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        database.execute("PRAGMA page_size = 512")
        database.execute("CREATE TABLE filler (content)")
        rows = ((bytes(100_000),) for _ in range(40))
        database.executemany("INSERT INTO filler VALUES (?)", rows)
        database.execute("DELETE FROM filler WHERE rowid > 20")
        [free] = database.execute("PRAGMA freelist_count").fetchone()
        [pages] = database.execute("PRAGMA page_count").fetchone()
        assert vacuum._spare_pages(database) == free - (pages - free) // 8 > 0
        database.execute("DELETE FROM filler WHERE rowid > 10")
        [free] = database.execute("PRAGMA freelist_count").fetchone()
        assert vacuum._spare_pages(database) == free - 256, "or a number of pages, if that is more"


async def test_a_database_that_cannot_shrink_is_told_of_where_it_is_worth_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="synth_pools.backend")
    grown(tmp_path, is_old=True)
    database = SQLiteDatabase(tmp_path)
    try:
        spare = await database.read(vacuum._spare_pages)
        assert spare > 0
        monkeypatch.setattr(vacuum, "_MANY_PAGES", spare)
        async with asyncio.timeout(60):
            await vacuum.give_back_free_pages(database, lambda: None)
    finally:
        await database.close()
    assert f"{spare} pages of the database hold nothing" in caplog.text


async def test_free_pages_are_counted_after_a_write_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts: list[object] = []

    def count(connection: object) -> int:
        counts.append(connection)
        return 0

    async def rounds() -> int:
        for _ in range(20):
            await asyncio.sleep(0)
        return len(counts)

    monkeypatch.setattr(vacuum, "_spare_pages", count)
    monkeypatch.setattr(vacuum, "_PAUSE_SECONDS", 0)
    database = SQLiteDatabase(tmp_path)
    shrinking = asyncio.create_task(vacuum.give_back_free_pages(database, lambda: None))
    try:
        assert await rounds() == 1
        await database.write(lambda tx: tx.execute("SELECT 1").fetchall())
        assert await rounds() == 2
    finally:
        shrinking.cancel()
        await database.close()
