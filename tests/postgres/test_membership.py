"""Membership of backends, each alone: leases, notices, and lost sessions."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from synth_pools.backend.settings import StoreURL
from synth_pools.backend.storage.postgres import membership as membership_module
from synth_pools.backend.storage.postgres import sessions as sessions_module
from synth_pools.backend.storage.postgres.connection import StatementError
from synth_pools.backend.storage.postgres.database import PostgresDatabase
from synth_pools.backend.storage.postgres.membership import Membership, TokenUsedError
from synth_pools.backend.storage.postgres.notices import CHANNEL
from synth_pools.backend.storage.postgres.schema import WRITERS_LOCK
from synth_pools.backend.storage.postgres.sessions import StoreSessions
from synth_pools.backend.storage.transactions import Notice
from tests.postgres.members import LAPSED, Join, NoticeRecorder, make_tables, nobody, renew
from tests.postgres.sessions import LIMIT, Onlooker, stopped

NUMBERS = "SELECT number FROM synth_pools.backends ORDER BY number"
NEVER = 3600.0


@pytest.fixture
async def onlooker(store: str, onlooker: Onlooker) -> Onlooker:
    """A session on a database that has its tables."""
    await make_tables(store)
    return onlooker


async def notify(onlooker: Onlooker, sender: int | None, *lines: str) -> None:
    payload = "\n".join((str(sender), *lines))
    await onlooker.run(f"SELECT pg_notify('{CHANNEL}', '{payload}')")


async def test_a_backend_is_oldest_once_those_before_it_are_gone(
    join: Join, onlooker: Onlooker
) -> None:
    first, second = await join("a"), await join("b")
    assert (first.number, second.number) == (1, 2)
    assert not first.is_oldest
    notices = NoticeRecorder()
    for member, is_oldest in ((first, True), (second, False)):
        await renew(member, notices)
        assert member.is_oldest is is_oldest
    await first.leave()
    await renew(second, notices)
    assert second.is_oldest
    assert await onlooker.rows(NUMBERS) == [(2,)]
    # It follows its own former run.
    again = await join("b")
    assert again.number == 3
    assert await onlooker.rows(NUMBERS) == [(3,)]


async def test_one_with_contents_elsewhere_joins_once_the_others_are_gone(
    join: Join, store: str, onlooker: Onlooker
) -> None:
    first = await join("a")
    other_member = Membership(StoreSessions(StoreURL("store", store)), "b", "elsewhere", nobody)
    assert not await other_member.join()
    assert other_member.number is None
    await first.leave()
    await onlooker.run(LAPSED)
    assert await other_member.join()
    await other_member.leave()
    await onlooker.until_ended()


async def test_one_that_still_starts_keeps_its_lease(
    store: str, onlooker: Onlooker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ending the remains of its former run may take longer than a lease."""
    monkeypatch.setattr(membership_module, "_RENEWAL_SECONDS", 0.01)
    lease = "SELECT renewals FROM synth_pools.backends"
    database = await PostgresDatabase.open(StoreURL("store", store))
    try:
        for _ in range(3):
            former = await onlooker.rows(lease)
            await onlooker.until(partial(_differs, onlooker, lease, former))
        notices = NoticeRecorder()
        database._membership.begin(notices)
        await notify(onlooker, 77, "pool p")
        assert await notices.next() == [Notice("pool", "p")]
    finally:
        await database.close()


async def _differs(onlooker: Onlooker, sql: str, former: list[tuple[Any, ...]]) -> bool:
    return await onlooker.rows(sql) != former


async def test_those_that_stay_are_told_of_one_that_leaves(join: Join, onlooker: Onlooker) -> None:
    first, second = await join("a"), await join("b")
    notices = NoticeRecorder()
    first.begin(notices)
    before = await onlooker.sessions()
    assert len(before) == 2
    session = second._raw
    assert session is not None
    await second.leave()
    assert session.is_closed()
    assert await notices.next() == [Notice("backends")]
    assert second.number is None
    assert await onlooker.rows(NUMBERS) == [(first.number,)]
    await second.leave()
    await first.leave()
    await onlooker.until_ended()


async def test_one_joins_between_the_transactions_of_others(store: str, onlooker: Onlooker) -> None:
    """Writers know whether there is anybody to notify."""
    lock, key = "pg_advisory_lock", ", ".join(map(str, WRITERS_LOCK))
    await onlooker.run(f"SELECT {lock}({key})")
    member = Membership(StoreSessions(StoreURL("store", store)), "a", "", nobody)
    joining = asyncio.create_task(member.join())
    await onlooker.until_one_waits()
    assert await onlooker.rows(NUMBERS) == []
    await onlooker.run(f"SELECT {lock.replace('lock', 'unlock')}({key})")
    assert await joining
    await member.leave()


