"""Endpoint functions of the generated package, called as openapi-python-client makes them."""

from __future__ import annotations

from collections.abc import Iterator
from http import HTTPStatus

import pytest

from synth_pools.local import LocalBackend
from synth_pools_api import AuthenticatedClient
from synth_pools_api.api.pools import create_pool, delete_pool, get_pool, list_pools
from synth_pools_api.models import ErrorBody, Pool, PoolDefinition, PoolList
from tests.support.backend_server import KEY


@pytest.fixture(scope="module")
def backend() -> Iterator[LocalBackend]:
    with LocalBackend(api_key=KEY) as backend:
        yield backend


@pytest.fixture
def client(backend: LocalBackend) -> AuthenticatedClient:
    return AuthenticatedClient(backend.url, token=KEY)


def test_functions_of_a_plain_client(client: AuthenticatedClient) -> None:
    with client:
        created = create_pool.sync_detailed(client=client, body=PoolDefinition(name="plain"))
        assert created.status_code == HTTPStatus.CREATED
        assert isinstance(created.parsed, Pool)
        assert get_pool.sync(created.parsed.id, client=client) == created.parsed
        pools = list_pools.sync(client=client, limit=1)
        assert isinstance(pools, PoolList)
        assert len(pools.items) == 1


async def test_functions_of_a_plain_async_client(client: AuthenticatedClient) -> None:
    async with client:
        body = PoolDefinition(name="plain")
        created = await create_pool.asyncio(client=client, body=body)
        assert isinstance(created, Pool)
        deleted = await delete_pool.asyncio_detailed(created.id, client=client)
        assert isinstance(deleted.parsed, Pool)
        assert deleted.parsed.state == "archived"


@pytest.mark.parametrize(("key", "status"), [(KEY, 404), ("another-key", 401)])
def test_an_error_is_returned_like_an_answer(backend: LocalBackend, key: str, status: int) -> None:
    with AuthenticatedClient(backend.url, token=key) as client:
        answer = get_pool.sync_detailed("no-such-pool", client=client)
    assert answer.status_code == status
    assert isinstance(answer.parsed, ErrorBody)
