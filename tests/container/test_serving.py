"""Containers in processes of their own: addresses, signals and failed starts."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from synth_pools.container import Container
from synth_pools.container.ends import describe_setup
from synth_pools.container.serving import listen
from synth_pools.serving import address_of
from tests.support import sdk_container
from tests.support.backend_server import eventually

FILE = str(Path(sdk_container.__file__))
COMMAND = [sys.executable, "-m", "synth_pools.container"]


@contextmanager
def process(*words: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    running = subprocess.Popen(
        [*COMMAND, *words],
        env={**os.environ, **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        yield running
    finally:
        running.kill()
        running.communicate(timeout=60)


@contextmanager
def serving(**variables: str) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    with process(FILE, PORT="0", **variables) as running:
        assert running.stdout is not None
        name, _, url = running.stdout.readline().strip().partition(": ")
        assert name == "sdk"
        with httpx.Client(base_url=url, trust_env=False) as http:
            yield running, http


def submit(http: httpx.Client, rollout_id: str, **env: Any) -> None:
    body = {"rollout_id": rollout_id, "submission_mode": "async", "seed": 1, "env": env}
    http.post("/rollouts", json=body)
    eventually(lambda: http.get(f"/rollouts/{rollout_id}").json()["status"] == "running")


def test_a_signal_lets_rollouts_end_and_their_answers_be_read(tmp_path: Path) -> None:
    with serving(READ_SECONDS="60") as (running, http):
        submit(http, "a", until=str(tmp_path / "go"))
        running.send_signal(signal.SIGTERM)
        eventually(lambda: http.get("/health").status_code == 503)
        assert http.post("/rollouts", json={"rollout_id": "b"}).status_code == 503
        assert running.poll() is None
        (tmp_path / "go").touch()
        answer = eventually(lambda: read_end(http, "a"))
        assert answer["metrics"]["outcome_reward"] == 1
        assert running.wait(60) == 0


def test_what_was_cancelled_is_read_after_a_signal_too() -> None:
    with serving(READ_SECONDS="60") as (running, http):
        submit(http, "a", kind="sleep")
        http.post("/rollouts/a/terminate")
        # The answer to its submission is lost: a pool has closed the connection.
        assert http.post("/rollouts", json={"rollout_id": "a"}).json()["status"] == "cancelled"
        running.send_signal(signal.SIGTERM)
        eventually(lambda: http.get("/health").status_code == 503)
        assert read_end(http, "a")["status"] == "cancelled"
        assert running.wait(60) == 0


def read_end(http: httpx.Client, rollout_id: str) -> Any:
    answer = http.get(f"/rollouts/{rollout_id}").json()
    return None if answer["status"] == "running" else answer


@pytest.mark.parametrize("kind", ["sleep", "block"])
def test_a_second_signal_ends_it(kind: str) -> None:
    with serving() as (running, http):
        submit(http, "a", kind=kind)
        running.send_signal(signal.SIGINT)
        eventually(lambda: http.get("/health").status_code == 503)
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 0


def test_calls_in_threads_that_hang_keep_neither_others_nor_the_end_waiting() -> None:
    with serving() as (running, http):
        # More than an executor of the event loop has threads.
        for number in range(40):
            submit(http, f"hangs-{number}", kind="thread")
            http.post(f"/rollouts/hangs-{number}/terminate")
        env = {"kind": "thread", "seconds": 0}
        body = {"rollout_id": "plays", "seed": 1, "env": env}
        played = http.post("/rollouts", json=body, timeout=60).json()
        assert played["metrics"]["outcome_reward"] == 1
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 0


def test_it_listens_where_the_pool_says(tmp_path: Path) -> None:
    path = str(tmp_path / "socket")
    with process(FILE, SOCKET=path):
        transport = httpx.HTTPTransport(uds=path)
        with httpx.Client(transport=transport, base_url="http://container") as http:

            def answers() -> bool:
                # The socket has a name before it listens.
                with contextlib.suppress(httpx.TransportError):
                    return http.get("/health", timeout=60).status_code == 200
                return False

            eventually(answers)


def test_without_a_port_it_is_9000() -> None:
    # Another program of this machine may have it.
    try:
        with listen(None, None, {}) as listener:
            assert address_of(listener) == "http://127.0.0.1:9000"
    except OSError as error:
        assert "port 9000 of 127.0.0.1" in str(error)


def output_of(*words: str, **variables: str) -> tuple[int, str]:
    with process(*words, **variables) as running:
        output, _ = running.communicate(timeout=60)
        return running.returncode, output


def test_a_body_does_not_wait_until_its_head_is_acknowledged() -> None:
    with (
        listen("127.0.0.1", 0, {}) as listener,
        socket.create_connection(listener.getsockname(), timeout=60),
        listener.accept()[0] as connection,
    ):
        assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


def test_a_container_that_cannot_start_says_why_and_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = str(listener.getsockname()[1])
        code, output = output_of(FILE, "--port", port)
    assert code == 1
    assert output.startswith(f"Nothing can listen at port {port} of 127.0.0.1: Address already")
    assert "port many of 127.0.0.1: invalid literal" in output_of(FILE, PORT="many")[1]
    for number in (-1, 65536):
        with pytest.raises(OSError, match=rf"port {number} of 127\.0\.0\.1: .*0-65535"):
            listen(None, number, {})
    file = tmp_path / "two.py"
    begin = "from synth_pools.container import Container\n"
    file.write_text(f"{begin}a = Container('a')\nb = Container('b')\n")
    assert "not one container, but: a, b" in output_of(str(file))[1]
    message = f"{file} has no container 'c', but: a, b. Choose with --name.\n"
    assert output_of(str(file), "--name", "c") == (1, message)
    assert "Container 'a' has no function" in output_of(str(file), "--name", "a")[1].replace(
        "container", "Container"
    )
    file.write_text(
        f"{begin}a = Container('a', tasks=lambda: open('/nothing'))\na.rollout(print)\n"
    )
    code, output = output_of(str(file))
    # No pool starts it again.
    assert code == 78
    last = output.splitlines()[-1]
    assert last.startswith(f"The container cannot start. {file}, line 2: FileNotFoundError: ")
    assert last.endswith("'/nothing'")
    file.write_text("def play(:\n    pass\n")
    code, output = output_of(str(file))
    assert (code, output.splitlines()[-1]) == (
        78,
        f"The container cannot start. {file}, line 1: SyntaxError: invalid syntax",
    )
    assert "importlib" not in output
    missing = str(tmp_path / "missing.py")
    message = f"The container cannot start. There is no file {missing} of Python.\n"
    assert output_of(missing) == (78, message)


def test_the_last_line_of_a_failed_start_has_all_of_the_reason() -> None:
    error = ModuleNotFoundError("No module named 'words',\nnor a package")
    last = describe_setup(error).splitlines()[-1]
    start = (
        "The container cannot start. ModuleNotFoundError: No module named 'words', nor a package. "
    )
    assert last.startswith(f"{start}Install it into the environment of ")


def test_it_needs_the_standard_library_and_what_serves_it_alone() -> None:
    program = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "import synth_pools.container\n"
        "first = set(sys.modules) - before\n"
        "synth_pools.container.Container('a').app\n"
        "import synth_pools.container.serving\n"
        "def tops(names):\n"
        "    tops = {name.partition('.')[0] for name in names} - sys.stdlib_module_names\n"
        "    return {name for name in tops if not name.startswith('_')}\n"
        "print(sorted(tops(first)))\n"
        "print(sorted(tops(set(sys.modules) - before)))\n"
        "print(sorted(name for name in sys.modules if name.startswith('synth_pools.')\n"
        "    and not name.startswith(('synth_pools.container', 'synth_pools.serving'))))\n"
    )
    output = subprocess.run(
        [sys.executable, "-I", "-c", program], capture_output=True, text=True, check=True
    ).stdout
    first, everything, ours = output.splitlines()
    assert first == "['synth_pools']"
    # Starlette brings anyio, and uvicorn click.
    brought = {"anyio", "click", "h11", "httptools", "idna", "sniffio", "starlette", "synth_pools"}
    # Starlette looks for it, where anything else has brought it.
    brought |= {"python_multipart"}
    assert set(eval(everything)) - brought <= {"typing_extensions", "uvicorn", "uvloop"}
    assert ours == "['synth_pools._version']"


async def test_it_is_an_application_for_another_server() -> None:
    container = Container("plain")
    container.rollout(lambda rollout: rollout.seed)
    transport = httpx.ASGITransport(container.app)
    async with httpx.AsyncClient(transport=transport, base_url="http://container") as http:
        # This server does not start applications.
        assert (await http.get("/health")).status_code == 503
        async with container.app.router.lifespan_context(container.app):
            answer = await http.post("/rollouts", json={"rollout_id": "a", "seed": 4})
            assert answer.json()["metrics"]["outcome_reward"] == 4
