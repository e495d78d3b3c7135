"""Which addresses containers may have, wherever one is named."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.local.serving import Server, serve

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
    "http://127.0.0.1\\@example.org",
    "http://127.0.0.1:0",
    "http://127.0.0.1:99999",
    "http://127.0.0.1:x",
    "http://[::1",
    "http://:80",
    "http:///path",
    "http://127.0.0.1/#fragment",
    "http://[fe80::1]:80",
    "http://[fe80::1%25eth0]:80",
    "http://[::1%25lo]:80",
    "http://[::ffff:169.254.169.254]",
    "http://[fd00:ec2::254]",
    "http://100.100.100.200",
    "http://0",
    "http://0177.0.0.1",
    "http://127.0.0.1%2eexample.org",
    "http://127.0.0.1%00.example.org",
]

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


def refused_everywhere(server: Server, url: str, status: int, code: str) -> None:
    pool_id = server.pool(tasks=[{"task_id": "t"}])
    root = f"/v1/pools/{pool_id}"
    own = {"container_url": url}
    for method, path, body in (
        ("POST", "/v1/pools", {"name": "n", **own}),
        ("POST", "/v1/pools", {"name": "n", "tasks": [{}, own]}),
        ("PUT", root, {"name": "n", **own}),
        ("PATCH", root, own),
        ("PATCH", root, {"tasks": [own]}),
        ("POST", f"{root}/tasks", own),
        ("PUT", f"{root}/tasks/t", own),
        ("PATCH", f"{root}/tasks/t", own),
    ):
        refused = server.refused(method, path, status, code, json=body)
        assert "password" not in str(refused["detail"]).replace("user name or password", "")
    assert server.get(root)["container_url"] is None


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
    own = start(container_hosts=("allowed.example.org",))
    assert own.get(f"/v1/pools/{own.pool(container_url=url)}")["container_url"] == url


def test_a_policy_that_became_stricter_holds_for_old_pools(tmp_path: Path) -> None:
    with serve(tmp_path, container_hosts=("allowed.example.org",)) as own:
        pool_id = own.pool(container_url="http://allowed.example.org")
    with serve(tmp_path) as own:
        path = f"/v1/pools/{pool_id}/container/health"
        own.refused("GET", path, 403, "forbidden_container_url")
        rollout = own.run(pool_id)
        assert rollout["error"]["code"] == "container_unreachable"
        assert rollout["error"]["details"]["cause"] == "forbidden_container_url"
