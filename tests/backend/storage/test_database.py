"""The store: what is awaited is on disk, and what fails undoes itself alone."""

from __future__ import annotations

import asyncio
import sqlite3
import subprocess
import sys
import threading
import weakref
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from pathlib import Path

import pytest

from synth_pools.backend.storage.data_dir import FILE_NAME
from synth_pools.backend.storage.database import DatabaseClosedError, StorageError, Transaction
from synth_pools.backend.storage.sqlite.database import SQLiteDatabase


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SQLiteDatabase]:
    opened = SQLiteDatabase(tmp_path)
    yield opened
    await opened.close()


def put(key: str) -> Callable[[Transaction], None]:
    def work(tx: Transaction) -> None:
        tx.execute("INSERT INTO meta VALUES (?, '')", (key,))

    return work


def put_much(tx: Transaction) -> None:
    tx.execute("INSERT INTO meta VALUES ('much', ?)", ("x" * 1_000_000,))


def keys(store: SQLiteDatabase) -> set[str]:
    with store.reading() as db:
        return {row["key"] for row in db.execute("SELECT key FROM meta")} - {"cursor_secret"}


async def test_what_is_awaited_can_be_read_by_anybody(
    store: SQLiteDatabase, tmp_path: Path
) -> None:
    def insert(tx: Transaction) -> str:
        tx.execute("INSERT INTO meta VALUES ('a', '1')")
        return "result"

    assert await store.write(insert) == "result"
    assert keys(store) == {"a"}
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as reader:
        assert reader.execute("SELECT value FROM meta WHERE key = 'a'").fetchone() == ("1",)
        assert reader.execute("PRAGMA journal_mode").fetchone() == ("wal",)


class Large:
    """Something that a write holds."""


async def test_what_was_written_is_not_kept_until_the_next_write(store: SQLiteDatabase) -> None:
    large = Large()
    has_gone = asyncio.Event()
    loop = asyncio.get_running_loop()
    weakref.finalize(large, loop.call_soon_threadsafe, has_gone.set)

    async def write(payload: Large) -> None:
        await store.write(lambda tx: put(type(payload).__name__)(tx))

    writing = write(large)
    del large
    await writing
    del writing
    await asyncio.wait_for(has_gone.wait(), 30)


both_ways = pytest.mark.parametrize("inline", [False, True], ids=["thread", "loop"])


@both_ways
async def test_one_that_fails_undoes_itself_alone(store: SQLiteDatabase, inline: bool) -> None:
    called: list[int] = []

    def write(number: int) -> Callable[[Transaction], None]:
        def work(tx: Transaction) -> None:
            put(f"k{number}")(tx)
            tx.after_commit(lambda: called.append(number))
            if number % 3 == 0:
                raise ValueError(number)

        return work

    results = await asyncio.gather(
        *(store.write(write(number), inline=inline) for number in range(30)), return_exceptions=True
    )
    valid = [number for number in range(30) if number % 3]
    assert [number for number in range(30) if results[number] is None] == valid
    assert called == valid
    assert keys(store) == {f"k{number}" for number in valid}


@both_ways
async def test_a_failing_commit_fails_all_that_share_it_and_the_store_goes_on(
    store: SQLiteDatabase, inline: bool
) -> None:
    def breaks(tx: Transaction) -> None:
        tx.execute("INSERT INTO meta VALUES ('lost', '')")
        # Ends the common transaction behind the store's back, as a full disk would.
        tx.execute("ROLLBACK")

    beside = store.write(put("beside"), inline=inline)
    broken, _ = await asyncio.gather(
        store.write(breaks, inline=inline), beside, return_exceptions=True
    )
    assert isinstance(broken, sqlite3.Error)
    assert keys(store) == {"beside"}
    await store.write(put("kept"), inline=inline)
    assert keys(store) == {"beside", "kept"}


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (sqlite3.SQLITE_LOCKED, StorageError),
        (sqlite3.SQLITE_NOMEM, StorageError),
        (sqlite3.SQLITE_IOERR_WRITE, StorageError),
        (sqlite3.SQLITE_ERROR, sqlite3.Error),
        (sqlite3.SQLITE_CONSTRAINT_UNIQUE, sqlite3.Error),
    ],
)
async def test_what_a_statement_has_not_caused_is_an_outage(
    store: SQLiteDatabase, code: int, expected: type[Exception], failures: list[str]
) -> None:
    def fail(_: Transaction) -> None:
        error = sqlite3.OperationalError("not now")
        error.sqlite_errorcode = code
        raise error

    with pytest.raises(expected, match="not now"):
        await store.write(fail)
    failures.clear()


