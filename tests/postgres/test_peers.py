"""Application of the changes of other backends without notices."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from synth_pools.backend.services import Services
from synth_pools.backend.settings import StoreURL
from synth_pools.backend.sharing import Peers
from synth_pools.backend.storage.pools import insert_pool
from synth_pools.backend.storage.postgres.database import PostgresDatabase
from synth_pools.backend.storage.transactions import Notice
from tests.postgres.sessions import LIMIT, Onlooker
from tests.support.backend_server import opened_services

URLS = [f"http://127.0.0.1:9/{name}" for name in "ab"]


@pytest.fixture
async def services(store: str, tmp_path: Path) -> AsyncIterator[Services]:
    async with opened_services(tmp_path, StoreURL("store", store)) as opened:
        definition = {"name": "p", "container_url": URLS[0], "concurrency": 2}
        await opened.database.write(lambda tx: insert_pool(tx, "p", definition))
        yield opened


@pytest.fixture
def peers(services: Services) -> Peers:
    database = services.database
    assert isinstance(database, PostgresDatabase)
    assert isinstance(database._peer, Peers)
    return database._peer


async def until(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(LIMIT):
        while not look():  # noqa: ASYNC110 - it is known to nobody but the parts themselves
            await asyncio.sleep(0.01)


def urls(services: Services) -> list[str]:
    return [member.url for member in services.balancer.members("p")]


async def test_a_pool_that_was_changed_and_archived(
    services: Services, peers: Peers, onlooker: Onlooker
) -> None:
    assert urls(services) == []
    peers.look_again()
    await until(lambda: urls(services) == URLS[:1])
    change = f"definition = replace(definition, '{URLS[0]}', '{URLS[1]}'), updated_at = 'later'"
    await onlooker.run(f"UPDATE synth_pools.pools SET {change}")
    peers.look_again()
    await until(lambda: urls(services) == URLS[1:])
    await onlooker.run("UPDATE synth_pools.pools SET status = 'archived'")
    peers.look_again()
    await until(lambda: urls(services) == [])
    assert "p" not in peers._states


async def test_pools_of_which_one_is_told_at_once(services: Services, peers: Peers) -> None:
    # Not the periodic read of everything.
    peers._is_looking = True
    definition = {"name": "q", "container_url": URLS[1]}
    await services.database.write(lambda tx: insert_pool(tx, "q", definition))
    # And a pool that is gone by now.
    peers.receive([Notice("pool", "gone"), Notice("pool", "p"), Notice("pool", "q")])
    await until(
        lambda: {"p", "q"} <= {member.pool_id for member in services.balancer.all_members()}
    )
    assert urls(services) == URLS[:1]


async def test_a_pool_that_has_not_changed_is_read_again_after_a_loss(
    services: Services, peers: Peers
) -> None:
    """All its rollouts were given up."""
    peers.look_again()
    await until(lambda: urls(services) == URLS[:1])
    services.balancer.forget_pool("p")
    peers.give_up()
    peers.look_again()
    await until(lambda: urls(services) == URLS[:1])


async def test_one_that_left_is_looked_for_at_once(services: Services, peers: Peers) -> None:
    peers.receive([Notice("backends")])
    await until(lambda: urls(services) == URLS[:1])
