"""Rollouts whose server is killed, whose network is cut, or whose program is killed.

`python -m bench.outages --write PAGE` has 20 episodes of a second, 4 at a time, run by synth-pools,
by Harbor's server, by the SDK before this one and by a loop of one's own. The container that plays
them is a process of its own, which nobody kills, and which writes a line for each start. With
`--harbor` the program of Harbor is named, with `--synth-ai` a Python that has that SDK.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import httpx

EPISODES, SECONDS, WIDTH = 20, 1.0, 4
# When it happens, and for how long the server or the network is away.
MOMENT, AWAY = 2.5, 2.0
LIMIT = 90.0
EVENTS = {
    "server": "the server is killed, and started again",
    "network": "the network between program and server is cut",
    "program": "the program is killed, and started again",
}

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

# As its documentation has it: create each, and ask for it until it has ended.
_OLDER = f"""
import sys, time
from concurrent.futures import ThreadPoolExecutor
from synth_ai.sdk.pools import ContainerPoolsClient
def one(seed):
    with ContainerPoolsClient(backend_base=sys.argv[1], api_key=sys.argv[2]) as client:
        rollout = client.rollouts.create("p", {{"seed": seed}})
        while rollout["status"] in ("queued", "running"):
            time.sleep(0.2)
            rollout = client.rollouts.get("p", rollout["id"])
        return rollout["status"] == "completed"
def ended(future):
    return future.exception() is None and future.result()
with ThreadPoolExecutor(8) as threads:
    futures = [threads.submit(one, seed) for seed in range({EPISODES})]
print(sum(map(ended, futures)))
"""
# A task of Harbor whose solution has the container play an episode.
_TASK = {
    "task.toml": """
schema_version = "1.4"
[task]
name = "bench/outages"
version = "1.0.0"
[verifier]
environment_mode = "shared"
""",
    "instruction.md": "Play an episode.",
    "environment/Dockerfile": "FROM scratch",
    "solution/solve.sh": """
curl -sf "$CONTAINER/rollouts" -H 'content-type: application/json' \\
  -d "{\\"rollout_id\\": \\"$(cat /proc/sys/kernel/random/uuid)\\", \\"seed\\": 1}" \\
  > /app/answer.json
""",
    "tests/test.sh": """
grep -c '"completed"' /app/answer.json > /logs/verifier/reward.txt
""",
}

_HARBOR = {"HARBOR_TELEMETRY": "0", "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
_PARTS = Path(__file__).parent.parent / "tests" / "environments"


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
            try:
                if self._is_cut:
                    raise ConnectionError
                target = socket.create_connection(("127.0.0.1", self._target))
            except OSError:
                client.close()
                continue
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

    def start(
        self, *words: str, output: int = subprocess.DEVNULL, variables: Mapping[str, str] = _HARBOR
    ) -> subprocess.Popen[str]:
        names = {
            "STARTS": str(self.folder / "starts"),
            "PYTHONPATH": f"{self.folder}:{_PARTS}",
            **variables,
        }
        process = subprocess.Popen(
            words,
            cwd=self.folder,
            env={**os.environ, **names},
            stdout=output,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        self._processes.append(process)
        return process

    def end(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()


class Counts(NamedTuple):
    """Numbers of rollouts at the end of a measurement."""

    completed: int
    """Rollouts that the program counts as completed."""
    stored: int | None = None
    """Completed rollouts that its server has, where that is a process of its own."""
    resumed: int | None = None
    """Completed rollouts after what its server had paused was resumed, and the failed repeated."""


def of_synth_pools(place: Place, event: str) -> Counts:
    """Run the fleet of a program on `synth-pools serve`."""
    return _of_pools(place, event, sys.executable, _PROGRAM)


def of_the_older(python: str) -> Callable[[Place, str], Counts]:
    """Run threads of the SDK before this one on the same server, which speaks its API."""
    return lambda place, event: _of_pools(place, event, python, _OLDER)


def _of_pools(place: Place, event: str, python: str, text: str) -> Counts:
    key = "the-key-of-this-measurement"
    words = ("serve", "--data-dir", "data", "--port", str(place.port))

    def serve() -> subprocess.Popen[str]:
        server = place.start(
            sys.executable, "-m", "synth_pools", *words, variables={"SYNTH_POOLS_API_KEY": key}
        )
        _until(lambda: _listens(place.port))
        return server

    server = serve()
    cable = Cable(place.port)
    pool = {"pool_id": "p", "name": "p", "container_url": place.container, "concurrency": WIDTH}
    with httpx.Client(
        base_url=f"http://127.0.0.1:{place.port}/v1", headers={"authorization": f"Bearer {key}"}
    ) as client:
        client.post("/pools", json=pool).raise_for_status()
        program = _interrupted(
            place, event, (python, "-c", text, cable.url, key), cable, server, serve
        )
        completed = int(program.communicate(timeout=LIMIT)[0] or 0)

        def count(state: str) -> int:
            page = client.get("/pools/p/rollouts", params={"state": state, "limit": 100}).json()
            return len(page["items"])

        _until(lambda: count("queued") + count("running") == 0)
        return Counts(completed, count("completed"))


def of_harbor(harbor: str) -> Callable[[Place, str], Counts]:
    """Run `harbor run --server --watch` on `harbor serve`."""

    def run(place: Place, event: str) -> Counts:
        for path, text in _TASK.items():
            file = place.folder / "task" / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text.lstrip())
        task = str(place.folder / "task")
        job = {
            "tasks": [{"path": task}],
            "agents": [{"name": "oracle"}],
            "n_attempts": EPISODES,
            "n_concurrent_trials": WIDTH,
            "environment": {"import_path": "harbor_parts:LocalEnvironment"},
        }
        (place.folder / "job.json").write_text(json.dumps(job))
        words = ("serve", "--data-dir", "data", "--port", str(place.port))

        def serve() -> subprocess.Popen[str]:
            server = place.start(
                harbor, *words, variables={"CONTAINER": place.container, **_HARBOR}
            )
            _until(lambda: _listens(place.port))
            return server

        server = serve()
        cable = Cable(place.port)
        command = (harbor, "run", "--config", "job.json", "--server", cable.url, "--watch")
        program = _interrupted(place, event, command, cable, server, serve)
        program.communicate(timeout=LIMIT)
        url = f"http://127.0.0.1:{place.port}"
        items: list[dict[str, Any]] = []

        def has_settled() -> bool:
            items[:] = httpx.get(f"{url}/rollouts", params={"page_size": 100}).json()["items"]
            return all(item["state"] in ("finished", "cancelled", "paused") for item in items)

        def count() -> int:
            _until(has_settled)
            return sum((item["rewards"] or {}).get("reward") == 1 for item in items)

        stored, resumed = count(), None
        if any(item["state"] == "paused" for item in items):
            for job_id in {item["job_id"] for item in items}:
                httpx.post(f"{url}/jobs/{job_id}/resume", timeout=LIMIT).raise_for_status()
            for item in items:
                if item["error_type"]:
                    httpx.post(
                        f"{url}/rollouts/{item['id']}/retry", timeout=LIMIT
                    ).raise_for_status()
            resumed = count()
        return Counts(EPISODES if program.returncode == 0 else 0, stored, resumed)

    return run


def of_a_loop(place: Place, event: str) -> Counts:
    """Run a loop of one's own, which is its own server."""
    cable = Cable(place.container_port)
    command = (sys.executable, "-c", _LOOP, cable.url)
    program = _interrupted(place, "program" if event == "server" else event, command, cable)
    return Counts(int(program.communicate(timeout=LIMIT)[0]))


