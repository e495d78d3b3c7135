"""Downloads of artifacts: names, ranges, conditions, and nothing that a browser would show."""

from __future__ import annotations

import contextlib
import hashlib
import io
import socket
import zipfile
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from tests.backend.artifacts.test_extraction import LARGE, items, run
from tests.support.backend_server import KEY, Server, eventually, serve
from tests.support.containers import http, odd_container

CONTENT = LARGE.encode()
SIZE = len(CONTENT)
ETAG = f'"{hashlib.sha256(CONTENT).hexdigest()}"'


@pytest.fixture(scope="module")
def large(server: Server) -> str:
    """Find the file of a large content."""
    return download_path(server, run(server, [{"name": "logs/out.txt", "content": LARGE}]))


def download_path(server: Server, rollout: dict[str, Any], number: int = 0) -> str:
    return str(items(server, rollout)[number]["download_url"]).removeprefix(server.url)


@pytest.mark.parametrize(
    ("range_header", "start", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=0-", 0, SIZE),
        ("bytes=5-9", 5, 10),
        (f"bytes=5-{SIZE - 1}", 5, SIZE),
        (f"bytes=5-{SIZE}", 5, SIZE),
        ("bytes=5-99999999999999999999", 5, SIZE),
        ("bytes=-1", SIZE - 1, SIZE),
        (f"bytes=-{SIZE}", 0, SIZE),
        (f"bytes=-{SIZE + 1}", 0, SIZE),
        (f"bytes={SIZE - 1}-", SIZE - 1, SIZE),
        ("Bytes = 5 - 9", 5, 10),
    ],
)
def test_a_range(server: Server, large: str, range_header: str, start: int, end: int) -> None:
    response = server.send("GET", large, headers={"range": range_header})
    assert response.status_code == 206
    assert response.content == CONTENT[start:end]
    assert response.headers["content-range"] == f"bytes {start}-{end - 1}/{SIZE}"
    assert response.headers["content-length"] == str(end - start)
    assert response.headers["etag"] == ETAG


@pytest.mark.parametrize("range_header", [f"bytes={SIZE}-", f"bytes={SIZE}-{SIZE + 5}", "bytes=-0"])
def test_a_range_beyond_the_end(server: Server, large: str, range_header: str) -> None:
    server.refused("GET", large, 416, "range_not_satisfiable", headers={"range": range_header})
    response = server.send("GET", large, headers={"range": range_header})
    assert response.headers["content-range"] == f"bytes */{SIZE}"


@pytest.mark.parametrize(
    "range_header",
    [
        "bytes=9-5",
        "bytes=-",
        "bytes=",
        "bytes=a-b",
        "bytes=0-1,5-6",
        "items=0-1",
        "0-1",
        "bytes=+1-2",
    ]
    + ["bytes=1.5-2", "bytes=0-1,", "bytes=--1", "junk"],
)
def test_what_is_no_range_or_several_gets_the_whole(
    server: Server, large: str, range_header: str
) -> None:
    response = server.send("GET", large, headers={"range": range_header})
    assert (response.status_code, response.content) == (200, CONTENT)
    assert "content-range" not in response.headers


@pytest.mark.parametrize(
    ("tag", "status"),
    [(ETAG, 206), ('"other"', 200), (f"W/{ETAG}", 200), ("Wed, 21 Oct 2015 07:28:00 GMT", 200)],
)
def test_a_range_of_a_content_that_may_have_changed(
    server: Server, large: str, tag: str, status: int
) -> None:
    response = server.send("GET", large, headers={"range": "bytes=5-9", "if-range": tag})
    assert response.status_code == status
    assert response.content == (CONTENT[5:10] if status == 206 else CONTENT)
    # A range that does not count is not beyond the end.
    beyond = {"range": f"bytes={SIZE}-", "if-range": tag}
    assert server.send("GET", large, headers=beyond).status_code == (416 if status == 206 else 200)