async def test_one_that_leaves_in_the_middle_of_a_renewal(
    join: Join, onlooker: Onlooker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership_module, "_ANSWER_SECONDS", LIMIT)
    member = await join("a")
    await onlooker.run("BEGIN; SELECT 1 FROM synth_pools.backends FOR UPDATE")
    member.begin(NoticeRecorder())
    await onlooker.until_one_waits()
    leaving = asyncio.create_task(member.leave())
    await asyncio.sleep(0)
    await onlooker.run("ROLLBACK")
    await leaving
    assert await onlooker.rows(NUMBERS) == []


async def test_one_hears_what_others_tell_and_not_itself(join: Join, onlooker: Onlooker) -> None:
    member, notices = await join("a"), NoticeRecorder()
    number = member.number
    # A backend that does not listen yet misses nothing.
    await notify(onlooker, 77, "pool early")
    await notify(onlooker, number, "pool early")
    await renew(member, notices)
    member.begin(notices)
    for sender, line in ((number, "pool own"), (77, "unknown x"), (77, "pool p"), (78, "pool q")):
        await notify(onlooker, sender, line)
    assert await notices.next() == [Notice("pool", "p")]
    assert await notices.next() == [Notice("pool", "q")]
    assert notices.rest() == []


async def test_who_was_taken_for_dead_gives_up_and_joins_again(
    join: Join, onlooker: Onlooker, monkeypatch: pytest.MonkeyPatch, failures: list[str]
) -> None:
    monkeypatch.setattr(membership_module, "_RENEWAL_SECONDS", NEVER)
    member, notices = await join("a"), NoticeRecorder()
    await renew(member, notices)
    assert member.is_oldest
    await onlooker.run("DELETE FROM synth_pools.backends")
    # The first renewal finds that out, and none waits for the next one.
    member.begin(notices)
    assert await notices.next() == "give up"
    assert not member.is_oldest
    assert await notices.next() == "look again"
    assert member.number == 2
    assert await onlooker.rows(NUMBERS) == [(2,)]
    # Notices for its former number.
    member.lose(1)
    assert member.number == 2
    assert notices.rest() == []
    assert failures == [
        "other backends took this one for dead: it gives up what it ran, and goes on"
    ]
    failures.clear()


async def test_one_whose_session_is_lost_listens_on_a_new_one_at_once(
    join: Join, onlooker: Onlooker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership_module, "_RENEWAL_SECONDS", NEVER)
    member, notices = await join("a"), NoticeRecorder()
    member.begin(notices)
    [former] = await onlooker.sessions()
    await onlooker.run(f"SELECT pg_terminate_backend({former})")
    # Nobody repeats the missed notices.
    assert await notices.next() == "look again"
    await onlooker.until_ended(former)
    [session] = await onlooker.sessions()
    assert session != former
    await notify(onlooker, 77, "pool p")
    assert await notices.next() == [Notice("pool", "p")]
    # One renewal, and then nothing before the next one is due.
    lease = "SELECT renewals FROM synth_pools.backends"
    leases = await onlooker.rows(lease)
    for _ in range(20):
        assert await onlooker.rows(lease) == leases
    assert member.number == 1


