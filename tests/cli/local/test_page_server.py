"""The server that brings the page to any backend, and to a journal alone."""

from __future__ import annotations

import http.client
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import httpx
import pytest

from synth_pools.cli.local.page_server import PageServer
from synth_pools.local import LocalBackend
from synth_pools.ui.sessions import TOKEN_HEADER
from tests.support.backend_server import read_events
from tests.support.commands import run_command


def logged_in(server: PageServer) -> httpx.Client:
    client = httpx.Client(base_url=server.url, timeout=60, trust_env=False)
    link = server.login_url().partition("=")[2]
    answer = client.post("/ui/session", json={"link": link})
    assert answer.status_code == 200
    client.headers[TOKEN_HEADER] = answer.json()["token"]
    return client


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[LocalBackend]:
    with LocalBackend(tmp_path / "data") as backend:
        yield backend


@pytest.fixture
def page_server(backend: LocalBackend) -> Iterator[PageServer]:
    with PageServer.for_backend(f"{backend.url}/v1/", backend.api_key) as server:
        yield server


def test_a_backend_is_asked_with_the_key_that_the_browser_never_has(
    page_server: PageServer, backend: LocalBackend
) -> None:
    with closing(logged_in(page_server)) as client:
        index = client.get("/ui/").text
        assert f'<meta name="url" content="{backend.url}">' in index
        created = client.post("/v1/pools", json={"name": "made", "pool_id": "a.b"})
        assert created.status_code == 201
        request = {"env": {"events": 3, "delay": 0.1}}
        rollout = client.post("/v1/pools/a%2Eb/rollouts", json=request).json()
        with client.stream("GET", f"/v1/rollouts/{rollout['id']}/events") as stream:
            events = read_events("".join(stream.iter_text()))
        assert events[-1]["event"] == "rollout.completed"
        path = client.get(f"/v1/rollouts/{rollout['id']}/artifacts").json()["items"][0]["path"]
        part = client.get(
            f"/v1/rollouts/{rollout['id']}/artifacts/{path}", headers={"range": "bytes=0-3"}
        )
        assert (part.status_code, len(part.content)) == (206, 4)
        assert client.head("/v1/pools").status_code == 405
        missing = client.get("/v1/pools/none")
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "pool_not_found")
        text = repr([client.cookies, client.headers, created.headers, index])
    assert backend.api_key not in text + repr(vars(page_server))


@pytest.mark.parametrize(
    ("target", "headers", "status"),
    [
        ("/v1/pools", {}, 401),
        ("/v1/pools", {TOKEN_HEADER: "x"}, 401),
        ("/health", {}, 404),
        ("/v1/../metrics", {}, 400),
        ("/v1/%2e%2e/metrics", {}, 400),
        ("/ui/", {"host": "evil.example"}, 403),
        ("/ui/", {"host": "127.0.0.1.evil.example"}, 403),
        ("/ui/", {"transfer-encoding": "chunked"}, 400),
        ("/ui/", {"content-length": "99999999999"}, 413),
        ("/ui/", {"content-length": "many"}, 413),
    ],
)
def test_nobody_else_gets_anything(
    page_server: PageServer, target: str, headers: dict[str, str], status: int
) -> None:
    # Not httpx: it sends no head that lies about the body.
    address = httpx.URL(page_server.url)
    with closing(http.client.HTTPConnection("127.0.0.1", address.port, timeout=60)) as connection:
        connection.putrequest("GET", target, skip_host="host" in headers)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        assert answer.status == status
        assert json.loads(answer.read())["error"]["message"]


def test_a_backend_that_is_away_is_told_as_that(backend: LocalBackend) -> None:
    with PageServer.for_backend(backend.url, backend.api_key) as server:
        client = logged_in(server)
        backend.stop()
        answer = client.get("/v1/pools")
        client.close()
        backend.start()
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "bad_gateway")


