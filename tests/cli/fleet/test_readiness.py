"""A pool that cannot run rollouts, and failures, as `synth-pools run` describes them."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.conftest import Command
from tests.support.backend_server import KEY, Server
from tests.support.fault_server import FaultServer
from tests.support.faults import answer, stall
from tests.support.ports import HeldPort


@pytest.fixture
def server(start: Callable[..., Server]) -> Server:
    return start(allow_processes=True)


def at(server: Server) -> dict[str, str]:
    return {"SYNTH_BACKEND_URL": server.url, "SYNTH_API_KEY": KEY}


# Its second start ends with the status after which there is no third.
ENDS_TWICE = """
import pathlib, sys
print("no module named torch", flush=True)
before = pathlib.Path(sys.argv[2])
is_second = before.exists()
before.touch()
sys.exit(78 if is_second else 3)
"""


def test_a_pool_whose_process_ends_at_once_says_why(
    command: Command, server: Server, tmp_path: Path
) -> None:
    argv = [sys.executable, "-c", ENDS_TWICE, "{port}", str(tmp_path / "before")]
    pool = server.pool(config={"process": {"argv": argv, "start_timeout_seconds": 60}})
    done = command("run", pool, "--seeds", "0..1", **at(server))
    assert (done.returncode, done.stdout) == (1, "")
    assert "takes no more" not in done.stderr
    assert "no module named torch" in done.stderr
    assert "is failed: " in done.stderr
    # Each start of it ends alike, which is said once, if the pool has not failed by then.
    assert done.stderr.count("process 0 ended with 3: no module") <= 1
    assert done.stderr.count("process 0 ended with 78: no module") <= 1
    assert ".;" not in done.stderr
    assert f"next: synth-pools logs {pool}" in done.stderr
    # It is known by now.
    [line] = command("run", pool, "--seeds", "0..1", **at(server)).stderr.splitlines()
    assert "no module named torch" in line
    assert line.endswith(f"next: synth-pools logs {pool}")


def test_a_pool_is_waited_for_although_a_look_at_it_is_not_answered(command: Command) -> None:
    failed = {"id": "p", "status": "failed", "error": {"code": "c", "message": "no module"}}
    looks = [answer({**failed, "status": "warming"}), stall()]
    with FaultServer() as service:
        service.play(choose=lambda _: looks.pop(0) if looks else answer(failed))
        surroundings = {"SYNTH_BACKEND_URL": service.url, "SYNTH_API_KEY": KEY}
        done = command("run", "p", "--seeds", "0..1", **surroundings)
    assert (done.returncode, done.stdout) == (1, "")
    assert "no module" in done.stderr
    assert {request.method for request in service.requests} == {"GET"}


def test_each_failure_has_its_first_message(command: Command, server: Server) -> None:
    with HeldPort() as removed:
        url = f"http://127.0.0.1:{removed.number}"
        pool = server.pool(container_url=url)
        done = command("run", pool, "--seeds", "0..1", **at(server))
    [line] = [text for text in done.stdout.splitlines() if "container_unreachable" in text]
    assert line.split(maxsplit=2)[1:] == ["2", f"No container answered at {url}/rollouts."]
    assert "next:" not in done.stderr
    done = command(
        "run", server.pool(), "--seeds", "0..1", "--task", "nope", "-o", "json", **at(server)
    )
    summary = json.loads(done.stdout)
    assert summary["failures"] == {"task_not_found": 2}
    assert "nope" in summary["failure_messages"]["task_not_found"]
