"""Addresses that containers may have, wherever one is named."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from synth_pools.backend.containers.url_policy import check_container_url
from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.settings import Secret, Settings
from synth_pools.backend.storage.data_dir import FILE_NAME
from tests.support.backend_server import Server, eventually, serve
from tests.support.containers import http, odd_container

FORBIDDEN = [
    "http://10.0.0.1",
    "http://169.254.169.254/latest",
    "http://metadata.internal:80",
    "http://example.org",
    "http://0.0.0.0:80",
    "http://[::]:80",
    "http://[::ffff:10.0.0.1]",
    "http://127.1",
    "http://0x7f000001",
    "http://2130706433",
    "http://localhost.example.org",
    "http://notlocalhost",
    "http://user@127.0.0.1",
    "http://user:password@localhost:80",
    "http://@127.0.0.1",
    "http://127.0.0.1@example.org",
    "http://example.org#@127.0.0.1",
    "http://127.0.0.1:0",
    "http://127.0.0.1:99999",
    "http://:80",
    "http:///path",
    "http://127.0.0.1/#fragment",
    "http://[fe80::1]:80",
    "http://[::ffff:169.254.169.254]",
    "http://[fd00:ec2::254]",
    "http://100.100.100.200",
    "http://0",
    "http://0177.0.0.1",
    "http://127.0.0.1%2eexample.org",
    "http://127.0.0.1%00.example.org",
]


@pytest.mark.parametrize(
    ("url", "own_port", "is_own"),
    [
        ("https://127.0.0.1", 443, True),
        ("https://localhost", 443, True),
        ("http://127.0.0.1", 443, False),
        ("http://localhost", 80, True),
        ("https://127.0.0.1", 80, False),
    ],
)
def test_without_a_port_it_is_that_of_the_scheme(url: str, own_port: int, is_own: bool) -> None:
    settings = Settings(data_dir=Path(), api_key=Secret("key"), own_port=own_port)
    refused = pytest.raises(ApiError, match="own address") if is_own else contextlib.nullcontext()
    with refused:
        check_container_url(url, settings)


# With the port of the backend, which `{}` is.
OWN = [
    "http://127.0.0.1:{}",
    "HTTP://127.0.0.1:{}/health",
    "https://127.0.0.1:{}",
    "http://127.0.0.77:{}",
    "http://[::1]:{}",
    "http://[0:0:0:0:0:0:0:1]:{}",
    "http://[::ffff:127.0.0.1]:{}",
    "http://[::ffff:7f00:1]:{}",
    "http://localhost:{}",
    "http://LocalHost.:{}",
    "http://any.localhost:{}",
    "http://127.1:{}",
    "http://2130706433:{}",
    "http://0x7f.1:{}",
    "http://0:{}",
    "http://0.0.0.0:{}",
    "http://[::]:{}",
    "http://127.0.0.1:0{}",
]

NO_URLS = [
    "http://127.0.0.1:80/\n",
    "http://127.0.0.1:80/\r\nhost: evil",
    "http://127.0.0.1:80/\0",
    "http://127.0.0.1\t:80",
    "http://127.0.0.1:80/\x7f",
    " http://127.0.0.1:80",
    "http://127.0.0.1:80/ ",
    "http://l\u00f6calhost",
    "http://\uff11\uff12\uff17.0.0.1",
    "file:///etc/passwd",
    "gopher://127.0.0.1:80",
    "ftp://127.0.0.1",
    "http:127.0.0.1",
    "//127.0.0.1",
    "javascript:alert(1)",
    "",
    "http://127.0.0.1\\@example.org",
    "http://127.0.0.1:x",
    "http://[::1",
    "http://[fe80::1%25eth0]:80",
    "http://[::1%25lo]:80",
]


@pytest.mark.parametrize("url", FORBIDDEN)
def test_an_address_that_policy_refuses(server: Server, url: str) -> None:
    refused_everywhere(server, url, 403, "forbidden_container_url")


@pytest.mark.parametrize("url", OWN)
def test_the_backends_own_address(server: Server, url: str) -> None:
    refused_everywhere(server, url.format(server.port), 403, "forbidden_container_url")


@pytest.mark.parametrize("url", NO_URLS)
def test_what_is_no_url(server: Server, url: str) -> None:
    refused_everywhere(server, url, 422, "validation_failed")


def test_the_option_that_would_allow_a_host_is_named(server: Server) -> None:
    body = {"name": "n", "container_url": "http://far.example.org:80"}
    detail = server.refused("POST", "/v1/pools", 403, "forbidden_container_url", json=body)[
        "detail"
    ]
    assert "`--container-hosts far.example.org` of `synth-pools serve`" in detail
    assert "`container_hosts=` of `LocalBackend`" in detail


def refused_everywhere(server: Server, url: str, status: int, code: str) -> None:
    pool_id = server.pool(tasks=[{"task_id": "t"}])
    root = f"/v1/pools/{pool_id}"
    fields = {"container_url": url}
    among = {"container_urls": ["http://127.0.0.1:9", url]}
    for method, path, body, place in (
        ("POST", "/v1/pools", {"name": "n", **among}, "container_urls[1] "),
        ("PUT", root, {"name": "n", **among}, "container_urls[1] "),
        ("PATCH", root, among, "container_urls[1] "),
        ("POST", "/v1/pools", {"name": "n", **fields}, "container_url "),
        ("POST", "/v1/pools", {"name": "n", "tasks": [{}, fields]}, "tasks[1].container_url "),
        ("PUT", root, {"name": "n", **fields}, "container_url "),
        ("PATCH", root, fields, "container_url "),
        ("PATCH", root, {"tasks": [fields]}, "tasks[0].container_url "),
        ("POST", f"{root}/tasks", fields, "container_url "),
        ("PUT", f"{root}/tasks/t", fields, "container_url "),
        ("PATCH", f"{root}/tasks/t", fields, "container_url "),
    ):
        refused = server.refused(method, path, status, code, json=body)
        assert "password" not in str(refused["detail"]).replace("user name or password", "")
        if status == 403:
            assert refused["detail"].startswith(place)
    pool = server.get(root)
    assert (pool["container_url"], pool["container_urls"]) == (None, [])


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:1",
        "http://127.8.9.10:1/base?x=1",
        "HTTP://LOCALHOST:1",
        "http://localhost.:1",
        "http://pool.localhost:1",
        "https://[::1]:1",
        "http://allowed.example.org",
        "http://ALLOWED.example.org.:1",
    ],
)
def test_an_address_that_policy_allows(start: Callable[..., Server], url: str) -> None:
    backend = start(container_hosts=("allowed.example.org",))
    assert backend.get(f"/v1/pools/{backend.pool(container_url=url)}")["container_url"] == url
    assert backend.get(f"/v1/pools/{backend.pool(container_urls=[url])}")["container_urls"] == [url]


def test_a_policy_that_became_stricter_holds_for_old_pools(tmp_path: Path) -> None:
    with serve(tmp_path, container_hosts=("allowed.example.org",)) as backend:
        pool_id = backend.pool(container_url="http://allowed.example.org")
    with serve(tmp_path) as backend:
        path = f"/v1/pools/{pool_id}/container/health"
        backend.refused("GET", path, 403, "forbidden_container_url")
        rollout = backend.run(pool_id)
        assert rollout["error"]["code"] == "container_unreachable"
        assert rollout["error"]["details"]["cause"] == "forbidden_container_url"


@pytest.mark.parametrize(
    "urls",
    [
        "http://127.0.0.1:9",
        {"0": "http://127.0.0.1:9"},
        [["http://127.0.0.1:9"]],
        [{"url": "http://127.0.0.1:9"}],
        [None],
        [1],
        ["http://127.0.0.1:9/" + "x" * 2048],
        ["http://127.0.0.1:9"] * 1001,
    ],
)
def test_what_is_no_list_of_urls(server: Server, urls: object) -> None:
    root = f"/v1/pools/{server.pool()}"
    for method, path, body in (
        ("POST", "/v1/pools", {"name": "n", "container_urls": urls}),
        ("PUT", root, {"name": "n", "container_urls": urls}),
        ("PATCH", root, {"container_urls": urls}),
    ):
        server.refused(method, path, 422, "validation_failed", json=body)


def test_only_the_containers_that_are_still_allowed_are_called(tmp_path: Path) -> None:
    with odd_container(lambda _: http(200, {"status": "completed"})) as container:
        port = container.url.rpartition(":")[2]
        forbidden = f"http://allowed.example.org:{port}"
        with serve(tmp_path, container_hosts=("allowed.example.org",)) as backend:
            pool_id = backend.pool(container_urls=[forbidden, container.url])
        with serve(tmp_path, health_interval_seconds=0.05) as backend:
            containers = f"/v1/pools/{pool_id}/metrics"
            eventually(lambda: backend.get(containers)["containers"][0]["health"] == "unhealthy")
            assert "not allowed" in backend.get(containers)["containers"][0]["last_error"]
            for _ in range(3):
                assert backend.run(pool_id)["status"] == "completed"


def test_a_database_from_before_there_were_several(tmp_path: Path) -> None:
    # Then the field was one of the caller's own, with anything in it.
    odd = ["http://127.0.0.1:9", 5, None, "no url", {"a": 1}]
    with serve(tmp_path) as backend:
        pools = [backend.pool() for _ in range(2)]
    with contextlib.closing(sqlite3.connect(tmp_path / FILE_NAME)) as db:
        for pool_id, value in zip(pools, (odd, "text"), strict=True):
            definition = {"name": "n", "container_urls": value, "config": {"container_key_env": 1}}
            db.execute(
                "UPDATE pools SET definition = ? WHERE id = ?", (json.dumps(definition), pool_id)
            )
        db.commit()
    with serve(tmp_path, validate_responses=False) as backend:
        assert backend.get(f"/v1/pools/{pools[0]}")["container_urls"] == [odd[0], odd[3]]
        assert backend.run(pools[0])["error"]["code"] == "container_unreachable"
        assert backend.run(pools[1])["status"] == "completed"