@pytest.mark.parametrize("url", ["", "127.0.0.1:8080", "ftp://x", "http://"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="no URL"):
        PageServer.for_backend(url, "sk")


@pytest.fixture
def journal(backend: LocalBackend, tmp_path: Path) -> Path:
    path = tmp_path / "run.jsonl"
    with backend.client() as client:
        pool = client.create_pool({"pool_id": "ran", "name": "ran"})["id"]
        requests: list[dict[str, Any]] = [
            {"seed": seed, "env": {"reward": seed / 10, "fail": seed == 3}} for seed in range(5)
        ]
        assert len(list(client.rollouts.run_many(pool, requests, journal=path))) == 5
    return path


def test_a_journal_is_shown_without_a_backend(journal: Path) -> None:
    with PageServer.for_journal(journal) as server, closing(logged_in(server)) as client:
        assert '<meta name="journal" content="run.jsonl">' in client.get("/ui/").text
        [pool] = client.get("/v1/pools").json()["items"]
        assert pool["id"] == "ran"
        first = client.get("/v1/pools/ran/rollouts?limit=2").json()
        assert len(first["items"]) == 2
        second = client.get(f"/v1/rollouts?limit=100&cursor={first['next_cursor']}").json()
        assert second["next_cursor"] is None
        results = [*first["items"], *second["items"]]
        assert sorted(rollout["request"]["seed"] for rollout in results) == [0, 1, 2, 3, 4]
        failed = client.get("/v1/rollouts?state=failed").json()["items"]
        assert [rollout["request"]["seed"] for rollout in failed] == [3]
        item = client.get(f"/v1/rollouts/{results[0]['id']}").json()
        assert item == results[0]
        assert client.get("/v1/rollouts/none").status_code == 404
        assert client.get("/v1/pools/other/rollouts").status_code == 404
        assert client.post("/v1/pools", json={"name": "x"}).status_code == 405


def test_what_is_added_to_a_journal_is_shown_once_its_line_is_whole(
    journal: Path, tmp_path: Path
) -> None:
    lines = journal.read_bytes().splitlines(keepends=True)
    growing = tmp_path / "growing.jsonl"
    growing.write_bytes(b"".join(lines[:2]))
    with PageServer.for_journal(growing) as server, closing(logged_in(server)) as client:

        def states() -> list[str]:
            items = client.get("/v1/rollouts").json()["items"]
            return sorted(item["status"] for item in items)

        before = len(states())
        with growing.open("ab") as file:
            file.write(b"".join(lines[2:])[:-5])
            file.flush()
            assert len(states()) >= before
            file.write(b"".join(lines[2:])[-5:])
        assert states() == ["completed"] * 4 + ["failed"]


@pytest.mark.parametrize("content", [b"", b"{}\n", b"not one\n", b'{"synth_pools_journal":1'])
def test_what_is_no_journal_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    done = run_command("ui", str(path), "--no-open")
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1
    assert str(path) in done.stderr
    missing = run_command("ui", str(tmp_path / "missing"), "--no-open")
    assert (missing.returncode, missing.stderr.count("\n")) == (2, 1)


def test_the_command_serves_until_it_is_stopped(journal: Path) -> None:
    command = [sys.executable, "-m", "synth_pools.cli", "ui", str(journal), "--no-open"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        match = re.search(r"(http://\S+)/ui/#login=(\S+)", line)
        assert match, line
        answer = httpx.post(f"{match[1]}/ui/session", json={"link": match[2]}, trust_env=False)
        assert answer.status_code == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


def test_a_machine_without_a_browser_gets_one_line(journal: Path, tmp_path: Path) -> None:
    opener = tmp_path / "xdg-open"
    opener.write_text("#!/bin/sh\nfor try in 1 2 3; do echo no browser $try >&2; done\n")
    opener.chmod(0o755)
    hidden = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    variables = {key: value for key, value in os.environ.items() if key not in hidden}
    command = [sys.executable, "-m", "synth_pools.cli", "ui", str(journal)]
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**variables, "PATH": f"{tmp_path}{os.pathsep}{variables['PATH']}"},
    ) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert re.match(r"Open http://\S+/ui/#login=\S+ in a browser, there is none here", line)
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == ""
        assert process.wait(30) == 0