async def test_one_that_is_not_answered_drops_its_session(
    join: Join, onlooker: Onlooker, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, seconds in (("_RENEWAL", 0.01), ("_ANSWER", 0.3), ("_PAUSE", 0.01)):
        monkeypatch.setattr(membership_module, f"{name}_SECONDS", seconds)
    member, notices = await join("a"), NoticeRecorder()
    [former] = await onlooker.sessions()
    session = member._raw
    assert session is not None
    with stopped(former):
        member.begin(notices)
        assert await notices.next() == "look again"
        assert session.is_closed()
        assert member.number == 1
    await onlooker.until_ended(former)


async def test_a_session_in_which_nobody_listens_is_not_left_behind(
    store: str, onlooker: Onlooker
) -> None:
    """The server does not answer a notification, and the caller gives up."""
    opened: asyncio.Queue[Any] = asyncio.Queue()
    with contextlib.ExitStack() as stack:

        class StoppedSessions(StoreSessions):
            async def open(self, *, is_writing: bool = False) -> Any:
                raw = await super().open(is_writing=is_writing)
                stack.enter_context(stopped(raw.get_server_pid()))
                opened.put_nowait(raw)
                return raw

        member = Membership(StoppedSessions(StoreURL("store", store)), "a", "", nobody)
        joining = asyncio.create_task(member.join())
        async with asyncio.timeout(LIMIT):
            raw = await opened.get()
        joining.cancel()
        with pytest.raises(asyncio.CancelledError):
            await joining
        assert raw.is_closed()
    await onlooker.until_ended()


async def test_one_looks_at_everything_now_and_then(
    join: Join, at: Callable[[float], None]
) -> None:
    member, notices = await join("a"), NoticeRecorder()
    seconds = membership_module._LOOK_SECONDS
    for second, looks in ((1.0, 0), (seconds - 0.5, 0), (seconds + 0.5, 1), (seconds + 1, 0)):
        at(second)
        assert await renew(member, notices) == ["look again"] * looks, second
    at(2 * seconds + 1)
    assert await renew(member, notices) == ["look again"]


async def test_a_server_that_is_away_is_an_error_of_ours(store: str) -> None:
    away = StoreURL("store", f"{store}_that_is_not_there")
    with pytest.raises(StatementError, match="does not exist"):
        await Membership(StoreSessions(away), "a", "", nobody).join()


async def test_a_crash_ends_no_lease(
    join: Join, onlooker: Onlooker, monkeypatch: pytest.MonkeyPatch, failures: list[str]
) -> None:
    monkeypatch.setattr(membership_module, "_RENEWAL_SECONDS", 0.01)

    class Crashing(NoticeRecorder):
        def look_again(self) -> None:
            if self.calls.empty():
                super().look_again()
                raise ZeroDivisionError

    member = await join("a")
    member.begin(Crashing())
    member._drop()
    number = f"SELECT 1 FROM synth_pools.backends WHERE number = {member.number} AND renewals > 3"
    await onlooker.until(partial(_has, onlooker, number))
    assert len(failures) == 1
    failures.clear()


async def _has(onlooker: Onlooker, sql: str) -> bool:
    return bool(await onlooker.rows(sql))


async def test_one_that_leaves_a_server_that_does_not_answer(
    join: Join, onlooker: Onlooker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(membership_module, "_ANSWER_SECONDS", 0.1)
    monkeypatch.setattr(sessions_module, "_CLOSE_SECONDS", 0.1)
    member = await join("a")
    [pid] = await onlooker.sessions()
    with stopped(pid):
        async with asyncio.timeout(LIMIT):
            await member.leave()
    # Its session is not left behind.
    await onlooker.until_ended(pid)


async def test_a_token_in_use_is_not_taken(
    store: str, join: Join, onlooker: Onlooker, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Longer than the first one may be held up between two renewals.
    monkeypatch.setattr(membership_module, "LEASE_SECONDS", 4.0)
    monkeypatch.setattr(membership_module, "_RENEWAL_SECONDS", 0.1)
    monkeypatch.setattr(membership_module, "_PAUSE_SECONDS", 0.01)
    sessions = StoreSessions(StoreURL("store", store))
    first = await join("a")
    first.begin(NoticeRecorder())
    copy = Membership(sessions, "a", "same", nobody, is_restart=False)
    with pytest.raises(TokenUsedError):
        await copy.join()
    assert await onlooker.rows(NUMBERS) == [(first.number,)]
    # One that has ended without a word leaves a row that nobody renews.
    assert first._task is not None
    first._task.cancel()
    assert await copy.join()
    assert await onlooker.rows(NUMBERS) == [(copy.number,)]
    await copy.leave()


async def test_one_of_several_copies_that_start_together_has_the_token(
    store: str, join: Join, onlooker: Onlooker
) -> None:
    sessions = StoreSessions(StoreURL("store", store))
    copies = [Membership(sessions, "a", "same", nobody, is_restart=False) for _ in range(4)]
    key = ", ".join(map(str, WRITERS_LOCK))
    await onlooker.run(f"SELECT pg_advisory_lock({key})")
    joining = [asyncio.create_task(copy.join()) for copy in copies]
    # All of them have looked for others.
    await onlooker.until(
        partial(_has, onlooker, "SELECT 1 FROM pg_locks WHERE NOT granted OFFSET 3")
    )
    await onlooker.run(f"SELECT pg_advisory_unlock({key})")
    outcomes = await asyncio.gather(*joining, return_exceptions=True)
    assert Counter(map(type, outcomes)) == {TokenUsedError: 3, bool: 1}
    [member] = [copy for copy in copies if copy.number is not None]
    assert await onlooker.rows(NUMBERS) == [(member.number,)]
    for copy in copies:
        await copy.leave()


async def test_one_whose_copy_has_its_place_waits_for_its_end(
    store: str, join: Join, onlooker: Onlooker, monkeypatch: pytest.MonkeyPatch, failures: list[str]
) -> None:
    monkeypatch.setattr(membership_module, "_RENEWAL_SECONDS", 0.05)
    monkeypatch.setattr(membership_module, "_PAUSE_SECONDS", 0.01)
    member, copy, notices = await join("a"), await join("a"), NoticeRecorder()
    copy.begin(NoticeRecorder())
    member.begin(notices)
    assert await notices.next() == "give up"

    async def is_refused() -> bool:
        return "a copy of this data directory is in use: end one of the two backends" in failures

    await onlooker.until(is_refused)
    assert await onlooker.rows(NUMBERS) == [(copy.number,)]
    await copy.leave()
    while await notices.next() != "look again":
        pass
    assert await onlooker.rows(NUMBERS) == [(member.number,)]
    failures.clear()