@pytest.mark.parametrize(
    ("tags", "status"),
    [
        (ETAG, 304),
        (f"W/{ETAG}", 304),
        (f'"a", {ETAG},"b"', 304),
        ("*", 304),
        ('"other"', 200),
        (ETAG.strip('"'), 200),
        ("junk", 200),
    ],
)
def test_a_content_that_is_known(server: Server, large: str, tags: str, status: int) -> None:
    headers = {"if-none-match": tags, "range": "bytes=0-3"}
    response = server.send("GET", large, headers=headers)
    assert response.status_code == (206 if status == 200 else status)
    assert response.content == (CONTENT[:4] if status == 200 else b"")
    assert response.headers["etag"] == ETAG


def test_known_contents_may_come_in_several_headers(server: Server, large: str) -> None:
    headers = [("if-none-match", '"other"'), ("if-none-match", ETAG)]
    assert server.send("GET", large, headers=headers).status_code == 304


def test_an_empty_content(server: Server) -> None:
    path = download_path(server, run(server, [{"name": "empty"}]))
    response = server.send("GET", path)
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == "0"
    for range_header in ("bytes=0-", "bytes=-5"):
        server.refused("GET", path, 416, "range_not_satisfiable", headers={"range": range_header})


@pytest.mark.parametrize(
    ("name", "disposition"),
    [
        ("a/page.html", "attachment; filename=\"page.html\"; filename*=UTF-8''page.html"),
        (
            'q"uo;te\r\nx: y',
            "attachment; filename=\"q_uo_te__x_ y\"; filename*=UTF-8''q_uo%3Bte__x_%20y",
        ),
        ("é.svg", "attachment; filename=\"_.svg\"; filename*=UTF-8''%C3%A9.svg"),
    ],
)
def test_no_browser_shows_it(server: Server, name: str, disposition: str) -> None:
    page = {"name": name, "content": "<script>alert(1)</script>", "content_type": "text/html"}
    rollout = run(server, [page])
    assert items(server, rollout)[0]["content_type"] == "text/html"
    response = server.send("GET", download_path(server, rollout))
    assert response.text == page["content"]
    headers = response.headers
    assert headers["content-type"] == "application/octet-stream"
    assert headers["content-disposition"] == disposition
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert "set-cookie" not in headers


def test_slashes_as_they_are_or_encoded(server: Server) -> None:
    rollout = run(server, [{"name": "a/b c/é%.txt", "content": "found"}, {"name": "a%2Fx"}])
    base = f"/v1/rollouts/{rollout['id']}/artifacts/"
    for path in ("a/b c/é_.txt", "a%2Fb%20c%2F%C3%A9_.txt", "a/b%20c%2f%c3%a9_.txt"):
        assert server.send("GET", base + path).text == "found"
    assert server.send("GET", base + "a_2Fx").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "missing.txt",
        "A.txt",
        "a.txt/",
        "/a.txt",
        "./a.txt",
        "a.txt%00",
        "..%2fa.txt",
        "%2e%2e%2f%2e%2e%2fapi-key",
        "../../../api-key",
        "..%5c..%5capi-key",
        "%2fetc%2fpasswd",
        "/etc/passwd",
        "C:%5Cwindows",
        "%252e%252e%252fapi-key",
        "a.txt?x=/../../..",
        "x" * 1024,
        quote("😀" * 100),
        "artifact_00000000000000000000000000000000",
    ],
)
def test_what_is_not_there_and_ways_out(server: Server, path: str) -> None:
    rollout = run(server, [{"name": "a.txt", "content": "x"}, {"name": "b", "content": LARGE}])
    target = f"/v1/rollouts/{rollout['id']}/artifacts/{path}"
    status, body = raw_get(server, target)
    if path == "a.txt?x=/../../..":
        assert (status, body) == (200, b"x")
    else:
        assert status == 404
        assert b'not_found"' in body


@pytest.mark.parametrize(("path", "status"), [("x" * 1025, 422), ("%ff%fe", 404), ("", 404)])
def test_no_path_at_all(server: Server, path: str, status: int) -> None:
    rollout = run(server, [{"name": "a.txt"}])
    assert raw_get(server, f"/v1/rollouts/{rollout['id']}/artifacts/{path}")[0] == status


