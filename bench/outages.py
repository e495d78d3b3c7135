"""Rollouts whose server is killed, whose network is cut, or whose program is killed.

`python -m bench.outages` has 20 episodes of a second, 4 at a time, run by synth-pools and by a loop
of one's own. The container that plays them is a process of its own, which nobody kills, and which
writes a line for each start.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

EPISODES, SECONDS, WIDTH = 20, 1.0, 4
# When it happens, and for how long the server or the network is away.
MOMENT, AWAY = 2.5, 2.0
LIMIT = 90.0

_CONTAINER = f"""
import asyncio, os
from synth_pools.container import Container
container = Container("outages", concurrency={WIDTH})
@container.rollout
async def episode(rollout):
    with open(os.environ["STARTS"], "a") as file:
        file.write(f"{{rollout.seed}}\\n")
    await asyncio.sleep({SECONDS})
    return 1.0
"""
_PROGRAM = f"""
import sys
from synth_pools import ContainerPoolsClient
url, key = sys.argv[1:]
with ContainerPoolsClient(backend_base=url, api_key=key) as client:
    requests = [{{"seed": seed, "limits": {{"max_attempts": 2}}}} for seed in range({EPISODES})]
    fleet = client.rollouts.run_many("p", requests, max_in_flight=8, journal="run.jsonl")
    print(fleet.run().completed)
"""
_LOOP = f"""
import asyncio, sys, uuid, httpx
async def main():
    places = asyncio.Semaphore({WIDTH})
    async with httpx.AsyncClient(timeout=60) as client:
        async def one(seed):
            async with places:
                body = {{"rollout_id": uuid.uuid4().hex, "seed": seed}}
                answer = await client.post(sys.argv[1] + "/rollouts", json=body)
                return answer.json()["status"] == "completed"
        ends = await asyncio.gather(*map(one, range({EPISODES})), return_exceptions=True)
    print(sum(end is True for end in ends))
asyncio.run(main())
"""


class Cable:
    """Forwards connections to a port, until it is cut and after it is mended."""

    def __init__(self, port: int) -> None:
        self._target = port
        self._is_cut = False
        self._open: set[socket.socket] = set()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def cut(self, seconds: float) -> None:
        """Break what is open, and let nothing through for some seconds."""
        self._is_cut = True
        for side in list(self._open):
            with contextlib.suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)
        time.sleep(seconds)
        self._is_cut = False

    def _accept(self) -> None:
        while True:
            client, _ = self._server.accept()
            with contextlib.suppress(OSError):
                if self._is_cut:
                    client.close()
                    continue
                target = socket.create_connection(("127.0.0.1", self._target))
                self._open |= {client, target}
                for pair in ((client, target), (target, client)):
                    threading.Thread(target=self._copy, args=pair, daemon=True).start()

    @staticmethod
    def _copy(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)


class Place:
    """A folder with a container, and the processes of one measurement."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port, self.container_port = _free_port(), _free_port()
        self.container = f"http://127.0.0.1:{self.container_port}"
        self._processes: list[subprocess.Popen[str]] = []
        (folder / "played.py").write_text(_CONTAINER)
        port = ("--port", str(self.container_port))
        self.start(sys.executable, "-m", "synth_pools.container", "played.py", *port)
        _until(lambda: _listens(self.container_port))

    @property
    def starts(self) -> list[str]:
        path = self.folder / "starts"
        return path.read_text().split() if path.exists() else []

    def start(self, *words: str, **variables: str) -> subprocess.Popen[str]:
        names = {"STARTS": str(self.folder / "starts"), "PYTHONPATH": str(self.folder), **variables}
        process = subprocess.Popen(
            words,
            cwd=self.folder,
            env={**os.environ, **names},
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._processes.append(process)
        return process

    def program(self, text: str, *words: str) -> subprocess.Popen[str]:
        return self.start(sys.executable, "-c", text, *words)

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


def of_synth_pools(place: Place, event: str) -> str:
    """Run the fleet of a program on `synth-pools serve`."""
    key = "the-key-of-this-measurement"
    words = ("serve", "--data-dir", "data", "--port", str(place.port))

    def serve() -> subprocess.Popen[str]:
        server = place.start(sys.executable, "-m", "synth_pools", *words, SYNTH_POOLS_API_KEY=key)
        _until(lambda: _listens(place.port))
        return server

    server = serve()
    cable = Cable(place.port)
    pool = {"pool_id": "p", "name": "p", "container_url": place.container, "concurrency": WIDTH}
    headers = {"authorization": f"Bearer {key}"}
    httpx.post(f"{cable.url}/v1/pools", json=pool, headers=headers).raise_for_status()
    program = place.program(_PROGRAM, cable.url, key)
    _until(lambda: len(place.starts) > 0)
    time.sleep(MOMENT)
    if event == "server":
        server.send_signal(signal.SIGKILL)
        time.sleep(AWAY)
        serve()
    elif event == "network":
        cable.cut(AWAY)
    else:
        program.kill()
        program = place.program(_PROGRAM, cable.url, key)
    return program.communicate(timeout=LIMIT)[0].strip()


def of_a_loop(place: Place, event: str) -> str:
    """Run a loop of one's own, which is its own server."""
    cable = Cable(place.container_port)
    program = place.program(_LOOP, cable.url)
    _until(lambda: len(place.starts) > 0)
    time.sleep(MOMENT)
    if event == "network":
        cable.cut(AWAY)
    else:
        program.kill()
        program = place.program(_LOOP, cable.url)
    return program.communicate(timeout=LIMIT)[0].strip()


def main() -> None:
    """Print a row for each tool and event."""
    tools = {"synth-pools": of_synth_pools, "loop": of_a_loop}
    for event in ("server", "network", "program"):
        for name, run in tools.items():
            with temporary_place() as place:
                started_at = time.monotonic()
                completed = run(place, event)
                row = {
                    "tool": name,
                    "event": event,
                    "completed": completed,
                    "starts": len(place.starts),
                    "seconds": round(time.monotonic() - started_at, 1),
                }
                print(json.dumps(row), flush=True)


@contextlib.contextmanager
def temporary_place() -> Iterator[Place]:
    """A place of its own, which is removed at the end."""
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Path(folder))
        try:
            yield place
        finally:
            place.end()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("nothing has started")
        time.sleep(0.05)


if __name__ == "__main__":
    main()
