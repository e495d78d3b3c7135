# Derived by `make generate`. Change the file that it comes from:
# tests/client/async_/test_engines.py

"""Choice of the engine."""

from __future__ import annotations

from types import ModuleType

import pytest

from synth_pools import ConfigurationError, ContainerPoolsClient
from synth_pools._client.http.sync_.httpx_engine import HttpxEngine
from tests.support.fault_server import FaultServer
from tests.support.leaks import KEY
from tests.support.proxy import proxy
from tests.support.surface import P

pytestmark = pytest.mark.one_library


def is_lean(client: ContainerPoolsClient) -> bool:
    """Check that both kinds of connections do without httpx, or that both are its own."""
    connections = client._transport._connections
    found = {
        isinstance(connections.engine(streams=streams), HttpxEngine) for streams in (True, False)
    }
    assert len(found) == 1
    return found == {False}


def test_a_direct_way_is_a_lean_one(server: FaultServer, client: ContainerPoolsClient) -> None:
    assert client.get_pool(P) == {"ok": True}
    assert is_lean(client)


@pytest.mark.parametrize("value", ["httpx", " HTTPX "])
def test_the_environment_names_httpx(
    server: FaultServer,
    client: ContainerPoolsClient,
    monkeypatch: pytest.MonkeyPatch,
    value: str,
) -> None:
    monkeypatch.setenv("SYNTH_POOLS_ENGINE", value)
    assert client.get_pool(P) == {"ok": True}
    assert not is_lean(client)


def test_an_engine_that_does_not_exist(
    client: ContainerPoolsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYNTH_POOLS_ENGINE", "curl")
    with pytest.raises(ConfigurationError, match="^SYNTH_POOLS_ENGINE must be httpx"):
        client.get_pool(P)


def test_a_callers_own_client_sends_itself(server: FaultServer, supplied: ModuleType) -> None:
    with supplied.Client() as http:
        client = ContainerPoolsClient(api_key=KEY, base_url=server.url, http_client=http)
        assert client.get_pool(P) == {"ok": True}
        assert not is_lean(client)


def test_a_proxy_is_spoken_to_by_httpx_but_where_there_is_an_exception(
    server: FaultServer, client: ContainerPoolsClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
    with proxy() as between:
        for name in ("HTTP_PROXY", "http_proxy"):
            monkeypatch.setenv(name, between.url)
        assert client.get_pool(P) == {"ok": True}
        assert not is_lean(client)
        assert len(between.heads) == 1
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with ContainerPoolsClient(api_key=KEY, base_url=server.url) as other:
            assert other.get_pool(P) == {"ok": True}
            assert is_lean(other)
        assert len(between.heads) == 1
