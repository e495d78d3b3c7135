"""`synth-pools logs`: the lines of a pool's processes, page after page."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synth_pools.local import LocalBackend
from tests.cli.conftest import Command
from tests.support.backend_server import KEY, Server
from tests.support.process_pools import healthy, until
from tests.support.recording import RecordingServer, Reply


def page(cursor: str, *texts: str, more: bool, truncated: bool = False) -> Reply:
    lines = [
        {"process": 0, "attempt": 2, "timestamp": "2026-01-01T10:00:00.123456Z", "text": text}
        for text in texts
    ]
    values = {"pool_id": "p", "processes": [], "lines": lines, "truncated": truncated}
    return Reply.json({**values, "next_cursor": cursor, "has_more": more})


def test_all_lines_that_are_kept(command: Command) -> None:
    def answer(request: Any) -> Reply:
        if ("cursor", "c1") in request.query:
            return page("c2", "last", more=False)
        return page("c1", "first", "\x1b[2Jsecond", more=True, truncated=True)

    with RecordingServer(answer) as server:
        done = command("logs", "p", "--process", "0", SYNTH_BACKEND_URL=server.url)
    assert (done.returncode, done.stderr) == (0, "earlier lines are kept no more\n")
    assert done.stdout.splitlines() == [
        "10:00:00.123  0.2  first",
        "10:00:00.123  0.2  \\x1b[2Jsecond",
        "10:00:00.123  0.2  last",
    ]
    assert all(("process", "0") in request.query for request in server.requests)


def test_a_pool_without_processes_has_none(command: Command, backend: LocalBackend) -> None:
    with backend.client() as client:
        pool = client.create_pool({"name": "silent"})["id"]
        done = command("logs", pool, "--json")
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
        client.delete_pool(pool)
    followed = command("logs", pool, "--follow")
    assert (followed.returncode, followed.stdout) == (0, "")
    assert command("logs", "no-such-pool").returncode == 3


@pytest.fixture
def server(start: Callable[..., Server]) -> Server:
    return start(allow_processes=True)


@pytest.fixture
def chatty_pool(server: Server, tmp_path: Path) -> str:
    """A pool of two processes that write a line for each rollout, and one beside it."""
    program = tmp_path / "chatty.py"
    program.write_text(
        "import json, sys, threading\n"
        "from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer\n"
        "class Handler(BaseHTTPRequestHandler):\n"
        "    def do_GET(self):\n"
        "        self.answer(200 if self.path == '/health' else 404, {})\n"
        "    def do_POST(self):\n"
        "        body = json.loads(self.rfile.read(int(self.headers['content-length'])))\n"
        "        print('seed', body['seed'], flush=True)\n"
        "        self.answer(200, {'status': 'completed', 'reward': 1})\n"
        "    def answer(self, status, document):\n"
        "        content = json.dumps(document).encode()\n"
        "        self.send_response(status)\n"
        "        self.send_header('content-length', str(len(content)))\n"
        "        self.end_headers()\n"
        "        self.wfile.write(content)\n"
        "    def log_message(self, *_):\n"
        "        pass\n"
        "print('beside', flush=True)\n"
        "ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()\n"
    )
    process = {"argv": [sys.executable, str(program), "{port}"]}
    pool_id = server.pool(capacity=2, config={"process": process})
    until(server, pool_id, "active")
    healthy(server, pool_id, 2)
    return pool_id


def test_lines_are_chosen(command: Command, server: Server, chatty_pool: str) -> None:
    for seed in range(4):
        assert server.run(chatty_pool, seed=seed)["status"] == "completed"
    at = {"SYNTH_BACKEND_URL": server.url, "SYNTH_API_KEY": KEY}

    def texts(done: subprocess.CompletedProcess[str]) -> list[str]:
        return [json.loads(line)["text"] for line in done.stdout.splitlines()]

    every = texts(command("logs", chatty_pool, "--json", **at))
    assert sorted(every) == ["beside"] * 2 + [f"seed {seed}" for seed in range(4)]
    words = ("logs", chatty_pool, "--json")
    assert texts(command(*words, "--tail", "2", **at)) == every[-2:]
    assert texts(command(*words, "--grep", "seed [12]", **at)) == ["seed 1", "seed 2"]
    assert texts(command(*words, "--grep", "seed", "--tail", "1", **at)) == ["seed 3"]
    assert texts(command(*words, "--since", "1h", **at)) == every
    assert texts(command(*words, "--since", "2999-01-01", **at)) == []
    for bad in (("--grep", "("), ("--since", "soon")):
        assert command(*words, *bad, **at).returncode == 2


def test_a_rollout_has_the_lines_that_its_container_wrote_meanwhile(
    command: Command, server: Server, chatty_pool: str
) -> None:
    rollouts = [server.run(chatty_pool, seed=seed) for seed in range(3)]
    at = {"SYNTH_BACKEND_URL": server.url, "SYNTH_API_KEY": KEY}
    done = command("rollouts", "logs", rollouts[1]["id"], "--grep", "seed 1", **at)
    assert (done.returncode, done.stdout.split()[2:]) == (0, ["seed", "1"])
    lines = command("rollouts", "logs", rollouts[0]["id"], **at).stdout
    assert "beside" not in lines
    assert "seed 0" in lines
    echo = server.run(server.pool())
    done = command("rollouts", "logs", echo["id"], **at)
    assert (done.returncode, done.stdout) == (0, "")
    assert "started no container" in done.stderr
