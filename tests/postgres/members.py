"""Members of a database, each alone: joined, renewed, and their notices."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence

from synth_pools.backend.settings import StoreURL
from synth_pools.backend.storage.postgres.membership import Membership, Renewal
from synth_pools.backend.storage.postgres.schema import migrate
from synth_pools.backend.storage.postgres.sessions import StoreSessions
from synth_pools.backend.storage.transactions import Notice, Transaction
from tests.postgres.sessions import LIMIT

LAPSED = (
    "INSERT INTO synth_pools.backends (token, contents, started_at, renewed_at)"
    " VALUES ('dead', '', now(), now() - interval '6 seconds')"
)
# As the rows are after the server's clock was set forward by some seconds.
CLOCK_AHEAD = "UPDATE synth_pools.backends SET renewed_at = renewed_at - interval '{} seconds'"
Join = Callable[..., Awaitable[Membership]]


class NoticeRecorder:
    """Peer that records its notices."""

    def __init__(self) -> None:
        self.calls: asyncio.Queue[object] = asyncio.Queue()

    def receive(self, notices: Iterable[Notice]) -> None:
        self.calls.put_nowait(list(notices))

    def look_again(self) -> None:
        self.calls.put_nowait("look again")

    def give_up(self) -> None:
        self.calls.put_nowait("give up")

    def take_over(self, tx: Transaction) -> None:
        raise NotImplementedError(f"nobody asks for it here, with {tx}")

    async def next(self) -> object:
        async with asyncio.timeout(LIMIT):
            return await self.calls.get()

    def rest(self) -> list[object]:
        return [self.calls.get_nowait() for _ in range(self.calls.qsize())]


async def nobody(dead: Sequence[Renewal] = ()) -> None:
    raise AssertionError(f"nothing is to be taken over from {dead}")


async def renew(member: Membership, notices: NoticeRecorder) -> list[object]:
    assert member.number is not None
    await member._renew(notices, member.number)
    return notices.rest()


async def make_tables(store: str) -> None:
    """Make the tables of a database that may be empty."""
    raw = await StoreSessions(StoreURL("store", store)).open()
    await migrate(raw)
    await raw.close()
