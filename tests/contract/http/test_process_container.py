"""The container that a backend starts as a process, run as one and in this process."""

from __future__ import annotations

import contextlib
import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any, NoReturn

import httpx
import pytest

from synth_pools.contract.harness.processes import KitProcess, KitProcesses
from synth_pools.contract.http import process_container
from synth_pools.contract.http.process_container import ERROR_HELLO, HELLO
from tests.support.ports import HeldPort

# Certificates are not read, to start quickly; retry while a server is about to listen.
_HTTP = httpx.Client(transport=httpx.HTTPTransport(retries=10, verify=False), timeout=60)
_FILE = str(Path(process_container.__file__).resolve())


class _EndedError(Exception):
    """Raised to end a thread in place of this process."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a thread that was ended."""


class _Kit(KitProcesses):
    """The kit, with a wait for connections."""

    def wait_for(self, number: int) -> list[KitProcess]:
        """Wait until this number of processes and children runs."""
        pause, until = threading.Event(), time.monotonic() + 30
        while len(self.running()) < number:
            assert time.monotonic() < until, "they do not come"
            pause.wait(0.01)
        return self.running()


@pytest.fixture
def kit() -> Iterator[_Kit]:
    with _Kit() as started:
        yield started


@pytest.fixture
def container() -> Iterator[str]:
    process_container._Handler.finished.clear()
    server = _Server(("127.0.0.1", 0), process_container._Handler)
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def ends(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Exit statuses asked for; each ends the asking thread, not this process."""
    codes: list[int] = []

    def leave(code: int) -> NoReturn:
        codes.append(code)
        raise _EndedError

    monkeypatch.setattr(os, "_exit", leave)
    return codes


@pytest.fixture
def port() -> Iterator[int]:
    with HeldPort() as reserved:
        yield reserved.number


def _serve() -> None:
    with contextlib.suppress(_EndedError):
        process_container._serve()


def _run(container: str, **body: Any) -> httpx.Response:
    return _HTTP.post(f"{container}/rollouts", json=body)


def test_it_is_healthy_and_knows_no_other_path(container: str) -> None:
    health = _HTTP.get(f"{container}/health")
    assert (health.status_code, health.headers["content-type"]) == (200, "application/json")
    assert health.json() == {"status": "ok", "contract_version": "2026-05-28", "healthy": True}
    unknown = _HTTP.get(f"{container}/info")
    assert (unknown.status_code, unknown.json()) == (404, {})


def test_a_rollout_writes_and_tells_what_it_is_asked_for(
    container: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    written = io.StringIO()
    monkeypatch.setattr(sys, "stdout", written)
    monkeypatch.setenv("KIT_TEXT", "Grüße")
    env = {"lines": ["one", "two"], "many": 2, "width": 3}
    answer = _run(container, rollout_id="r", env=env)
    assert answer.status_code == 200
    assert answer.json() == {
        "rollout_id": "r",
        "status": "completed",
        "success_status": "success",
        "metrics": {"outcome_reward": 1.0},
        "pid": os.getpid(),
        "text": "Grüße",
    }
    assert written.getvalue() == "one\ntwo\nline 0 xxx\nline 1 xxx\n"
    _run(container, rollout_id="r", env={"many": 1})
    assert written.getvalue().endswith("line 1 xxx\nline 0 \n")
    # Without a body it asks for nothing.
    assert _HTTP.post(f"{container}/rollouts").json()["rollout_id"] is None


def test_a_slow_rollout_ends_when_it_is_terminated(container: str) -> None:
    assert _run(container, rollout_id="a/b", env={"delay": 0.01}).status_code == 200
    answers: list[httpx.Response] = []
    slow = threading.Thread(
        target=lambda: answers.append(_run(container, rollout_id="slow", env={"delay": 600}))
    )
    slow.start()
    while "slow" not in process_container._Handler.finished:
        slow.join(0.01)
    _HTTP.post(f"{container}/rollouts/other/terminate")
    slow.join(0.1)
    assert slow.is_alive()
    terminated = _HTTP.post(f"{container}/rollouts/slow/terminate")
    assert (terminated.status_code, terminated.json()) == (200, {"status": "terminated"})
    slow.join(30)
    assert answers[0].json()["rollout_id"] == "slow"


def test_a_rollout_may_end_the_process(container: str, ends: list[int]) -> None:
    with pytest.raises(httpx.HTTPError):
        _run(container, env={"die": True})
    assert ends == [3]


@pytest.mark.parametrize("order", ["listen", "exit"])
def test_it_tells_the_kit_of_itself_and_does_as_it_is_told(
    order: str,
    kit: _Kit,
    port: int,
    ends: list[int],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    kit.order = "wait"
    argv = [
        str(port) if word == "{port}" else word for word in kit.definition("--more", "1")["argv"]
    ]
    monkeypatch.setattr(sys, "argv", argv[2:])
    monkeypatch.setenv("KIT_PORT", str(port))
    monkeypatch.setenv("KIT_OTHER", "private")
    monkeypatch.setenv("ENVIRONMENT_API_KEY", "key")
    for name in ("PORT", "KIT_TEXT", "KIT_JSON"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    serving = threading.Thread(target=_serve, daemon=True)
    serving.start()
    kit.wait_for(2)
    (process,) = kit.started()
    assert process.hello == {
        "pid": os.getpid(),
        "argv": argv[3:],
        "env": {"KIT_PORT": str(port), "PATH": os.environ["PATH"]},
        "cwd": str(tmp_path),
        "has_key": True,
    }
    (child,) = [candidate for candidate in kit.running() if "child_of" in candidate.hello]
    assert child.hello == {"child_of": os.getpid()}
    assert serving.is_alive()
    kit.tell(order)
    if order == "listen":
        url = f"http://127.0.0.1:{port}/health"
        assert _HTTP.get(url).json()["healthy"] is True
        assert ends == []
    else:
        serving.join(30)
        assert ends == [3]
    kit.__exit__()
    serving.join(30)
    child.exited.wait(30)
    assert not serving.is_alive()
    assert ends == ([0] if order == "listen" else [3])
    written = capsys.readouterr()
    farewell = "kit: asked to end\n" if order == "exit" else ""
    assert (written.out, written.err) == (f"{HELLO}\n{farewell}", f"{ERROR_HELLO}\n")


def test_a_child_tells_whose_it_is_and_lives_as_long_as_the_kit(
    kit: _Kit, ends: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    number = str(kit._listener.getsockname()[1])
    monkeypatch.setattr(sys, "argv", [_FILE, "--kit", number, "--child-of", "77"])
    child = threading.Thread(target=_serve, daemon=True)
    child.start()
    (started,) = kit.wait_for(1)
    assert started.hello == {"child_of": 77}
    # It takes no orders.
    started.connection.sendall(b"exit\n")
    child.join(0.1)
    assert child.is_alive()
    kit.__exit__()
    child.join(30)
    assert ends == [0]


def test_as_a_process_it_ends_with_the_kit(kit: _Kit, port: int) -> None:
    argv = [str(port) if word == "{port}" else word for word in kit.definition()["argv"]]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        both = kit.wait_for(2)
        kit.__exit__()
        for connected in both:
            assert connected.exited.wait(30)
        out, err = process.communicate(timeout=60)
    assert process.returncode == 0
    assert (out, err) == (f"{HELLO}\n".encode(), f"{ERROR_HELLO}\n".encode())