def _interrupted(
    place: Place,
    event: str,
    command: tuple[str, ...],
    cable: Cable,
    server: subprocess.Popen[str] | None = None,
    serve: Callable[[], object] = lambda: None,
) -> subprocess.Popen[str]:
    """Start a program, let the event happen, and return the program that runs then."""
    program = place.start(*command, output=subprocess.PIPE)
    _until(lambda: len(place.starts) > 0)
    time.sleep(MOMENT)
    if event == "network":
        cable.cut(AWAY)
    elif event == "server" and server is not None:
        server.send_signal(signal.SIGKILL)
        time.sleep(AWAY)
        serve()
    else:
        program.kill()
        program = place.start(*command, output=subprocess.PIPE)
    return program


def main() -> None:
    """Print a row for each tool and event."""
    parser = argparse.ArgumentParser(prog="python -m bench.outages", description=__doc__)
    parser.add_argument("--harbor", metavar="PROGRAM", help="`harbor` 0.26, in an environment")
    parser.add_argument("--synth-ai", metavar="PYTHON", help="of an environment with synth-ai")
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the page there")
    options = parser.parse_args()
    tools: dict[str, Callable[[Place, str], Counts]] = {"synth-pools": of_synth_pools}
    if options.harbor:
        tools["harbor serve"] = of_harbor(str(Path(options.harbor).absolute()))
    if options.synth_ai:
        tools["synth-ai"] = of_the_older(str(Path(options.synth_ai).absolute()))
    tools["a loop"] = of_a_loop
    head = ("what happens", "run by", "the program has", "its server has", "resumed", "starts")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for event, name in itertools.product(EVENTS, tools):
        with temporary_place() as place:
            counts = tools[name](place, event)
            numbers = ["" if number is None else str(number) for number in counts]
            row = (EVENTS[event], name, *numbers, str(len(place.starts)))
            lines.append(f"| {' | '.join(row)} |")
            print(lines[-1], flush=True)
    if options.write is not None:
        before, _, after = re.split(r"(?m)((?:^\|.*\n)+)", options.write.read_text(), maxsplit=1)
        page = before + "\n".join(lines) + "\n" + after
        today = datetime.now(UTC).date().isoformat()
        options.write.write_text(re.sub(r"(?<=on )\d{4}-\d\d-\d\d", today, page, count=1))


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
