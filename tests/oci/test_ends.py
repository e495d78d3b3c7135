"""Ends of the commands of an engine, which run as long as their containers do."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import psutil
import pytest

from synth_pools.backend.domain.target import ContainerOrigin
from synth_pools.backend.processes import image_launcher
from synth_pools.backend.processes.child import Child
from synth_pools.backend.processes.engine import ContainerEngine
from synth_pools.backend.processes.image_launcher import EngineContainer
from synth_pools.backend.processes.relay import SocketRelay
from tests.support.ports import HeldPort
from tests.support.process_pools import gone

# A command that goes on after its container was removed, with a child process.
COMMAND = ("/bin/sh", "-c", "sleep 600 & echo $!; wait")


class Lines:
    """Output of a command."""

    def __init__(self) -> None:
        self.text: asyncio.Queue[str] = asyncio.Queue()

    def feed(self, data: bytes) -> None:
        self.text.put_nowait(data.decode())

    def flush(self) -> None:
        pass

    def end(self, exit_code: int | None) -> None:
        pass

    def last_lines(self) -> list[str]:
        return []


async def test_a_command_ends_with_all_that_it_has_started(tmp_path: Path) -> None:
    output = Lines()
    client = await Child.spawn(COMMAND, os.environ, None, None, output)
    async with asyncio.timeout(60):
        started = int(await output.text.get())
    family = [psutil.Process(pid) for pid in (client.pid, started)]
    relay = SocketRelay(tmp_path / "socket", output.feed)
    with HeldPort() as holder:
        port = holder.number
    await relay.open(port)
    container = EngineContainer(
        ContainerEngine("podman"), "name", client, output, ContainerOrigin("podman", "here"), relay
    )
    container.close()
    assert client._transport.is_closing()
    assert await asyncio.to_thread(gone, family)
    # The relay of this side ends too.
    assert not (tmp_path / "socket").exists()


# An engine that is busy: it gives up the first removal, although the container ends later on.
BUSY = """#!/bin/sh
echo "$@" >>{log}
[ "$1" = rm ] || exit 0
echo "Error response from daemon: No such container: other" >&2
[ $(grep -c ^rm {log}) -gt 2 ] && exit 1
echo "Error response from daemon: cannot remove: did not receive an exit event" >&2
echo "Error response from daemon: No such container: another" >&2
exit 1
"""


async def test_a_container_whose_removal_fails_is_removed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log, program = tmp_path / "log", tmp_path / "docker"
    program.write_text(BUSY.format(log=log))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    output = Lines()
    client = await Child.spawn(("/bin/true",), os.environ, None, None, output)
    assert await client.exited(60)
    engine = ContainerEngine("docker")
    origin = ContainerOrigin("docker", "here")
    await image_launcher._end(
        engine, [EngineContainer(engine, "name", client, output, origin, None)]
    )
    assert log.read_text().splitlines() == ["rm --force --volumes name"] * 3
