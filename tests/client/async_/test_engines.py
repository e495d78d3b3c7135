"""Choice of the engine."""

from __future__ import annotations

from types import ModuleType

import httpx
import pytest

from synth_pools import AsyncContainerPoolsClient, ConfigurationError
from synth_pools._client.http.async_.httpx_engine import AsyncHttpxEngine
from tests.support.fault_server import FaultServer
from tests.support.leaks import KEY
from tests.support.proxy import proxy
from tests.support.surface import P

pytestmark = pytest.mark.one_library


async def uses_sockets(client: AsyncContainerPoolsClient) -> bool:
    """Check that both engines of a client are over sockets, or both over httpx."""
    connections = client._transport._connections
    uses_httpx = {
        isinstance(await connections.engine(streams=streams), AsyncHttpxEngine)
        for streams in (True, False)
    }
    assert len(uses_httpx) == 1
    return uses_httpx == {False}


async def test_sockets_send_without_a_proxy(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    assert await client.get_pool(P) == {"ok": True}
    assert await uses_sockets(client)


@pytest.mark.parametrize("value", ["httpx", " HTTPX "])
async def test_the_environment_names_httpx(
    server: FaultServer,
    client: AsyncContainerPoolsClient,
    monkeypatch: pytest.MonkeyPatch,
    value: str,
) -> None:
    monkeypatch.setenv("SYNTH_POOLS_ENGINE", value)
    assert await client.get_pool(P) == {"ok": True}
    assert not await uses_sockets(client)


async def test_a_fake_of_send_is_called_where_httpx_is_named(
    server: FaultServer, client: AsyncContainerPoolsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def send(http: object, request: httpx.Request, **_: object) -> httpx.Response:
        return httpx.Response(200, json={"fake": request.url.path}, request=request)

    monkeypatch.setenv("SYNTH_POOLS_ENGINE", "httpx")
    monkeypatch.setattr(httpx.AsyncClient, "send", send)
    assert await client.get_pool(P) == {"fake": f"/v1/pools/{P}"}
    assert server.connections == 0


async def test_an_engine_that_does_not_exist(
    client: AsyncContainerPoolsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTH_POOLS_ENGINE", "curl")
    with pytest.raises(ConfigurationError, match="^SYNTH_POOLS_ENGINE must be httpx"):
        await client.get_pool(P)


async def test_a_callers_own_client_sends_itself(server: FaultServer, supplied: ModuleType) -> None:
    async with supplied.AsyncClient() as http:
        client = AsyncContainerPoolsClient(api_key=KEY, base_url=server.url, http_client=http)
        assert await client.get_pool(P) == {"ok": True}
        assert not await uses_sockets(client)


async def test_a_proxy_is_spoken_to_by_httpx_but_where_there_is_an_exception(
    server: FaultServer, client: AsyncContainerPoolsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with proxy() as between:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, between.url)
        assert await client.get_pool(P) == {"ok": True}
        assert not await uses_sockets(client)
        assert len(between.heads) == 1
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url) as direct:
            assert await direct.get_pool(P) == {"ok": True}
            assert await uses_sockets(direct)
        assert len(between.heads) == 1
