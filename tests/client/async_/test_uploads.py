"""Answers that arrive before their request is through, and requests that break midway."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import pytest

from synth_pools import APIConnectionError, APIStatusError, AsyncContainerPoolsClient
from tests.support import faults
from tests.support.authority import trusted_context
from tests.support.hasty_server import HastyServer, hasty_server
from tests.support.leaks import KEY
from tests.support.ports import LARGE
from tests.support.surface import P

pytestmark = pytest.mark.sockets

REFUSAL = faults.message(b'{"detail": "too large"}', 413, faults.JSON)
HINTS = b"".join(
    b"HTTP/1.1 %d Go on\r\nX-Hint: %d\r\n\r\n" % (status, status) for status in (100, 102, 103)
)


@pytest.fixture(params=["plain", "TLS"])
def context(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> ssl.SSLContext | None:
    """Context of the server; None without TLS."""
    return trusted_context(tmp_path, monkeypatch) if request.param == "TLS" else None


def client_of(server: HastyServer, max_retries: int = 0) -> AsyncContainerPoolsClient:
    return AsyncContainerPoolsClient(
        api_key=KEY, base_url=server.url, timeout=60, max_retries=max_retries
    )


async def connection_count(client: AsyncContainerPoolsClient) -> int:
    engine: Any = await client._transport._connections.engine()
    return len(engine._all)


@pytest.mark.parametrize("closes", [False, True])
async def test_a_refusal_in_the_middle_of_an_upload(
    context: ssl.SSLContext | None, caplog: pytest.LogCaptureFixture, closes: bool
) -> None:
    with hasty_server(REFUSAL, context, closes=closes) as server:
        async with client_of(server) as client:
            for _ in range(8):
                with pytest.raises(APIStatusError, match="too large") as caught:
                    await client.create_pool({"name": LARGE})
                assert caught.value.status_code == 413
            assert await connection_count(client) == 0
        assert len(server.heads) == 8
    assert not caplog.records


@pytest.mark.parametrize("closes", [False, True])
async def test_a_success_before_the_request_is_through(
    context: ssl.SSLContext | None, closes: bool
) -> None:
    with hasty_server(faults.OK, context, closes=closes) as server:
        async with client_of(server) as client:
            for _ in range(2):
                assert await client.create_pool({"name": LARGE}) == {"ok": True}
            assert await connection_count(client) == 0


async def test_a_cut_answer_before_the_request_is_through(context: ssl.SSLContext | None) -> None:
    with hasty_server(faults.OK[:-1], context, closes=True) as server:
        async with client_of(server) as client:
            with pytest.raises(APIConnectionError) as caught:
                await client.create_pool({"name": LARGE})
            assert caught.value.sent
            assert await connection_count(client) == 0


async def test_hints_do_not_cut_an_upload_off(context: ssl.SSLContext | None) -> None:
    with hasty_server(HINTS, context, reads=True) as server:
        async with client_of(server) as client:
            assert await client.create_pool({"name": LARGE}) == {"ok": True}
            assert await connection_count(client) == 1


async def test_a_request_that_must_not_be_repeated_is_sent_once(
    context: ssl.SSLContext | None,
) -> None:
    """The service acts on the head, and closes without an answer."""
    with hasty_server(b"", context, closes=True) as server:
        async with client_of(server, max_retries=2) as client:
            for number in range(1, 7):
                with pytest.raises(APIConnectionError) as caught:
                    await client.execute_pool_container_rollout(P, {"note": LARGE[: 2**19]})
                assert caught.value.sent
                assert len(server.heads) == number
