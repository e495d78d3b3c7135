"""Containers under a supervisor of another machine, which is this one: leases, tokens, ends."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from synth_pools.backend.processes.image_spec import ImageSpec
from synth_pools.backend.processes.launcher import LaunchError
from synth_pools.backend.processes.output import OutputLogs
from synth_pools.backend.processes.ray_cluster import supervisor
from synth_pools.backend.processes.ray_cluster.actor import ENDED
from synth_pools.backend.processes.ray_cluster.remote_container import RemoteContainer
from synth_pools.backend.processes.ray_cluster.wire import Purpose, WireError, greet
from synth_pools.backend.processes.spec import ProcessSpec
from tests.support.ports import HOST, HeldPort
from tests.support.process_pools import SMALL, carriers, gone

SUPERVISOR = "synth_pools.backend.processes.ray_cluster.supervisor"
NODE_LAUNCHERS = "synth_pools.backend.processes.ray_cluster.node_launchers"
_SECONDS = 60.0


def order_of(argv: tuple[str, ...]) -> dict[str, Any]:
    """An order for a supervisor of this machine."""
    fields = asdict(ProcessSpec(argv, (), None, 30.0, None))
    del fields["needs"]
    return {
        "is_image": False,
        "mount_folders": [],
        "spec": fields,
        "pool_id": "pool",
        "key": None,
        "marker": f"{secrets.token_hex(8)}.1",
        "token": secrets.token_hex(32),
        "host": HOST,
    }


class Placed:
    """A supervisor that was started as the actor of a node does it."""

    def __init__(
        self, *words: str, argv: tuple[str, ...] = (sys.executable, SMALL), **fields: Any
    ) -> None:
        self.order = order_of((*argv, "{port}", *words)) | fields
        self.token, self.marker = self.order["token"], self.order["marker"]
        self.actor, theirs = socket.socketpair()
        with theirs:
            number = theirs.fileno()
            subprocess.Popen(
                [sys.executable, "-m", SUPERVISOR, str(number)], pass_fds=[number]
            ).wait(_SECONDS)
        self.actor.settimeout(_SECONDS)
        self.actor.sendall(f"{json.dumps(self.order)}\n".encode())
        self._lines = self.actor.makefile("rb")
        self.port = int(json.loads(self._lines.readline())["port"])
        self.output = OutputLogs().open("pool", 0)

    def container(self) -> RemoteContainer:
        secret = bytes.fromhex(self.token)
        return RemoteContainer(self.marker, "node", (HOST, self.port), secret, self.output)

    @property
    def process(self) -> psutil.Process:
        """The supervisor, which has no parent any more."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if SUPERVISOR in process.cmdline() and any(
                    end.laddr.port == self.port for end in process.net_connections("tcp")
                ):
                    return process
        raise AssertionError("the supervisor is gone")

    @property
    def started(self) -> list[psutil.Process]:
        """All that it has started and that runs."""
        return carriers(self.marker)

    def last_word(self) -> bytes:
        """Read its last word before it ends."""
        return self._lines.read()

    def close(self) -> None:
        self._lines.close()
        self.actor.close()


@pytest.fixture
async def place() -> AsyncIterator[Callable[..., Any]]:
    placed: list[Placed] = []

    async def make(*words: str, **fields: Any) -> Placed:
        placed.append(await asyncio.to_thread(Placed, *words, **fields))
        return placed[-1]

    yield make
    for container in placed:
        container.close()
        assert await asyncio.to_thread(gone, container.started)


async def start(container: RemoteContainer) -> str:
    """Start it, and return its address once it answers."""
    port = HeldPort.kept()
    await container.start(port.number)
    url = f"http://{HOST}:{port.number}"
    async with httpx.AsyncClient(trust_env=False) as client, asyncio.timeout(_SECONDS):
        while True:
            with contextlib.suppress(httpx.TransportError):
                if (await client.get(f"{url}/health")).status_code == 200:
                    return url
            await asyncio.sleep(0.02)