async def test_quick_and_other_writes_keep_their_order(store: SQLiteDatabase) -> None:
    order: list[int] = []

    def write(number: int) -> Callable[[Transaction], int]:
        def work(tx: Transaction) -> int:
            tx.after_commit(lambda: order.append(number))
            return int(tx.execute("SELECT COUNT(*) FROM meta").fetchone()[0])

        return work

    await asyncio.gather(
        *(store.write(write(number), inline=number % 5 > 0) for number in range(300))
    )
    assert order == list(range(300))
    assert store.waiting == 0


async def test_a_quick_write_waits_for_somebody_elses_without_stopping_the_loop(
    store: SQLiteDatabase, tmp_path: Path
) -> None:
    with closing(sqlite3.connect(tmp_path / FILE_NAME, isolation_level=None)) as reader:
        reader.execute("BEGIN IMMEDIATE")
        waiting = asyncio.ensure_future(store.write(put("a"), inline=True))
        for _ in range(10):
            await asyncio.sleep(0.01)
        assert not waiting.done()
        assert store.waiting == 1
        reader.execute("COMMIT")
        await asyncio.wait_for(waiting, 60)
    await store.write(put("b"), inline=True)
    assert keys(store) == {"a", "b"}


async def test_writes_that_wait_together_share_a_commit(store: SQLiteDatabase) -> None:
    gate = threading.Event()
    commits: list[str] = []
    store._writer.set_trace_callback(lambda sql: commits.append(sql) if "COMMIT" in sql else None)
    first = asyncio.ensure_future(store.write(lambda _: gate.wait(60)))
    rest = [asyncio.ensure_future(store.write(put(f"k{number}"))) for number in range(100)]
    await asyncio.sleep(0.05)
    gate.set()
    await asyncio.gather(first, *rest)
    store._writer.set_trace_callback(None)
    assert len(keys(store)) == 100
    assert 1 <= len(commits) <= 2


async def test_a_write_that_nobody_waits_for_any_more_is_done_all_the_same(
    store: SQLiteDatabase,
) -> None:
    gate, called = threading.Event(), asyncio.Event()

    def work(tx: Transaction) -> None:
        gate.wait(60)
        tx.execute("INSERT INTO meta VALUES ('a', '')")
        tx.after_commit(called.set)

    waiting = asyncio.ensure_future(store.write(work))
    await asyncio.sleep(0)
    waiting.cancel()
    gate.set()
    await asyncio.wait_for(called.wait(), 60)
    assert keys(store) == {"a"}


async def test_a_callback_that_fails_takes_nobody_with_it(
    store: SQLiteDatabase, failures: list[str]
) -> None:
    def work(tx: Transaction) -> str:
        tx.after_commit(lambda: [][0])
        return "done"

    assert await store.write(work) == "done"
    assert len(failures) == 1
    failures.clear()


@both_ways
async def test_closing_finishes_what_was_asked_for(tmp_path: Path, inline: bool) -> None:
    store = SQLiteDatabase(tmp_path)
    writes = [
        asyncio.ensure_future(store.write(put(f"k{number}"), inline=inline))
        for number in range(500)
    ]
    await asyncio.sleep(0)
    await store.close()
    await store.close()
    await asyncio.gather(*writes)
    with pytest.raises(DatabaseClosedError):
        await store.write(lambda _: None)
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as database:
        assert database.execute("SELECT COUNT(*) FROM meta").fetchone() == (501,)
    assert store._thread not in threading.enumerate()


