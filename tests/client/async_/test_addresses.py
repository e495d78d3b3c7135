"""Hosts with several addresses, of which some do not answer."""

from __future__ import annotations

import importlib
import socket
from typing import Any

import pytest

from synth_pools import APIConnectionError, APITimeoutError, AsyncContainerPoolsClient
from synth_pools._client.http import httpx_clients
from tests.support.fault_server import FaultServer
from tests.support.leaks import KEY
from tests.support.ports import full_listener
from tests.support.surface import P

NAME = "many.example.org"
SILENT, REFUSING = "127.0.0.2", "127.0.0.3"


@pytest.fixture
def addresses(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Addresses of the host `NAME`, which a test sets."""
    addresses: list[str] = []
    look_up = socket.getaddrinfo

    def resolve(host: Any, *args: Any, **options: Any) -> Any:
        is_name = host in (NAME, NAME.encode())
        if not is_name or options.get("flags", 0) & socket.AI_NUMERICHOST:
            return look_up(host, *args, **options)
        return [result for address in addresses for result in look_up(address, *args, **options)]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    return addresses


def port_of(server: FaultServer) -> int:
    return int(server.url.rpartition(":")[2])


def client_of(server: FaultServer, **options: Any) -> AsyncContainerPoolsClient:
    url = server.url.replace("127.0.0.1", NAME)
    return AsyncContainerPoolsClient(api_key=KEY, base_url=url, **options)


@pytest.mark.parametrize("silent_count", [1, 3])
async def test_an_address_that_does_not_answer_is_passed_over(
    server: FaultServer, addresses: list[str], monkeypatch: pytest.MonkeyPatch, silent_count: int
) -> None:
    # A client of httpx tries one address after the other.
    monkeypatch.setattr(httpx_clients, "_NEXT_ADDRESS_SECONDS", 0.3)
    addresses[:] = [SILENT] * silent_count + ["127.0.0.1"]
    with full_listener(SILENT, port_of(server)):
        # The limit is longer than the deadline of the call.
        async with client_of(server, timeout=120, deadline=30) as client:
            for _ in range(2):
                assert await client.get_pool(P) == {"ok": True}
                server.kick()


@pytest.mark.sockets
async def test_the_address_that_answered_is_tried_first(
    server: FaultServer, addresses: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # A busy machine may need longer than the default to connect.
    sockets = importlib.import_module("synth_pools._client.runtime.async_.sockets")
    monkeypatch.setattr(sockets, "NEXT_ADDRESS_SECONDS", 60.0)
    addresses[:] = [REFUSING, "127.0.0.1"]
    async with client_of(server, timeout=60) as client:
        assert await client.get_pool(P) == {"ok": True}
        # From now on the first address accepts connections, and answers nothing.
        with socket.create_server((REFUSING, port_of(server))) as newcomer:
            server.kick()
            assert await client.get_pool(P) == {"ok": True}
            newcomer.setblocking(False)
            with pytest.raises(BlockingIOError):
                newcomer.accept()


@pytest.mark.sockets
async def test_no_address_answers(server: FaultServer, addresses: list[str]) -> None:
    addresses[:] = [SILENT, REFUSING]
    with full_listener(SILENT, port_of(server)):
        async with client_of(server, timeout=0.4, max_retries=0) as client:
            with pytest.raises(APITimeoutError) as caught:
                await client.get_pool(P)
            assert caught.value.cause == "ConnectTimeout"
    addresses[:] = [SILENT, REFUSING]
    async with client_of(server, max_retries=0) as client:
        with pytest.raises(APIConnectionError, match="refused|Connect call failed") as lost:
            await client.get_pool(P)
        assert lost.value.cause == "ConnectError"
