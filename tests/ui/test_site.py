"""The page's own paths, as a backend serves them."""

from __future__ import annotations

import gzip

import httpx
import pytest

from synth_pools.ui.assets import load_assets
from tests.support.backend_server import Server


@pytest.mark.parametrize("path", ["/", "/ui"])
def test_the_root_leads_to_the_page(server: Server, path: str) -> None:
    answer = httpx.get(server.url + path)
    assert (answer.status_code, answer.headers["location"]) == (307, "/ui/")


@pytest.mark.parametrize("name", sorted(load_assets({})))
def test_every_file_is_there_for_everybody(server: Server, name: str) -> None:
    content = load_assets({})[name].content
    url = f"{server.url}/ui/{'' if name == 'index.html' else name}"
    with httpx.Client() as client:
        answer = client.get(url, headers={"accept-encoding": "gzip"})
        assert answer.status_code == 200
        assert answer.headers["content-encoding"] == "gzip"
        assert answer.content == content
        plain = client.get(url, headers={"accept-encoding": "identity"})
        assert "content-encoding" not in plain.headers
        assert plain.content == content
        again = client.get(url, headers={"if-none-match": f'"x", {answer.headers["etag"]}'})
        assert (again.status_code, again.content) == (304, b"")
        head = client.head(url)
        assert (head.status_code, head.content) == (200, b"")


def test_a_page_that_is_sent_is_worth_its_compression() -> None:
    for asset in load_assets({}).values():
        assert gzip.decompress(asset.compressed) == asset.content
        assert len(asset.compressed) < len(asset.content)


@pytest.mark.parametrize("path", ["/", "/ui/", "/ui/app.js", "/ui/nothing", "/ui/session"])
def test_every_response_of_the_page_has_its_policy(server: Server, path: str) -> None:
    headers = httpx.get(server.url + path).headers
    policy = dict(
        item.strip().partition(" ")[::2] for item in headers["content-security-policy"].split(";")
    )
    assert policy.pop("default-src") == "'none'"
    assert policy.pop("require-trusted-types-for") == "'script'"
    assert set(policy.values()) == {"'self'", "'none'"}
    assert policy["frame-ancestors"] == "'none'"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cross-origin-resource-policy"] == "same-origin"
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/ui/nothing.js", 404),
        ("GET", "/ui/../openapi.yaml", 404),
        ("GET", "/ui/%2e%2e/assets.py", 404),
        ("GET", "/ui/vendor/manifest.json", 404),
        ("POST", "/ui/", 405),
        ("PUT", "/ui/app.js", 405),
        ("GET", "/ui/session", 405),
    ],
)
def test_there_is_nothing_else(server: Server, method: str, path: str, status: int) -> None:
    with httpx.Client(base_url=server.url) as client:
        request = client.build_request(method, "/")
        request.url = request.url.copy_with(raw_path=path.encode())
        assert client.send(request).status_code == status


def test_no_other_name_of_this_machine_serves_it(server: Server) -> None:
    answer = httpx.get(f"{server.url}/ui/", headers={"host": "evil.example"})
    assert answer.status_code == 403
    assert "<html" not in answer.text