def set_quota(pages: int | None) -> Callable[[Transaction], None]:
    """Limit the growth of the file in pages; None removes the limit."""

    def work(tx: Transaction) -> None:
        now = tx.execute("PRAGMA page_count").fetchone()[0]
        tx.execute(f"PRAGMA max_page_count = {2**30 if pages is None else now + pages:d}")

    return work


async def test_one_that_is_too_large_for_the_disk_takes_nobody_with_it(
    store: SQLiteDatabase, failures: list[str]
) -> None:
    await store.write(set_quota(20))
    gate = threading.Event()
    first = asyncio.ensure_future(store.write(lambda _: gate.wait(60)))
    small = [asyncio.ensure_future(store.write(put(f"a{number}"))) for number in range(20)]
    large = asyncio.ensure_future(store.write(put_much))
    small += [asyncio.ensure_future(store.write(put(f"b{number}"))) for number in range(20)]
    await asyncio.sleep(0.05)
    gate.set()
    with pytest.raises(StorageError, match="full"):
        await large
    await asyncio.gather(first, *small)
    assert len(keys(store)) == 40
    assert failures == ["the database cannot be used: database or disk is full"]
    failures.clear()


@both_ways
async def test_what_must_not_be_lost_waits_for_room(
    store: SQLiteDatabase, failures: list[str], inline: bool
) -> None:
    await store.write(set_quota(20))
    waiting = asyncio.ensure_future(store.write_until_stored(put_much, inline=inline))
    await asyncio.sleep(0.3)
    assert not waiting.done()
    await store.write(set_quota(None))
    await asyncio.wait_for(waiting, 60)
    assert keys(store) == {"much"}
    failures.clear()


# In a program of its own: the limit is that of a process, with all its threads.
FILLS_UP = """
import asyncio, logging, resource, sys
from pathlib import Path
from synth_pools.backend.storage.data_dir import FILE_NAME
from synth_pools.backend.storage.database import StorageError
from synth_pools.backend.storage.sqlite.database import SQLiteDatabase

def put(key):
    return lambda tx: tx.execute("INSERT INTO meta VALUES (?, '')", (key,))

async def fill(folder, inline):
    store = SQLiteDatabase(folder)
    log = folder / f"{FILE_NAME}-wal"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (log.stat().st_size + 20_000, hard))
    written = 0
    try:
        for written in range(1000):
            await store.write(put(f"k{written}"), inline=inline)
    except StorageError:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        with store.reading() as db:
            print(*(row["key"] for row in db.execute("SELECT key FROM meta WHERE key LIKE 'k%'")))
        await store.write(put("goes on"))
    await store.close()

logging.basicConfig(format="%(message)s")
asyncio.run(fill(Path(sys.argv[1]), sys.argv[2] == "True"))
"""


@both_ways
def test_a_file_that_must_not_grow(tmp_path: Path, inline: bool) -> None:
    """Refuse to grow as a real disk does: in the middle of a commit."""
    done = subprocess.run(
        [sys.executable, "-c", FILLS_UP, str(tmp_path), str(inline)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    [failure] = done.stderr.splitlines()
    assert (done.returncode, "the database cannot be used" in failure) == (0, True), done.stderr
    stored = done.stdout.split()
    assert 0 < len(stored) < 1000
    assert set(stored) == {f"k{number}" for number in range(len(stored))}
    with closing(sqlite3.connect(tmp_path / FILE_NAME)) as reader:
        assert reader.execute("SELECT COUNT(*) FROM meta").fetchone() == (len(stored) + 2,)
        assert reader.execute("PRAGMA integrity_check").fetchone() == ("ok",)


async def test_no_statement_needs_room_in_the_temporary_directory(store: SQLiteDatabase) -> None:
    def look(tx: Transaction) -> int:
        return int(tx.execute("PRAGMA temp_store").fetchone()[0])

    in_memory = 2
    assert await store.write(look) == in_memory
    with store.reading() as db:
        assert db.execute("PRAGMA temp_store").fetchone()[0] == in_memory
