"""`synth-pools logs`: the lines of a pool's processes, page after page."""

from __future__ import annotations

from typing import Any

from synth_pools.local import LocalBackend
from tests.cli.conftest import Command
from tests.support.recording import RecordingServer, Reply


def page(cursor: str, *texts: str, more: bool, dropped: int = 0) -> Reply:
    lines = [
        {"process": 0, "attempt": 2, "timestamp": "2026-01-01T10:00:00.123456Z", "text": text}
        for text in texts
    ]
    values: dict[str, Any] = {"pool_id": "p", "processes": [], "lines": lines, "dropped": dropped}
    return Reply.json({**values, "next_cursor": cursor, "has_more": more})


def test_all_lines_that_are_kept(command: Command) -> None:
    def answer(request: Any) -> Reply:
        if ("cursor", "c1") in request.query:
            return page("c2", "last", more=False)
        return page("c1", "first", "\x1b[2Jsecond", more=True, dropped=3)

    with RecordingServer(answer) as server:
        done = command("logs", "p", "--process", "0", SYNTH_BACKEND_URL=server.url)
    assert (done.returncode, done.stderr) == (0, "3 lines are kept no more\n")
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
