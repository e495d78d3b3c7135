# Derived by `make generate`. Change the file that it comes from:
# tests/client/async_/test_http_client.py

"""`http_client=`: proxies, authorities, client certificates and HTTP/2, over real sockets."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from synth_pools import APIConnectionError, APIStatusError, ContainerPoolsClient
from synth_pools.local import LocalBackend
from tests.support.leaks import KEY, traceback_with_locals
from tests.support.proxy import proxy
from tests.support.tls_backend import TlsBackend, tls_backend

# Without a rollout's stream these would show half: it is sent in another way than the rest.
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


def run_a_rollout(client: ContainerPoolsClient) -> None:
    pool = client.create_pool({"name": "behind"})
    rollout = client.rollouts.create(pool["id"], {"mode": "sync", "seed": 1})
    events = [event for event in client.rollouts.events(pool["id"], rollout["id"])]
    assert (rollout["status"], events[-1]["event"]) == ("completed", LAST)
    page = client.list_pools(limit=1)
    assert len(page["items"]) == 1


def client_of(url: str, http: Any, **options: Any) -> ContainerPoolsClient:
    options = {"max_retries": 0, "timeout": 20, **options}
    return ContainerPoolsClient(api_key=KEY, base_url=url, http_client=http, **options)


def test_an_authority_of_ones_own(tls: TlsBackend, supplied: ModuleType) -> None:
    with supplied.Client(verify=tls.trusting()) as http:
        with client_of(tls.url, http) as client:
            run_a_rollout(client)
        assert not http.is_closed, "it was handed in"
        assert (http.get(f"{tls.url}/nothing")).status_code == 404


def test_a_server_that_nobody_vouches_for_is_not_spoken_to(tls: TlsBackend) -> None:
    with ContainerPoolsClient(api_key=KEY, base_url=tls.url, timeout=20, max_retries=0) as client:
        with pytest.raises(APIConnectionError, match="(?i)certificate") as caught:
            client.list_pools()
        with pytest.raises(APIConnectionError, match="(?i)certificate"):
            next(client.rollouts.events("p", "r"))
    assert KEY not in traceback_with_locals(caught.value)


def test_a_certificate_of_the_clients_own(mutual: TlsBackend, supplied: ModuleType) -> None:
    with supplied.Client(verify=mutual.trusted()) as http:
        run_a_rollout(client_of(mutual.url, http))
    with supplied.Client(verify=mutual.trusting()) as http:
        with pytest.raises(APIConnectionError):
            client_of(mutual.url, http).list_pools()


def test_http_2(tls: TlsBackend, supplied: ModuleType) -> None:
    versions: set[str] = set()

    def note(response: Any) -> None:
        versions.add(response.http_version)

    with supplied.Client(
        http2=True,
        verify=tls.trusting(),
        event_hooks={"response": [note]},
        limits=supplied.Limits(max_connections=1),
    ) as http:
        client = client_of(tls.url, http)
        run_a_rollout(client)
        pool = client.create_pool({"name": "two"})
        rollout = client.rollouts.create(pool["id"], {"env": {"delay": 30}})
        # Over HTTP/2 an open stream does not keep others from the one connection.
        with client.rollouts.events(pool["id"], rollout["id"]) as stream:
            assert (next(stream))["event"] == "rollout.queued"
            assert (client.get_pool(pool["id"]))["name"] == "two"
            client.rollouts.cancel(pool["id"], rollout["id"])
            assert [event["event"] for event in stream][-1] == "rollout.cancelled"
    assert versions == {"HTTP/2"}


def test_a_proxy_before_tls_does_not_see_the_key(tls: TlsBackend, supplied: ModuleType) -> None:
    with proxy("user:word") as between:
        way = supplied.Proxy(between.url, auth=("user", "word"))
        with supplied.Client(verify=tls.trusting(), proxy=way) as http:
            run_a_rollout(client_of(tls.url, http))
    assert between.heads
    assert all(head.startswith("CONNECT 127.0.0.1:") for head in between.heads)
    assert not any(KEY in head for head in between.heads)


def test_a_proxy_before_a_plain_server(plain: LocalBackend, supplied: ModuleType) -> None:
    with proxy() as between:
        with supplied.Client(proxy=between.url) as http:
            run_a_rollout(client_of(plain.url, http))
    assert between.heads[0].startswith(f"POST {plain.url}/v1/pools HTTP/1.1")


def test_a_proxy_that_refuses(plain: LocalBackend, tls: TlsBackend, supplied: ModuleType) -> None:
    with proxy("user:word") as between:
        with supplied.Client(proxy=between.url, verify=tls.trusting()) as http:
            with pytest.raises(APIStatusError) as caught:
                client_of(plain.url, http).list_pools()
            assert caught.value.status_code == 407
            with pytest.raises(APIConnectionError, match="407"):
                client_of(tls.url, http).list_pools()


@pytest.mark.parametrize(
    "context", [None, ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)], ids=["plain", "TLS"]
)
def test_the_environment_names_the_proxy(
    plain: LocalBackend,
    tls: TlsBackend,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    context: ssl.SSLContext | None,
) -> None:
    """A client of its own keeps to it too, and to SSL_CERT_FILE; TLS may go through TLS."""
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
            with ContainerPoolsClient(api_key=KEY, base_url=url, timeout=20) as client:
                run_a_rollout(client)
    assert {head.split(" ")[0] for head in between.heads} == {"POST", "GET", "CONNECT"}


def test_a_proxy_that_is_not_there(supplied: ModuleType) -> None:
    """The error says which address was meant, and shows neither key nor password."""
    way = supplied.Proxy("http://127.0.0.1:9", auth=("user", "pass-4711"))
    with supplied.Client(proxy=way) as http:
        with pytest.raises(APIConnectionError) as caught:
            client_of("http://127.0.0.1:10", http).list_pools()
    text = traceback_with_locals(caught.value)
    assert "127.0.0.1:10" in str(caught.value)
    assert KEY not in text
    assert "pass-4711" not in text
