"""`LocalBackend` as an object: start, use, stop, in every way it can be held."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from synth_pools import local
from synth_pools.backend import local_backend
from synth_pools.backend.errors import (
    AddressError,
    BadOptionError,
    DataDirLockedError,
    LocalBackendError,
    StartTimeoutError,
)
from synth_pools.local import LocalBackend
from tests.support.backend_server import logged_by
from tests.support.ports import HeldPort


def http(backend: LocalBackend) -> httpx.Client:
    return httpx.Client(
        base_url=backend.url, headers={"Authorization": f"Bearer {backend.api_key}"}, timeout=60
    )


def make_pool(client: httpx.Client, **fields: Any) -> str:
    response = client.post("/v1/pools", json={"name": "p", **fields})
    assert response.status_code == 201, response.text
    return str(response.json()["id"])


def accepts_connections(url: str) -> bool:
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex(("127.0.0.1", int(url.rpartition(":")[2]))) == 0


def test_it_answers_whoever_has_the_key_and_nobody_after_the_stop() -> None:
    with LocalBackend() as backend:
        url = backend.url
        assert url.startswith("http://127.0.0.1:")
        assert backend.running
        with http(backend) as client:
            assert client.get("/v1/capabilities").status_code == 200
            assert httpx.get(url + "/v1/capabilities").status_code == 401
    assert not backend.running
    assert not accepts_connections(url)


async def test_async_with_does_not_need_the_callers_loop_to_be_free() -> None:
    async with LocalBackend() as backend:
        # A blocking call in the caller's loop: the backend must not live in that loop.
        with http(backend) as client:
            assert client.get("/v1/capabilities").status_code == 200
        url = backend.url
    assert not accepts_connections(url)


async def test_a_start_that_is_cancelled_leaves_nothing_running(tmp_path: Path) -> None:
    backend = LocalBackend(tmp_path)
    entering = asyncio.create_task(backend.__aenter__())
    await asyncio.sleep(0)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering
    assert not backend.running
    with LocalBackend(tmp_path):
        pass


def test_a_temporary_data_dir_goes_with_the_backend() -> None:
    with LocalBackend() as backend:
        data_dir = backend.data_dir
        assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
    assert not data_dir.exists()


def test_a_data_dir_is_made_and_keeps_what_was_put_in(tmp_path: Path) -> None:
    data_dir = tmp_path / "deep" / "data"
    with LocalBackend(data_dir) as backend, http(backend) as client:
        pool_id = make_pool(client)
    assert stat.S_IMODE(data_dir.stat().st_mode) == 0o700
    with LocalBackend(data_dir) as backend, http(backend) as client:
        assert client.get(f"/v1/pools/{pool_id}").status_code == 200


def test_a_made_key_is_private_and_the_same_at_the_next_start(tmp_path: Path) -> None:
    former = os.umask(0)
    try:
        with LocalBackend(tmp_path) as backend:
            key, key_file = backend.api_key, backend.key_file
    finally:
        os.umask(former)
    assert key.startswith("sk_local_")
    assert key_file == tmp_path / "api-key"
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600
    assert key_file.read_text().strip() == key
    # As after a copy of the directory that lost the modes.
    key_file.chmod(0o644)
    with LocalBackend(tmp_path) as backend:
        assert backend.api_key == key
    assert stat.S_IMODE(key_file.stat().st_mode) == 0o600


def test_a_chosen_key_is_used_and_written_nowhere(tmp_path: Path) -> None:
    with LocalBackend(tmp_path, api_key="sk_chosen_0123456789") as backend, http(backend) as client:
        assert backend.api_key == "sk_chosen_0123456789"
        assert backend.key_file is None
        assert client.get("/v1/capabilities").status_code == 200
        make_pool(client)
    for path in tmp_path.rglob("*"):
        assert b"sk_chosen_0123456789" not in path.read_bytes(), path


@pytest.mark.parametrize("content", ["", " \n", "two keys", "\x00\x01"])
def test_a_key_file_without_a_key_is_said_to_be_one(tmp_path: Path, content: str) -> None:
    (tmp_path / "api-key").write_text(content)
    with pytest.raises(BadOptionError, match="api-key"):
        LocalBackend(tmp_path).start()


def test_the_key_shows_in_no_representation() -> None:
    key = "sk_hidden_0123456789"
    backend = LocalBackend(api_key=key)
    assert key not in repr(backend) + str(vars(backend))
    with backend:
        output = [repr(backend), str(backend), str(vars(backend)), repr(backend._run)]
        assert all(key not in text for text in output)


def test_the_same_port_is_free_again_at_once_even_with_connections_open(tmp_path: Path) -> None:
    with (
        HeldPort() as reserved,
        LocalBackend(tmp_path, port=reserved.number) as first,
        http(first) as client,
    ):
        port = reserved.number
        client.get("/v1/capabilities")
        # The server closes first and so keeps the connection's remains for a minute.
        first.stop()
        with LocalBackend(tmp_path, port=port) as second, http(second) as again:
            assert second.url == first_url(port)
            assert again.get("/v1/capabilities").status_code == 200


def first_url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


def test_several_run_at_once_and_know_nothing_of_each_other() -> None:
    with LocalBackend() as first, LocalBackend() as second:
        assert first.url != second.url
        assert first.api_key != second.api_key
        with http(first) as client, http(second) as stranger:
            pool_id = make_pool(client)
            assert client.get(f"/v1/pools/{pool_id}").status_code == 200
            assert stranger.get(f"/v1/pools/{pool_id}").status_code == 404


def test_one_backend_serves_many_threads() -> None:
    with LocalBackend() as backend:

        def work(number: int) -> int:
            with http(backend) as client:
                pool_id = make_pool(client, name=f"pool {number}")
                return sum(
                    client.get(f"/v1/pools/{pool_id}").json()["name"] == f"pool {number}"
                    for _ in range(10)
                )

        with ThreadPoolExecutor(8) as threads:
            assert list(threads.map(work, range(8), timeout=60)) == [10] * 8


def test_the_clients_it_hands_out_know_where_it_is_and_its_key() -> None:
    with LocalBackend() as backend, backend.client() as client:
        assert client.list_pools()["items"] == []


async def test_the_async_clients_too() -> None:
    async with LocalBackend() as backend, backend.async_client() as client:
        assert (await client.list_pools())["items"] == []


def test_nothing_waits_for_nagle() -> None:
    with LocalBackend() as backend, http(backend) as client:
        client.get("/v1/capabilities")
        assert backend._run is not None
        uvicorn_server = backend._run.thread._server
        assert uvicorn_server is not None
        assert uvicorn_server.acceptor is not None
        assert uvicorn_server.acceptor.listener.proto == socket.IPPROTO_TCP
        # The keep-alive connection of `client` is still among them.
        accepted = [
            connection.transport.get_extra_info("socket")
            for connection in uvicorn_server.server_state.connections
            if connection.transport is not None
        ]
        assert accepted
        assert all(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) for sock in accepted)


def test_start_and_stop_can_be_called_by_hand() -> None:
    backend = LocalBackend()
    with pytest.raises(RuntimeError, match="not started"):
        _ = backend.url
    backend.start()
    with pytest.raises(RuntimeError, match="started already"):
        backend.start()
    backend.stop()
    backend.stop()
    backend.start()
    backend.stop()


def test_one_that_nobody_stops_is_stopped_when_python_ends() -> None:
    program = (
        "from synth_pools.backend.local_backend import LocalBackend\n"
        "from synth_pools.backend import local_backend\n"
        "stop = local_backend._Run.stop\n"
        "local_backend._Run.stop = lambda run: (stop(run), print('stopped'))\n"
        "backend = LocalBackend()\n"
        "backend.start()\n"
        "client = backend.client()\n"
        "pool = client.create_pool({'name': 'p'})\n"
        "client.create_rollout(pool['id'], {'env': {'delay': 600}})\n"
        "print(backend.data_dir)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    data_dir, last = done.stdout.splitlines()
    assert last == "stopped"
    assert not Path(data_dir).exists()


def test_a_data_dir_in_use_is_refused(tmp_path: Path) -> None:
    with LocalBackend(tmp_path) as backend:
        with pytest.raises(DataDirLockedError, match="another backend of this process"):
            LocalBackend(tmp_path).start()
        with http(backend) as client:
            assert client.get("/v1/capabilities").status_code == 200


def test_a_taken_port_is_refused_and_leaves_no_directory(tmp_path: Path) -> None:
    with LocalBackend() as backend:
        port = int(backend.url.rpartition(":")[2])
        with pytest.raises(AddressError, match=f"127.0.0.1:{port} is taken"):
            LocalBackend(tmp_path / "new", port=port).start()
    assert not (tmp_path / "new").exists()


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"port": -1}, BadOptionError, "from 0"),
        ({"port": 65536}, BadOptionError, "65535"),
        ({"host": " "}, BadOptionError, "host must not be blank"),
        ({"host": "no such host"}, AddressError, "cannot resolve"),
        ({"host": "192.0.2.1"}, AddressError, "not an address of this machine"),
        ({"host": "0.0.0.0"}, BadOptionError, "choose an API key yourself"),
        ({"api_key": ""}, BadOptionError, "blank"),
        ({"api_key": " \t"}, BadOptionError, "blank"),
        ({"api_key": "two words"}, BadOptionError, "ASCII"),
        ({"api_key": "line\nbreak"}, BadOptionError, "ASCII"),
        ({"api_key": "schlüssel"}, BadOptionError, "ASCII"),
        ({"api_key": "x" * 2000}, BadOptionError, "1024"),
        ({"container_hosts": "example.org"}, BadOptionError, "container_hosts"),
        ({"container_hosts": ["http://example.org"]}, BadOptionError, "http://example.org"),
        ({"container_hosts": ["example.org:80"]}, BadOptionError, "example.org:80"),
        ({"container_hosts": [""]}, BadOptionError, "container_hosts"),
        ({"container_key_envs": "NAME"}, BadOptionError, "container_key_envs"),
        ({"container_key_envs": ["A=b"]}, BadOptionError, "container_key_envs"),
        ({"health_interval": 0}, BadOptionError, "health_interval"),
        ({"health_interval": 3601}, BadOptionError, "health_interval"),
        ({"health_interval": float("nan")}, BadOptionError, "health_interval"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(
    options: dict[str, Any], kind: type[LocalBackendError], words: str
) -> None:
    with pytest.raises(kind) as caught:
        LocalBackend(**options).start()
    text = str(caught.value)
    assert words in text
    assert "\n" not in text
    if options.get("api_key", "").strip():
        assert options["api_key"] not in text


def test_only_what_the_extra_has_is_named_as_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "synth_pools.backend.local_backend", None)
    with pytest.raises(ModuleNotFoundError) as caught:
        local.__getattr__("LocalBackend")
    assert "pip install" not in str(caught.value)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        local.__getattr__("Nothing")


@pytest.mark.parametrize("port", [-1, 65536])
def test_a_port_that_cannot_be_is_refused_before_the_start(port: int) -> None:
    with pytest.raises(BadOptionError, match="port"):
        LocalBackend(port=port)


def test_an_error_of_the_application_reaches_the_caller_and_frees_everything(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    @contextlib.asynccontextmanager
    async def broken(_: Starlette) -> AsyncIterator[None]:
        if threading.current_thread() is not threading.main_thread():
            raise LookupError("no store here")
        yield

    with monkeypatch.context() as patched:
        patched.setattr(local_backend, "create_app", lambda *_: Starlette(lifespan=broken))
        with pytest.raises(LookupError, match="no store here"):
            LocalBackend(tmp_path).start()
    assert logged_by(caplog, "synth_pools.backend.server", "asyncio", "uvicorn") == []
    with LocalBackend(tmp_path):
        pass


def test_a_backend_that_does_not_know_its_own_key_is_not_handed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Another test may keep a backend of its own.
    before = threading.enumerate()
    with monkeypatch.context() as patched:
        patched.setattr(local_backend, "create_app", lambda *_: Starlette())
        with pytest.raises(LocalBackendError, match="first call 404"):
            LocalBackend(tmp_path).start()
    remaining = [thread.name for thread in threading.enumerate() if thread not in before]
    assert "synth-pools-backend" not in remaining
    with LocalBackend(tmp_path):
        pass


def test_a_start_that_hangs_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.asynccontextmanager
    async def hanging(_: Starlette) -> AsyncIterator[None]:
        await asyncio.sleep(600)
        yield

    monkeypatch.setattr(local_backend, "create_app", lambda *_: Starlette(lifespan=hanging))
    monkeypatch.setattr(local_backend, "_START_LIMIT_SECONDS", 0.2)
    with pytest.raises(StartTimeoutError, match=r"0\.2 seconds"):
        LocalBackend(tmp_path).start()
    monkeypatch.undo()
    with LocalBackend(tmp_path):
        pass


def test_an_error_while_stopping_is_not_swallowed(monkeypatch: pytest.MonkeyPatch) -> None:
    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        raise OSError("disk full")

    monkeypatch.setattr(local_backend, "create_app", lambda *_: Starlette(lifespan=lifespan))
    monkeypatch.setattr(local_backend._Run, "check_answer", lambda *_: None)
    backend = LocalBackend()
    backend.start()
    with pytest.raises(LocalBackendError, match="disk full"):
        backend.stop()


def test_the_logging_of_the_program_around_it_stays_as_it_was() -> None:
    def state() -> list[Any]:
        names = ["", "uvicorn", "uvicorn.error", "synth_pools"]
        loggers = [logging.getLogger(name) for name in names]
        return [(logger.level, logger.propagate, list(logger.handlers)) for logger in loggers]

    before = state()
    with LocalBackend():
        assert state() == before


def test_the_stop_is_soon_even_when_it_idles() -> None:
    backend = LocalBackend()
    backend.start()
    started_at = time.monotonic()
    backend.stop()
    assert time.monotonic() - started_at < 40
