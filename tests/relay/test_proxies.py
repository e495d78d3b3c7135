"""Upstreams behind a proxy of the environment."""

from __future__ import annotations

import base64
import contextlib
import json
import ssl
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from synth_pools.relay import ModelRelay
from tests.relay.test_passing import HTTP, chat, completion
from tests.support.authority import trusted_context
from tests.support.proxy import proxy
from tests.support.relays import running_relay

HOST = "models.example.org"
# More than the buffers of a connection hold.
BODY = json.dumps(completion("ho " * 300_000)).encode()


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


@contextlib.contextmanager
def model_server(context: ssl.SSLContext | None = None) -> Iterator[int]:
    """Serve a model; the value is its port."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            # That of the proxy is not passed on.
            is_clean = self.path == "/v1/chat/completions" and self.headers["host"].startswith(HOST)
            self.send_response(200 if is_clean else 400)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(BODY)))
            self.end_headers()
            self.wfile.write(BODY)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        if context is not None:
            server.socket = context.wrap_socket(server.socket, server_side=True)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join(30)


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_calls_go_through_the_proxy(
    scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    context = trusted_context(tmp_path, monkeypatch) if scheme == "https" else None
    with model_server(context) as port, proxy("me:s%cret") as forward:
        forward.addresses[HOST] = "127.0.0.1"
        address = forward.url.replace("://", "://me:s%25cret@")
        monkeypatch.setenv(f"{scheme.upper()}_PROXY", address)
        with running_relay(f"{scheme}://{HOST}:{port}/v1", "sk-of-the-server") as running:
            for _ in range(3):
                answer = HTTP.post(f"{running.base_url}/chat/completions", json=chat())
                assert (answer.status_code, answer.content) == (200, BODY)
    key = base64.b64encode(b"me:s%cret").decode()
    assert all(f"proxy-authorization: Basic {key}" in head for head in forward.heads)
    first = forward.heads[0].partition("\r\n")[0]
    if scheme == "https":
        # A tunnel is used again, and its proxy sees no call.
        assert len(forward.heads) == 1
        assert first == f"CONNECT {HOST}:{port} HTTP/1.1"
        assert "sk-of-the-server" not in forward.heads[0]
    else:
        assert first == f"POST http://{HOST}:{port}/v1/chat/completions HTTP/1.1"


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_a_proxy_that_refuses_is_named_without_its_password(
    scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with proxy("me:right") as forward:
        monkeypatch.setenv("ALL_PROXY", forward.url.replace("://", "://me:wrong-word@"))
        with running_relay(f"{scheme}://{HOST}/v1") as running:
            answer = HTTP.post(f"{running.base_url}/chat/completions", json=chat())
    assert answer.status_code == {"http": 407, "https": 502}[scheme]
    if scheme == "https":
        assert "the proxy answers 407" in answer.text
    assert "wrong-word" not in answer.text + repr(running.session.upstream.__dict__)
    assert len(running.steps.calls) == 1


@pytest.mark.parametrize(
    ("url", "name", "no_proxy"),
    [
        ("http://127.0.0.1:9/v1", "HTTP_PROXY", ""),
        ("http://localhost:9/v1", "ALL_PROXY", ""),
        (f"http://{HOST}:9/v1", "HTTPS_PROXY", ""),
        (f"http://{HOST}:9/v1", "HTTP_PROXY", "other.example.org, .example.org"),
    ],
)
def test_a_server_may_need_no_proxy(
    url: str, name: str, no_proxy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", no_proxy)
    with proxy() as forward:
        monkeypatch.setenv(name, forward.url)
        with running_relay(url) as running:
            answer = HTTP.post(f"{running.base_url}/chat/completions", json=chat())
    assert answer.status_code == 502
    assert forward.heads == []


def test_a_proxy_of_another_kind_is_refused_before_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ALL_PROXY", "socks5://me:wrong-word@127.0.0.1:1080")
    with pytest.raises(ValueError, match="HTTPS_PROXY") as caught:
        ModelRelay().upstream(f"https://{HOST}/v1", None)
    assert "wrong-word" not in str(caught.value)