async def run(url: str, **params: Any) -> dict[str, Any]:
    async with httpx.AsyncClient(trust_env=False, timeout=_SECONDS) as client:
        body = {"rollout_id": "one", "seed": 3, "params": params}
        answer: dict[str, Any] = (await client.post(f"{url}/rollouts", json=body)).json()
        return answer


async def test_it_is_called_through_its_supervisor_and_ended_with_all_that_it_started(
    place: Any,
) -> None:
    placed: Placed = await place("child", "stray")
    container = placed.container()
    url = await start(container)
    assert (await run(url))["summary"]["reward"] == 3.0
    assert len(placed.started) == 3
    assert any("listening" in line for line in placed.output.last_lines())
    assert not container.has_exited
    await container.end(5.0)
    assert await asyncio.to_thread(gone, placed.started)
    assert await asyncio.to_thread(placed.last_word) == ENDED
    with pytest.raises(httpx.TransportError):
        await run(url)


async def test_its_end_is_told_with_its_status_and_its_last_output(place: Any) -> None:
    placed: Placed = await place()
    container = placed.container()
    url = await start(container)
    with pytest.raises((httpx.TransportError, json.JSONDecodeError)):
        await run(url, die=True)
    assert await container.exited(_SECONDS)
    end = await container.read_end()
    assert (end.exit_code, end.words) == (7, "ended with status 7")
    await container.end(5.0)


async def test_what_cannot_be_started_says_why(place: Any) -> None:
    placed: Placed = await place(argv=("/nowhere/at/all",))
    container = placed.container()
    with pytest.raises(OSError, match="No such file"):
        await container.start(HeldPort.kept().number)
    await container.end(0.0)


async def test_one_that_ends_before_it_answers_has_its_output_kept(place: Any) -> None:
    placed: Placed = await place(argv=(sys.executable, "/nowhere/at/all.py"))
    container = placed.container()
    await container.start(HeldPort.kept().number)
    assert await container.exited(_SECONDS)
    assert (await container.read_end()).exit_code == 2
    assert any("No such file" in line for line in placed.output.last_lines())
    await container.end(0.0)


@pytest.mark.parametrize("purpose", Purpose)
async def test_nobody_gets_through_without_the_token(place: Any, purpose: Purpose) -> None:
    placed: Placed = await place()
    container = placed.container()
    await start(container)
    reader, writer = await asyncio.open_connection(HOST, placed.port)
    with pytest.raises(WireError):
        await greet(reader, writer, secrets.token_bytes(32), purpose)
    writer.close()
    # A caller with the proof of another token gets no answer.
    reader, writer = await asyncio.open_connection(HOST, placed.port)
    writer.write(purpose.value + bytes(32) + bytes(32) + b"GET /health HTTP/1.1\r\n\r\n")
    answered = await asyncio.wait_for(reader.read(), _SECONDS)
    assert len(answered) == 64
    writer.close()
    await container.end(5.0)


