"""`http_client=`: proxies, authorities, client certificates and HTTP/2, over real sockets."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from synth_pools import APIConnectionError, APIStatusError, AsyncContainerPoolsClient
from synth_pools.local import LocalBackend
from tests.support.leaks import KEY, traceback_with_locals
from tests.support.proxy import proxy
from tests.support.tls_backend import TlsBackend, tls_backend

# Type of the last event of a stream, which is sent in another way than other calls.
LAST = "rollout.completed"


@pytest.fixture(scope="module")
def tls(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsBackend]:
    with tls_backend(tmp_path_factory.mktemp("tls")) as backend:
        yield backend


@pytest.fixture(scope="module")
def mutual(tmp_path_factory: pytest.TempPathFactory) -> Iterator[TlsBackend]:
    folder = tmp_path_factory.mktemp("mutual")
    with tls_backend(folder, asks_for_certificates=True) as backend:
        yield backend


@pytest.fixture(scope="module")
def plain() -> Iterator[LocalBackend]:
    with LocalBackend(api_key=KEY) as backend:
        yield backend


async def run_a_rollout(client: AsyncContainerPoolsClient) -> None:
    pool = await client.create_pool({"name": "behind"})
    rollout = await client.rollouts.create(pool["id"], {"mode": "sync", "seed": 1})
    events = [event async for event in client.rollouts.events(pool["id"], rollout["id"])]
    assert (rollout["status"], events[-1]["event"]) == ("completed", LAST)
    page = await client.list_pools(limit=1)
    assert len(page["items"]) == 1


def client_of(url: str, http: Any, **options: Any) -> AsyncContainerPoolsClient:
    options = {"max_retries": 0, "timeout": 20, **options}
    return AsyncContainerPoolsClient(api_key=KEY, base_url=url, http_client=http, **options)


async def test_an_authority_of_ones_own(tls: TlsBackend, supplied: ModuleType) -> None:
    async with supplied.AsyncClient(verify=tls.trusting()) as http:
        async with client_of(tls.url, http) as client:
            await run_a_rollout(client)
        assert not http.is_closed, "it was handed in"
        assert (await http.get(f"{tls.url}/nothing")).status_code == 404


async def test_a_server_that_nobody_vouches_for_is_not_spoken_to(tls: TlsBackend) -> None:
    async with AsyncContainerPoolsClient(
        api_key=KEY, base_url=tls.url, timeout=60, max_retries=0
    ) as client:
        with pytest.raises(APIConnectionError, match="(?i)certificate") as caught:
            await client.list_pools()
        with pytest.raises(APIConnectionError, match="(?i)certificate"):
            await anext(client.rollouts.events("p", "r"))
    assert KEY not in traceback_with_locals(caught.value)


async def test_a_certificate_of_the_clients_own(mutual: TlsBackend, supplied: ModuleType) -> None:
    async with supplied.AsyncClient(verify=mutual.trusted()) as http:
        await run_a_rollout(client_of(mutual.url, http))
    async with supplied.AsyncClient(verify=mutual.trusting()) as http:
        with pytest.raises(APIConnectionError):
            await client_of(mutual.url, http).list_pools()


async def test_http_2(tls: TlsBackend, supplied: ModuleType) -> None:
    versions: set[str] = set()

    async def note(response: Any) -> None:
        versions.add(response.http_version)

    async with supplied.AsyncClient(
        http2=True,
        verify=tls.trusting(),
        event_hooks={"response": [note]},
        limits=supplied.Limits(max_connections=1),
    ) as http:
        client = client_of(tls.url, http)
        await run_a_rollout(client)
        pool = await client.create_pool({"name": "two"})
        rollout = await client.rollouts.create(pool["id"], {"env": {"delay": 30}})
        # Over HTTP/2 an open stream does not block the connection for other calls.
        async with client.rollouts.events(pool["id"], rollout["id"]) as stream:
            assert (await anext(stream))["event"] == "rollout.queued"
            assert (await client.get_pool(pool["id"]))["name"] == "two"
            await client.rollouts.cancel(pool["id"], rollout["id"])
            assert [event["event"] async for event in stream][-1] == "rollout.cancelled"
    assert versions == {"HTTP/2"}


async def test_a_proxy_before_tls_does_not_see_the_key(
    tls: TlsBackend, supplied: ModuleType
) -> None:
    with proxy("user:word") as between:
        way = supplied.Proxy(between.url, auth=("user", "word"))
        async with supplied.AsyncClient(verify=tls.trusting(), proxy=way) as http:
            await run_a_rollout(client_of(tls.url, http))
    assert between.heads
    assert all(head.startswith("CONNECT 127.0.0.1:") for head in between.heads)
    assert not any(KEY in head for head in between.heads)


async def test_a_proxy_before_a_plain_server(plain: LocalBackend, supplied: ModuleType) -> None:
    with proxy() as between:
        async with supplied.AsyncClient(proxy=between.url) as http:
            await run_a_rollout(client_of(plain.url, http))
    assert between.heads[0].startswith(f"POST {plain.url}/v1/pools HTTP/1.1")


async def test_a_proxy_that_refuses(
    plain: LocalBackend, tls: TlsBackend, supplied: ModuleType
) -> None:
    with proxy("user:word") as between:
        async with supplied.AsyncClient(proxy=between.url, verify=tls.trusting()) as http:
            with pytest.raises(APIStatusError) as caught:
                await client_of(plain.url, http).list_pools()
            assert caught.value.status_code == 407
            with pytest.raises(APIConnectionError, match="407"):
                await client_of(tls.url, http).list_pools()


@pytest.mark.parametrize(
    "context", [None, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)], ids=["plain", "TLS"]
)
async def test_the_environment_names_the_proxy(
    plain: LocalBackend,
    tls: TlsBackend,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    context: ssl.SSLContext | None,
) -> None:
    """A client of ours uses it, too, and SSL_CERT_FILE; TLS may go through TLS."""
    authority = tmp_path / "authority.pem"
    tls.authority.cert_pem.write_to_path(authority)
    if context is not None:
        tls.authority.issue_cert("127.0.0.1").configure_cert(context)
    with proxy(context=context) as between:
        for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"):
            monkeypatch.setenv(name, between.url)
        for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority))
        for url in (plain.url, tls.url):
            async with AsyncContainerPoolsClient(api_key=KEY, base_url=url, timeout=60) as client:
                await run_a_rollout(client)
    assert {head.split(" ")[0] for head in between.heads} == {"POST", "GET", "CONNECT"}


async def test_a_proxy_that_is_not_there(supplied: ModuleType) -> None:
    """The error names the address, without key and password."""
    way = supplied.Proxy("http://127.0.0.1:9", auth=("user", "pass-4711"))
    async with supplied.AsyncClient(proxy=way) as http:
        with pytest.raises(APIConnectionError) as caught:
            await client_of("http://127.0.0.1:10", http).list_pools()
    text = traceback_with_locals(caught.value)
    assert "127.0.0.1:10" in str(caught.value)
    assert KEY not in text
    assert "pass-4711" not in text
