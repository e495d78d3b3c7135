"""Invalid variables of the environment, which errors name and which route no key."""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

import pytest

from synth_pools import APIConnectionError, AsyncContainerPoolsClient, ConfigurationError
from tests.support import faults
from tests.support.fault_server import FaultServer
from tests.support.leaks import KEY, traceback_with_locals
from tests.support.proxy import proxy
from tests.support.surface import P, R

TLS = "https://pools.example"
PASSWORD = "pass-4711"
pytestmark = pytest.mark.plain

PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def broken(tmp_path: Path) -> Path:
    path = tmp_path / "broken.pem"
    path.write_text("no certificate")
    return path


async def assert_refused(url: str, name: str) -> None:
    """Both kinds of connections are refused; the error names the variable without its value."""
    async with AsyncContainerPoolsClient(api_key=KEY, base_url=url, max_retries=0) as client:
        with pytest.raises(ConfigurationError, match=name) as call:
            await client.get_pool(P)
        with pytest.raises(ConfigurationError, match=name) as stream:
            await anext(client.rollouts.events(P, R))
    for caught in (call, stream):
        assert caught.value.__context__ is None
        assert PASSWORD not in str(caught.value)
        assert KEY not in traceback_with_locals(caught.value)


@pytest.mark.skipif(find_spec("socksio") is not None, reason="SOCKS is spoken")
@pytest.mark.parametrize("name", ["ALL_PROXY", "HTTP_PROXY", "all_proxy"])
@pytest.mark.parametrize("scheme", ["socks5", "socks5h"])
async def test_a_socks_proxy_is_not_taken_for_one_of_http(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, name: str, scheme: str
) -> None:
    monkeypatch.setenv(name, f"{scheme}://user:{PASSWORD}@{server.url.removeprefix('http://')}")
    await assert_refused("http://pools.example", rf"^{name} .*socksio")
    assert server.connections == 0


@pytest.mark.skipif(find_spec("socksio") is None, reason="needs socksio")
async def test_a_socks_proxy_is_spoken_to_in_its_language(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.play(faults.answer())
    monkeypatch.setenv("ALL_PROXY", server.url.replace("http", "socks5"))
    async with AsyncContainerPoolsClient(
        api_key=KEY, base_url="http://pools.example", max_retries=0, timeout=0.3
    ) as client:
        with pytest.raises(APIConnectionError):
            await client.get_pool(P)
    assert not server.requests


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTPS_PROXY", f"http://user:{PASSWORD}@host:port"),
        ("HTTPS_PROXY", f"ftp://user:{PASSWORD}@host"),
        ("https_proxy", f"http://user:{PASSWORD}@:3128"),
        ("HTTP_PROXY", "http://"),
        ("ALL_PROXY", "socks4://host:1080"),
        ("ALL_PROXY", "http://[::1"),
        ("no_proxy", "http://[::1"),
        ("NO_PROXY", "localhost,10.0.0.0/99"),
    ],
)
async def test_a_proxy_that_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    monkeypatch.setenv("ALL_PROXY", os.environ.get("ALL_PROXY", "http://127.0.0.1:9"))
    await assert_refused("http://127.0.0.1:9", f"^{name} ")


async def test_a_password_of_a_proxy_is_in_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://user:{PASSWORD}@127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "[::1")
    await assert_refused("http://127.0.0.1:9", "^NO_PROXY ")


async def test_only_the_hosts_without_an_exception_are_called_over_the_proxy(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy() as between:
        monkeypatch.setenv("http_proxy", between.url)
        for exceptions, count in (("127.0.0.0/8,::1", 0), ("128.0.0.0/8,*.example", 1)):
            monkeypatch.setenv("NO_PROXY", exceptions)
            for engine in ("", "httpx"):
                monkeypatch.setenv("SYNTH_POOLS_ENGINE", engine)
                async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url) as client:
                    assert await client.get_pool(P) == {"ok": True}
            assert len(between.heads) == 2 * count


async def test_certificates_that_cannot_be_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, broken: Path
) -> None:
    for path in (tmp_path / "missing.pem", tmp_path, broken):
        monkeypatch.setenv("SSL_CERT_FILE", str(path))
        await assert_refused(TLS, "^SSL_CERT_FILE ")
    monkeypatch.delenv("SSL_CERT_FILE")
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path))
    await assert_refused(TLS, "^SSLKEYLOGFILE ")


async def test_certificates_that_nothing_needs_are_not_read(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, broken: Path
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(broken))
    async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url) as client:
        assert await client.get_pool(P) == {"ok": True}
