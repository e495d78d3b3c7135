"""`synth-pools serve` as a process: its output, its data, its refusals, its end."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import signal
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.backend_server import eventually
from tests.support.commands import run_command
from tests.support.ports import HeldPort

COMMAND = [sys.executable, "-m", "synth_pools.cli"]
LIMIT = 60.0
URL = re.compile(r"http://[^\s]+")


@pytest.fixture
def held_port() -> Iterator[HeldPort]:
    with HeldPort() as port:
        yield port


def environment(home: Path, **extra: str) -> dict[str, str]:
    """The environment of the caller, without variables that change the result."""
    dropped = ("SYNTH_", "XDG_")
    variables = {key: value for key, value in os.environ.items() if not key.startswith(dropped)}
    return variables | {"HOME": str(home)} | extra


def run(home: Path, *arguments: str, **extra: str) -> subprocess.CompletedProcess[str]:
    return run_command(*arguments, environment=environment(home, **extra))


class Serving:
    """A running `serve` that has printed its address."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self.process = process
        assert process.stdout is not None
        self.printed = ""
        watchdog = threading.Timer(LIMIT, process.kill)
        watchdog.start()
        try:
            while "Stop it" not in self.printed:
                line = process.stdout.readline()
                assert line, f"ended: {process.communicate(timeout=LIMIT)}"
                self.printed += line
        finally:
            watchdog.cancel()
        match = URL.search(self.printed)
        assert match
        self.url = match.group()

    @property
    def port(self) -> str:
        return self.url.rpartition(":")[2]

    def key_from_hint(self) -> str:
        """Run the line for the user to paste, in a shell."""
        [line] = [line for line in self.printed.splitlines() if "SYNTH_API_KEY=" in line]
        done = subprocess.run(
            ["/bin/sh", "-c", f'{line}; printf %s "$SYNTH_API_KEY"'],
            capture_output=True,
            text=True,
            timeout=LIMIT,
            check=True,
        )
        return done.stdout

    def client(self, key: str | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {key or self.key_from_hint()}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=60)

    def end(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        self.process.send_signal(number)
        rest, errors = self.process.communicate(timeout=LIMIT)
        self.printed += rest
        return self.process.returncode, errors


@contextlib.contextmanager
def serve(home: Path, *arguments: str, **extra: str) -> Iterator[Serving]:
    process = subprocess.Popen(
        [*COMMAND, "serve", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(home, **extra),
    )
    try:
        yield Serving(process)
    finally:
        process.kill()
        process.communicate(timeout=LIMIT)


def test_a_first_start_makes_everything_and_says_how_to_use_it(tmp_path: Path) -> None:
    data_dir = tmp_path / "new data" / "it's here"
    with serve(tmp_path, "--port", "0", "--data-dir", str(data_dir)) as serving:
        assert re.fullmatch(r"http://127\.0\.0\.1:\d+", serving.url)
        # Without waiting or repeating: the line is printed once the backend answers.
        with serving.client() as client:
            assert client.get("/v1/capabilities").status_code == 200
        key = (data_dir / "api-key").read_text().strip()
        assert serving.key_from_hint() == key
        assert stat.S_IMODE((data_dir / "api-key").stat().st_mode) == 0o600
        assert f"export SYNTH_BACKEND_URL={serving.url}" in serving.printed
        assert serving.end() == (0, "")
        assert key not in serving.printed
        # Whatever is no terminal may be kept, and read by others.
        assert "#login=" not in serving.printed
        assert f"log in with the key: {serving.url}/ui/" in serving.printed


def test_a_terminal_gets_a_link_that_logs_in(tmp_path: Path) -> None:
    own_end, end_of_serve = pty.openpty()
    arguments = ["--port", "0", "--data-dir", str(tmp_path / "data")]
    process = subprocess.Popen(
        [*COMMAND, "serve", *arguments],
        stdout=end_of_serve,
        stderr=subprocess.PIPE,
        env=environment(tmp_path),
    )
    os.close(end_of_serve)
    watchdog = threading.Timer(LIMIT, process.kill)
    watchdog.start()
    try:
        with os.fdopen(own_end, "rb") as terminal:
            link = next(line for line in terminal if b"#login=" in line).decode().strip()
            url, _, token = link.partition("/ui/#login=")
            assert httpx.post(f"{url}/ui/session", json={"link": token}).status_code == 200
            process.terminate()
            assert process.wait(LIMIT) == 0
    finally:
        watchdog.cancel()
        process.kill()
        process.communicate(timeout=LIMIT)


def test_a_restart_on_the_same_port_has_the_same_key_and_pools(
    tmp_path: Path, held_port: HeldPort
) -> None:
    data = ("--data-dir", str(tmp_path / "data"))
    port = str(held_port.number)
    with serve(tmp_path, "--port", port, *data) as first:
        key = first.key_from_hint()
        # Open until after the restart, so that the port still has a connection on it.
        client = first.client()
        pool = client.post("/v1/pools", json={"name": "kept"}).json()
        assert first.end()[0] == 0
    with serve(tmp_path, "--port", port, *data) as second, second.client() as again:
        assert second.port == port
        assert second.key_from_hint() == key
        assert again.get(f"/v1/pools/{pool['id']}").json()["name"] == "kept"
    client.close()


def test_it_starts_again_after_it_was_killed(tmp_path: Path, held_port: HeldPort) -> None:
    data = ("--data-dir", str(tmp_path / "data"))
    port = str(held_port.number)
    with serve(tmp_path, "--port", port, *data) as first, first.client() as client:
        client.get("/v1/capabilities")
        first.process.kill()
        first.process.wait(LIMIT)
    with serve(tmp_path, "--port", port, *data) as second, second.client() as again:
        assert again.get("/v1/capabilities").status_code == 200


@pytest.mark.system
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_cleanly_with_streams_open_and_rollouts_running(
    tmp_path: Path, number: signal.Signals
) -> None:
    # Only errors and warnings are logged.
    quiet = ("--log-level", "warning")
    with serve(tmp_path, "--port", "0", "--data-dir", str(tmp_path / "d"), *quiet) as serving:
        with serving.client() as client:
            pool_id = client.post("/v1/pools", json={"name": "p"}).json()["id"]
            path = f"/v1/pools/{pool_id}/rollouts"
            rollout = client.post(path, json={"env": {"delay": 600}}).json()
            client.post(path, json={"env": {"delay": 600}})
        observed: list[str] = []
        has_begun = threading.Event()

        def read() -> None:
            with (
                serving.client() as reader,
                reader.stream("GET", f"{path}/{rollout['id']}/events") as response,
            ):
                for line in response.iter_lines():
                    observed.append(line)
                    has_begun.set()
            observed.append("ended without an error")

        thread = threading.Thread(target=read, daemon=True)
        thread.start()
        assert has_begun.wait(60)
        start = time.monotonic()
        assert serving.end(number) == (0, "")
        assert time.monotonic() - start < 60
        thread.join(60)
        assert observed[-1] == "ended without an error"


def test_the_key_can_be_chosen_in_three_ways(tmp_path: Path) -> None:
    key = "sk_mine_0123456789"
    key_file = tmp_path / "my key"
    key_file.write_text(f"{key}\n")
    data = ("--port", "0", "--data-dir", str(tmp_path / "data"))
    ways: list[tuple[list[str], dict[str, str]]] = [
        (["--api-key", key], {}),
        (["--api-key-file", str(key_file)], {}),
        ([], {"SYNTH_POOLS_API_KEY": key}),
        # The key of the hosted service belongs to another service, and is not used.
        (["--api-key", key], {"SYNTH_API_KEY": "sk_hosted", "SYNTH_POOLS_API_KEY": "sk_other"}),
    ]
    for arguments, extra in ways:
        with serve(tmp_path, *data, *arguments, **extra) as serving:
            with serving.client(key) as client:
                assert client.get("/v1/capabilities").status_code == 200
            if "--api-key-file" in arguments:
                assert serving.key_from_hint() == key
            assert serving.end() == (0, "")
            assert key not in serving.printed
    assert not (tmp_path / "data" / "api-key").exists()


def test_the_default_data_dir_is_the_platforms(tmp_path: Path) -> None:
    if sys.platform == "darwin":
        places = {tmp_path / "Library/Application Support/synth-pools": ""}
    else:
        places = {
            tmp_path / ".local/share/synth-pools": "",
            tmp_path / "xdg/synth-pools": str(tmp_path / "xdg"),
        }
    for place, data_home in places.items():
        with serve(tmp_path, "--port", "0", XDG_DATA_HOME=data_home):
            assert (place / "api-key").exists()


def test_what_another_process_holds_is_said_to_be_held(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    with serve(tmp_path, "--port", "0", "--data-dir", str(data_dir)) as serving:
        locked = run(tmp_path, "serve", "--port", "0", "--data-dir", str(data_dir))
        assert_refused(
            locked, f"{data_dir} is in use by another process (pid {serving.process.pid})"
        )
        second = str(tmp_path / "other")
        used = run(tmp_path, "serve", "--port", serving.port, "--data-dir", second)
        assert_refused(used, f"127.0.0.1:{serving.port} is taken by another process")
        with serving.client() as client:
            assert client.get("/v1/capabilities").status_code == 200


def assert_refused(done: subprocess.CompletedProcess[str], words: str) -> None:
    assert done.returncode == 2, done.stderr
    assert done.stdout == ""
    assert done.stderr.startswith("synth-pools: error: ")
    assert done.stderr.count("\n") == 1, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    # Every key in these tests begins with this.
    assert "sk_" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--port", "70000"], "70000"),
        (["--port", "-1"], "-1"),
        (["--port", "http"], "'http'"),
        (["--port"], "--port"),
        (["--prot", "1"], "--port"),
        (["--apikey=sk_secret"], "--apikey"),
        (["--host", ""], "host must not be blank"),
        (["--host", "no.such.host.invalid"], "cannot resolve the host"),
        (["--host", "192.0.2.1"], "not an address of this machine"),
        (["--host", "0.0.0.0"], "choose an API key yourself"),
        (["--data-dir", __file__], "is not a directory"),
        (["--data-dir", f"{__file__}/below"], "is not a directory"),
        (["--data-dir", "/proc/no-such"], "cannot use /proc/no-such as the data directory"),
        (["--api-key", ""], "blank"),
        (["--api-key", "  "], "blank"),
        (["--api-key", "sk_two words"], "ASCII"),
        (["--api-key", "abcde"], "has less than 12 characters: `openssl rand -hex 32`"),
        (["--api-key", "sk_two", "sk_words"], "options only"),
        (["--api-key", "sk_a", "--api-key-file", "f"], "not both"),
        (["--api-key-file", "/no/such/file"], "/no/such/file"),
        (["--api-key-file", "/"], "cannot read the key file /"),
        (["--api-key-file", os.devnull], "blank"),
        (["--container-hosts", "http://a.example"], "without scheme or port"),
        (["--container-hosts", "a.example,"], "without scheme or port"),
        (["--container-key-env", "no-name"], "names of environment variables"),
        (["--health-interval", "0"], "--health-interval"),
        (["--max-queued", "0"], "--max-queued"),
        (["--max-depth", "501"], "--max-depth"),
        (["--sync-wait", "-1"], "--sync-wait"),
        (["--grace", "-1"], "--grace"),
        (["--ray", "http://127.0.0.1:1"], "ray takes `auto`, HOST:PORT or ray://HOST:PORT"),
        (["--ray", "auto"], "pip install 'synth-pools[local,ray]'"),
        (["--api-keys-file", "/no/such/file"], "cannot read the keys file"),
        (["--log-format", "xml"], "--log-format"),
        (["--log-level", "trace"], "--log-level"),
    ],
)
def test_bad_input_gets_one_line(tmp_path: Path, arguments: list[str], words: str) -> None:
    defaults = {"--port": "0", "--data-dir": str(tmp_path / "data")}
    names = {argument.partition("=")[0] for argument in arguments}
    rest = [text for pair in defaults.items() if pair[0] not in names for text in pair]
    assert_refused(run(tmp_path, "serve", *rest, *arguments), words)


def test_limits_are_options(tmp_path: Path) -> None:
    arguments = ["--port", "0", "--data-dir", str(tmp_path / "d"), "--max-body-bytes", "100"]
    arguments += ["--max-queued-per-pool", "1", "--sync-wait", "0.1"]
    with serve(tmp_path, *arguments) as serving, serving.client() as client:
        large = client.post("/v1/pools", json={"name": "n" * 100})
        assert large.json()["error"]["code"] == "payload_too_large"
        pool_id = client.post("/v1/pools", json={"name": "p", "concurrency": 1}).json()["id"]
        slow = {"mode": "sync", "env": {"delay": 600}}
        path = f"/v1/pools/{pool_id}/rollouts"
        first = client.post(path, json=slow)
        assert first.status_code == 202
        # It has left the queue.
        rollout = f"/v1/rollouts/{first.json()['id']}"
        eventually(lambda: client.get(rollout).json()["status"] == "running")
        statuses = [client.post(path, json=slow).status_code for _ in range(2)]
        assert statuses == [202, 429]
        # Not to be waited for at the end.
        client.delete(f"/v1/pools/{pool_id}")


def test_a_directory_that_may_not_be_written_is_refused(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        # Modes do not stop root; a file system that is read-only in principle does.
        data_dir = Path("/sys/kernel")
    else:
        data_dir = tmp_path / "locked"
        data_dir.mkdir(mode=0o500)
    done = run(tmp_path, "serve", "--port", "0", "--data-dir", str(data_dir / "data"))
    assert_refused(done, "give one you can write to")


def test_a_blank_key_in_the_environment_is_refused(tmp_path: Path) -> None:
    done = run(tmp_path, "serve", "--port", "0", SYNTH_POOLS_API_KEY="  ")
    assert_refused(done, "blank")


def test_a_store_that_is_none_is_refused(tmp_path: Path) -> None:
    data = ("--port", "0", "--data-dir", str(tmp_path / "data"))
    with serve(tmp_path, *data):
        pass
    for path in (tmp_path / "data").iterdir():
        if path.name not in ("lock", "api-key"):
            path.write_bytes(b"this is no database" * 100)
    assert_refused(run(tmp_path, "serve", *data), f"cannot open the database in {tmp_path}")


@pytest.mark.parametrize("missing", ["uvicorn", "starlette", "jsonschema_rs", "yaml"])
def test_a_missing_extra_is_named(tmp_path: Path, missing: str) -> None:
    done = without(tmp_path, missing, "serve", "--port", "0")
    assert_refused(done, f"`serve` needs {missing}")
    assert "pip install 'synth-pools[local]'" in done.stderr


@pytest.mark.parametrize("missing", ["uvicorn", "rich", "yaml", "keyring"])
def test_help_and_version_need_no_extra(tmp_path: Path, missing: str) -> None:
    version = without(tmp_path, missing, "--version")
    assert (version.stdout, version.stderr) == (run(tmp_path, "--version").stdout, "")
    helps = [without(tmp_path, missing, *options) for options in ((), ("-h",), ("--help",))]
    assert {(done.returncode, done.stderr) for done in (version, *helps)} == {(0, "")}
    [text] = {done.stdout for done in helps}
    assert "  serve  " in text


def test_the_package_runs_as_a_module(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "synth_pools", "--version"],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
        env=environment(tmp_path),
    )
    assert (done.returncode, done.stdout) == (0, run(tmp_path, "--version").stdout)


def without(home: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    program = (
        f"import sys; sys.modules[{module!r}] = None\n"
        "from synth_pools.cli import run\n"
        f"sys.exit(run({list(arguments)!r}))"
    )
    return subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=LIMIT,
        check=False,
        env=environment(home),
    )


def test_help_and_version(tmp_path: Path) -> None:
    version = run(tmp_path, "--version")
    assert re.fullmatch(r"synth-pools \d+\.\d+\.\d+\S*\n", version.stdout)
    bare, help_text = run(tmp_path), run(tmp_path, "serve", "--help")
    assert "serve" in bare.stdout
    for option in ("--host", "--port", "--data-dir", "--api-key", "--container-hosts"):
        assert option in help_text.stdout
    assert [done.returncode for done in (version, bare, help_text)] == [0, 0, 0]
    assert_refused(run(tmp_path, "no-such-command"), "no-such-command")
