"""Blocking calls under the interface of the runtime, in threads and beside an event loop."""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from synth_pools._client.runtime.async_ import io as async_io
from synth_pools._client.runtime.sync_ import io
from synth_pools.errors import APITimeoutError, JournalError


def test_every_thread_may_use_the_connections_of_its_process() -> None:
    loop = io.event_loop()
    assert not io.is_closed_loop(loop)
    # An object of another process, or of an event loop.
    assert io.is_closed_loop(object())


def test_connections_of_threads_are_closed_at_once() -> None:
    closed: list[int] = []
    io.close_in(io.event_loop(), lambda: closed.append(1))
    assert closed == [1]


@pytest.mark.parametrize("is_busy", [False, True])
async def test_a_limit_that_ends_during_a_turn_cancels_no_lock_that_is_free(
    monkeypatch: pytest.MonkeyPatch, is_busy: bool
) -> None:
    """In a loop that is busy with other things the limit goes first."""
    monkeypatch.setattr(async_io, "_TURNS_SECONDS", 0.0 if is_busy else 60.0)
    locks = [asyncio.Semaphore(1) for _ in range(8)]
    acquired: list[asyncio.Semaphore] = []

    async def work() -> None:
        # The limit ends while it computes.
        time.sleep(0.05)  # noqa: ASYNC251 - the loop is late
        for lock in locks:
            await asyncio.sleep(0)
            await lock.acquire()
            acquired.append(lock)
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await async_io.call_within(0.01, work)
    assert (acquired == locks) is not is_busy


def test_a_loop_that_had_no_processor_takes_all_of_its_turns() -> None:
    locks = [asyncio.Semaphore(1) for _ in range(8)]
    acquired: list[asyncio.Semaphore] = []

    class Loop(asyncio.SelectorEventLoop):
        late = 0.0

        def time(self) -> float:
            return super().time() + self.late

    async def work(loop: Loop) -> None:
        # The limit, and the time for turns after it, end before the next turn.
        loop.late = 3600.0
        for lock in locks:
            await asyncio.sleep(0)
            await lock.acquire()
            acquired.append(lock)
        await asyncio.Event().wait()

    with asyncio.Runner(loop_factory=Loop) as runner, pytest.raises(TimeoutError):
        runner.run(async_io.call_within(60.0, work, runner.get_loop()))  # type: ignore[arg-type]
    assert acquired == locks


async def test_the_limit_of_a_library_that_ends_with_a_limit_is_that_limit() -> None:
    async def work(seconds: float) -> None:
        time.sleep(seconds)  # noqa: ASYNC251 - the loop is late
        raise APITimeoutError("sent nothing", method="GET", url="", path="", cause="ReadTimeout")

    with pytest.raises(TimeoutError) as caught:
        await async_io.call_within(0.01, work, 0.05)
    assert not isinstance(caught.value, APITimeoutError)
    with pytest.raises(APITimeoutError):
        await async_io.call_within(60, work, 0)


class Journal:
    """A slow call, and what it was called with."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, ...]] = []
        self.may_end = threading.Event()
        self.error: Exception | None = None

    def append(self, *items: int) -> None:
        self.calls.append(items)
        assert self.may_end.wait(60)
        if self.error is not None:
            raise self.error


async def test_what_is_committed_during_a_call_is_in_one_call() -> None:
    journal = Journal()
    commits = async_io.AsyncGroupCommit[int](journal.append)
    tasks = [asyncio.create_task(commits.commit(number)) for number in range(5)]
    await asyncio.sleep(0)
    assert not any(task.done() for task in tasks)
    # Cancelling the caller does not withdraw its item.
    tasks[2].cancel()
    journal.may_end.set()
    await asyncio.wait(tasks, timeout=30)
    assert journal.calls == [(0,), (1, 2, 3, 4)]
    assert [task.cancelled() for task in tasks] == [False, False, True, False, False]
    await commits.commit(5)
    assert journal.calls[2:] == [(5,)]


async def test_an_error_of_a_call_is_raised_for_all_that_were_in_it() -> None:
    journal = Journal()
    commits = async_io.AsyncGroupCommit[int](journal.append)
    journal.error = JournalError("it is full", path="run.jsonl")
    tasks = [asyncio.create_task(commits.commit(number)) for number in range(4)]
    await asyncio.sleep(0)
    journal.may_end.set()
    await asyncio.wait(tasks, timeout=30)
    errors = [task.exception() for task in tasks]
    assert all(isinstance(error, JournalError) and error.path == "run.jsonl" for error in errors)
    # Each has a traceback of its own.
    assert len({id(error) for error in errors}) == 4
    journal.error = None
    await commits.commit(4)
    assert journal.calls == [(0,), (1, 2, 3), (4,)]


async def test_a_commit_without_threads_raises_and_the_next_one_succeeds() -> None:
    journal = Journal()
    journal.may_end.set()
    commits = async_io.AsyncGroupCommit[int](journal.append)
    loop = asyncio.get_running_loop()
    executor = ThreadPoolExecutor()
    executor.shutdown()
    loop.set_default_executor(executor)
    with pytest.raises(RuntimeError, match="after shutdown"):
        await commits.commit(0)
    loop.set_default_executor(ThreadPoolExecutor())
    await commits.commit(1)
    assert journal.calls == [(1,)]


async def test_what_an_executor_drops_is_not_committed() -> None:
    journal = Journal()
    commits = async_io.AsyncGroupCommit[int](journal.append)
    executor = ThreadPoolExecutor(1)
    asyncio.get_running_loop().set_default_executor(executor)
    busy = executor.submit(journal.may_end.wait, 30)
    task = asyncio.create_task(commits.commit(0))
    await asyncio.sleep(0)
    executor.shutdown(wait=False, cancel_futures=True)
    journal.may_end.set()
    with pytest.raises(RuntimeError, match="shut down"):
        await task
    assert busy.result(30)
    assert journal.calls == []


def test_threads_commit_each_their_own() -> None:
    journal = Journal()
    journal.may_end.set()
    commits = io.GroupCommit[int](journal.append)
    commits.commit(0)
    journal.error = JournalError("it is full", path="run.jsonl")
    with pytest.raises(JournalError):
        commits.commit(1)
    assert journal.calls == [(0,), (1,)]
