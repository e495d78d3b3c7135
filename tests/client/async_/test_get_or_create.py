"""Getting a pool by the id of its definition, or creating it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from synth_pools import AsyncContainerPoolsClient, ConflictError, RequestValidationError
from synth_pools.local import LocalBackend
from tests.support.fault_server import FaultServer
from tests.support.faults import answer
from tests.support.leaks import KEY

pytestmark = pytest.mark.one_library


@pytest.fixture(scope="module")
def backend() -> Iterator[LocalBackend]:
    with LocalBackend(api_key=KEY) as backend:
        yield backend


@pytest.fixture
async def local(backend: LocalBackend) -> AsyncIterator[AsyncContainerPoolsClient]:
    async with AsyncContainerPoolsClient(api_key=KEY, base_url=backend.url) as client:
        yield client


@pytest.mark.parametrize("choice", [{"pool_id": "by-pool_id"}, {"id": "by-id"}])
async def test_it_is_created_once(local: AsyncContainerPoolsClient, choice: dict[str, Any]) -> None:
    (pool_id,) = choice.values()
    first, second, third = (dict[str, Any](choice, name=name) for name in ("1", "2", "3"))
    created = await local.get_or_create_pool(first)
    assert (created["id"], created["name"]) == (pool_id, "1")
    assert await local.get_or_create_pool(second) == created
    assert await local.get_or_create(third) == created


async def test_an_archived_one_is_a_conflict_that_says_so(local: AsyncContainerPoolsClient) -> None:
    await local.get_or_create_pool({"pool_id": "old", "name": "old"})
    await local.delete_pool("old")
    for call in (local.get_or_create_pool, local.create_pool):
        with pytest.raises(ConflictError, match="'old' exists already. It is archived") as caught:
            await call({"pool_id": "old", "name": "old"})
        assert caught.value.code == "pool_exists"


@pytest.mark.parametrize("request_", [{"name": "x"}, {"pool_id": None}, {"pool_id": ".."}, [], 7])
async def test_without_an_id_nothing_is_sent(
    server: FaultServer, client: AsyncContainerPoolsClient, request_: Any
) -> None:
    with pytest.raises(RequestValidationError, match="request"):
        await client.get_or_create_pool(request_)
    assert server.requests == []


async def test_another_conflict_stays_what_it_is(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    server.play([answer({"detail": "full"}, 409), answer({"detail": "unknown"}, 404)])
    with pytest.raises(ConflictError, match="full"):
        await client.get_or_create_pool({"pool_id": "x", "name": "x"})
    assert [request.method for request in server.requests] == ["POST", "GET"]
