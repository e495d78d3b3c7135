"""A PostgreSQL server for these tests, and the checks of every backend's tests."""

from __future__ import annotations

import contextlib
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator

import pytest

from synth_pools.backend.domain import clock
from synth_pools.backend.settings import StoreURL
from synth_pools.backend.storage.postgres.database import PostgresDatabase
from synth_pools.backend.storage.postgres.membership import Membership
from synth_pools.backend.storage.postgres.sessions import StoreSessions
from tests.postgres.members import Join, make_tables, nobody
from tests.postgres.sessions import Onlooker, open_onlooker
from tests.support.backend_fixtures import failures, no_failures
from tests.support.postgres_server import PostgresServer, find_programs, running_server

__all__ = [
    "at",
    "database",
    "failures",
    "join",
    "no_failures",
    "onlooker",
    "own_server",
    "server",
    "store",
]

# Time limit of a test: one runs the entire contract kit.
_LIMIT = 2700


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if "postgres" in item.keywords:
            item.add_marker(pytest.mark.timeout(_LIMIT))


def _running() -> Iterator[PostgresServer]:
    try:
        find_programs()
    except LookupError as error:
        pytest.skip(str(error))
    with running_server() as server:
        yield server


@pytest.fixture(scope="session")
def server() -> Iterator[PostgresServer]:
    """One server for all tests of a worker; each test has its own database."""
    yield from _running()


@pytest.fixture
def own_server() -> Iterator[PostgresServer]:
    """A server for a test that stops it."""
    yield from _running()


@pytest.fixture
def store(server: PostgresServer) -> str:
    """The address of an empty database."""
    return server.new_database(f"t_{uuid.uuid4().hex[:12]}")


@pytest.fixture
async def onlooker(store: str) -> AsyncIterator[Onlooker]:
    """A session beside those of the backend, on a database that may be empty yet."""
    async with open_onlooker(store) as opened:
        yield opened


@pytest.fixture
async def database(store: str) -> AsyncIterator[PostgresDatabase]:
    """A backend's database."""
    opened = await PostgresDatabase.open(StoreURL("store", store))
    yield opened
    await opened.close()


@pytest.fixture
async def join(store: str) -> AsyncIterator[Join]:
    """Join a backend to those of the database."""
    await make_tables(store)
    async with contextlib.AsyncExitStack() as stack:

        async def join(
            token: str, take_over: Callable[..., Awaitable[None]] = nobody, contents: str = "same"
        ) -> Membership:
            member = Membership(StoreSessions(StoreURL("store", store)), token, contents, take_over)
            stack.push_async_callback(member.leave)
            assert await member.join()
            return member

        yield join


@pytest.fixture
def at(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Set the clock of this backend; the server keeps its own."""

    def put(seconds: float) -> None:
        monkeypatch.setattr(clock, "monotonic", lambda: 1000.0 + seconds)

    put(0.0)
    return put