async def test_another_program_at_its_port_is_sent_nothing() -> None:
    got = asyncio.get_running_loop().create_future()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(bytes(64))
        got.set_result(await reader.read())
        writer.close()

    server = await asyncio.start_server(take, HOST, 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection(HOST, port)
        with pytest.raises(WireError, match="another program"):
            await greet(reader, writer, secrets.token_bytes(32), Purpose.CALL)
        writer.close()
        assert len(await asyncio.wait_for(got, _SECONDS)) == 33


async def test_without_its_actor_it_ends_its_container_at_once(place: Any) -> None:
    placed: Placed = await place("stubborn", "child")
    container = placed.container()
    await start(container)
    placed.actor.shutdown(socket.SHUT_RDWR)
    assert await container.exited(_SECONDS)
    assert await asyncio.to_thread(gone, placed.started)
    await container.end(0.0)


@pytest.mark.system
async def test_without_its_backend_it_ends_its_container_when_its_lease_is_over(place: Any) -> None:
    placed: Placed = await place("stubborn", "child")
    container = placed.container()
    await start(container)
    started = placed.started
    container.close()
    assert await asyncio.to_thread(gone, started)
    assert await asyncio.to_thread(placed.last_word) == ENDED


async def test_one_whose_backend_has_hung_up_does_not_wait_for_the_end_of_its_lease(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(supervisor, "SUPERVISOR_LEASE_SECONDS", 3600.0)
    monkeypatch.setattr(supervisor, "HUNG_UP_SECONDS", 0.1)
    order = order_of((sys.executable, SMALL, "{port}"))
    actor, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=actor)
    running = asyncio.create_task(supervisor.NodeSupervisor(order, theirs).run())
    async with asyncio.timeout(_SECONDS):
        port = json.loads(await reader.readline())["port"]
        output = OutputLogs().open("pool", 0)
        secret = bytes.fromhex(order["token"])
        container = RemoteContainer(order["marker"], "node", (HOST, port), secret, output)
        await start(container)
        container.close()
        await running
    assert not carriers(order["marker"])
    writer.close()


@pytest.mark.system
async def test_one_that_is_silent_is_lost_within_ten_seconds_and_ends_its_container_later(
    place: Any,
) -> None:
    placed: Placed = await place()
    container = placed.container()
    await start(container)
    silent = placed.process
    silent.suspend()
    try:
        assert await container.exited(10.0)
        assert "has not answered" in (await container.read_end()).words
    finally:
        silent.resume()
    assert await asyncio.to_thread(gone, placed.started)


async def test_what_a_killed_supervisor_leaves_is_ended_by_its_actor(place: Any) -> None:
    placed: Placed = await place("child")
    container = placed.container()
    await start(container)
    placed.process.kill()
    assert await container.exited(_SECONDS)
    assert "supervisor" in (await container.read_end()).words
    assert await asyncio.to_thread(placed.last_word) == b""
    assert placed.started
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", NODE_LAUNCHERS],
        input=json.dumps(placed.order).encode(),
        timeout=_SECONDS,
        check=False,
    )
    assert done.returncode == 0
    assert not placed.started


async def test_an_image_that_cannot_be_started_leaves_no_folder(
    place: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    # Refused with a working engine, and without one.
    image = ImageSpec.of({"config": {"image": {"image": "any"}}})
    assert image is not None
    spec = {**asdict(image), "mounts": [["/etc", "/data"]]}
    del spec["needs"]
    placed: Placed = await place(is_image=True, spec=spec)
    container = placed.container()
    with pytest.raises(LaunchError):
        await container.start(HeldPort.kept().number)
    await container.end(0.0)
    assert await asyncio.to_thread(placed.last_word) == ENDED
    assert not await asyncio.to_thread(lambda: list(tmp_path.glob("synth-pools-*")))


async def test_a_connection_that_breaks_is_made_again(place: Any) -> None:
    placed: Placed = await place()
    relay_to = (HOST, placed.port)
    through: list[asyncio.StreamWriter] = []
    connected = asyncio.Event()

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_connection(*relay_to)
        through.extend((writer, inner_writer))
        connected.set()

        async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
            with contextlib.suppress(OSError):
                while data := await source.read(65536):
                    target.write(data)
            # A container that does not listen yet hangs up, and that has to arrive.
            target.close()

        await asyncio.gather(pump(reader, inner_writer), pump(inner_reader, writer))

    server = await asyncio.start_server(pass_on, HOST, 0)
    port = server.sockets[0].getsockname()[1]
    secret = bytes.fromhex(placed.token)
    container = RemoteContainer(placed.marker, "node", (HOST, port), secret, placed.output)
    url = await start(container)
    connected.clear()
    for writer in through:
        writer.transport.abort()
    await asyncio.wait_for(connected.wait(), _SECONDS)
    assert (await run(url))["summary"]["reward"] == 3.0
    assert not container.has_exited
    await container.end(5.0)
    assert not placed.started
    server.close()
