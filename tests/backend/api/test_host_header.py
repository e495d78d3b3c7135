"""A web page with a name of its own for this machine (DNS rebinding) gets nothing."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from synth_pools.local import LocalBackend
from tests.cli.local.test_serve import run
from tests.cli.local.test_serve import serve as serve_command
from tests.support.backend_server import Server


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost:8080",
        "LOCALHOST",
        "localhost.",
        "pools.localhost:80",
        "[::1]:80",
        "127.0.0.2",
    ],
)
def test_names_of_this_machine(server: Server, host: str) -> None:
    assert server.get("/v1/pools", headers={"host": host})["items"] is not None


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:80",
        "localhost.evil.example",
        "evil-localhost",
        "127.0.0.1.evil.example",
        "192.168.1.1",
        "0.0.0.0",
        "2130706433",
        "127.1",
        "[::]",
        "[::ffff:127.0.0.1]",
    ],
)
@pytest.mark.parametrize("path", ["/v1/pools", "/health", "/nowhere"])
def test_names_of_somebody_else(server: Server, host: str, path: str) -> None:
    server.refused("GET", path, 403, "forbidden_host", headers={"host": host})


@pytest.mark.parametrize("host", ["", "a b", "[::1", "127.0.0.1:x", "user@127.0.0.1", "a/b", "ä"])
def test_what_is_no_host(server: Server, host: str) -> None:
    sent = [(b"host", host.encode("latin-1"))]
    assert server.send("GET", "/v1/pools", headers=sent).status_code == 400


def test_names_that_were_allowed(start: Callable[..., Server]) -> None:
    backend = start(allowed_hosts=("pools.example",))
    for host in ("pools.example", "Pools.Example:81", "pools.example."):
        backend.get("/v1/pools", headers={"host": host})
    backend.refused("GET", "/v1/pools", 403, "forbidden_host", headers={"host": "a.pools.example"})


def test_a_request_of_http_1_0_needs_none(server: Server) -> None:
    with socket.create_connection(("127.0.0.1", server.port), 10) as wire:
        wire.sendall(b"GET /health HTTP/1.0\r\n\r\n")
        assert wire.recv(65536).startswith(b"HTTP/1.1 200 ")


def test_the_address_that_was_called_is_right_on_every_interface() -> None:
    with LocalBackend(host="0.0.0.0", api_key="sk_chosen_here") as backend:
        port = httpx.URL(backend.url).port
        for host, status in (("127.0.0.1", 200), ("localhost", 200), ("10.9.8.7", 403)):
            answer = httpx.get(f"http://127.0.0.1:{port}/health", headers={"host": host})
            assert answer.status_code == status


def test_serve_takes_names(tmp_path: Path) -> None:
    arguments = ["--port", "0", "--data-dir", str(tmp_path), "--allowed-hosts", "a.test,b.test"]
    with serve_command(tmp_path, *arguments, "--allowed-hosts", "c.test") as serving:
        for host, status in (("a.test", 200), ("b.test", 200), ("c.test", 200), ("d.test", 403)):
            answer = httpx.get(f"{serving.url}/health", headers={"host": host})
            assert answer.status_code == status
    refused = run(tmp_path, "serve", *arguments, "--allowed-hosts", "http://a")
    assert "allowed_hosts takes names" in refused.stderr


def test_no_page_of_another_origin_may_read_answers(server: Server) -> None:
    origin = {"origin": "http://evil.example"}
    preflight = {**origin, "access-control-request-method": "POST"}
    for answer in (
        server.http.get("/v1/pools", headers=origin),
        server.http.options("/v1/pools", headers=preflight),
        server.http.get("/health", headers=origin),
    ):
        assert not [name for name in answer.headers if name.startswith("access-control-")]
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-type"] == "application/json"
    assert server.http.options("/v1/pools", headers=preflight).status_code == 405