def raw_get(server: Server, target: str) -> tuple[int, bytes]:
    """With a target that no client of HTTP has tidied up."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        head = f"GET {target} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n"
        connection.sendall(head.encode() + b"Connection: close\r\n\r\n")
        data = b"".join(iter(lambda: connection.recv(65536), b""))
    first, _, body = data.partition(b"\r\n\r\n")
    return int(first.split(b" ")[1]), body


def test_who_may_not_and_what_is_not_there(server: Server, large: str) -> None:
    unknown = "/v1/rollouts/rollout_nowhere"
    for path in ("artifacts/x", "artifacts.zip", "support_bundle"):
        server.refused("GET", f"{unknown}/{path}", 404, "rollout_not_found")
        with httpx.Client(base_url=server.url, trust_env=False) as stranger:
            assert stranger.get(f"{unknown}/{path}").status_code == 401
    with httpx.Client(base_url=server.url, trust_env=False) as stranger:
        assert stranger.get(large).status_code == 401
    server.refused("DELETE", large, 405, "method_not_allowed")


def test_all_in_one_archive(server: Server) -> None:
    original = [
        {"name": "../../up.txt", "content": LARGE},
        {"name": "up.txt", "content": "small"},
        {"name": "C:\\dir\\é.bin", "content": "AAEC", "encoding": "base64"},
        {"name": "a", "content": "file"},
        {"name": "a/b", "content": {"json": 1}},
        {"name": "empty"},
    ]
    rollout = run(server, original)
    response = server.send("GET", f"/v1/rollouts/{rollout['id']}/artifacts.zip")
    assert response.headers["content-type"] == "application/zip"
    assert response.headers["content-disposition"].startswith("attachment; ")
    with zipfile.ZipFile(io.BytesIO(response.content)) as archive:
        assert archive.testzip() is None
        names = [item["path"] for item in items(server, rollout)]
        assert archive.namelist() == names
        assert names == ["up.txt", "up-2.txt", "dir/é.bin", "a", "a_b", "empty"]
        contents = [archive.read(name) for name in names]
    assert contents == [LARGE.encode(), b"small", b"\x00\x01\x02", b"file", b'{"json":1}', b""]


def test_an_archive_of_nothing(server: Server) -> None:
    running = server.rollout(server.pool(), env={"delay": 60})["id"]
    content = server.send("GET", f"/v1/rollouts/{running}/artifacts.zip").content
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.namelist() == []


@pytest.fixture(scope="module")
def huge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, str]]:
    """A content that no socket takes at once, on a backend of its own that gives up early."""
    body = {"reward": 1, "artifact": [{"name": "huge", "content": "0123456789abcdef" * (1 << 20)}]}
    with (
        serve(tmp_path_factory.mktemp("huge"), write_timeout_seconds=3) as server,
        odd_container(lambda _: http(200, body)) as container,
    ):
        yield server, download_path(server, server.run(server.pool(container_url=container.url)))


def test_a_reader_that_does_not_read_is_dropped_and_holds_up_nobody(
    huge: tuple[Server, str],
) -> None:
    server, path = huge
    with socket.create_connection(("127.0.0.1", server.port), timeout=60) as connection:
        head = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\r\n"
        connection.sendall(head.encode())
        assert connection.recv(12) == b"HTTP/1.1 200"
        assert server.get("/v1/capabilities")
        assert server.holds(connection), "whoever holds all up is dropped first"
        eventually(lambda: not server.holds(connection))
        received = 0
        with contextlib.suppress(ConnectionResetError):
            while chunk := connection.recv(1 << 20):
                received += len(chunk)
        assert received < 16 << 20


def test_who_leaves_early_leaves_nothing_behind(huge: tuple[Server, str]) -> None:
    server, path = huge
    for _ in range(20):
        with server.http.stream("GET", path) as response:
            assert next(response.iter_raw(1000))
    response = server.send("GET", path)
    assert len(response.content) == 16 << 20
    assert f'"{hashlib.sha256(response.content).hexdigest()}"' == response.headers["etag"]
