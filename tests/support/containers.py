"""Containers in the process of a test: odd bytes, rollouts until a release, or a real container.

`odd_container` answers with bytes on a raw socket, the rollouts of `holding_containers` last until
the test releases them, and `real_container` is made with synth-containers.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import uvicorn
from synth_containers import Container, create_reference_app
from synth_containers.capabilities import RuntimeMetadata, TaskInfo
from synth_containers.nouns import ExecutionRecord
from synth_containers.sdk import RolloutResult

from tests.support.backend_server import eventually
from tests.support.container_process import wait_for_file
from tests.support.ports import HeldPort


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


# Longer than any test waits: it only ends what a failed test left.
_LONGEST_SECONDS = 120.0

# The bytes to answer with, after which the connection is closed; None: no answer, ever.
Answer = Callable[[Seen], bytes | None]


@dataclass
class OddContainer:
    url: str
    requests: list[Seen] = field(default_factory=list)
    # Health checks of the backend, which come beside the requests of a test.
    checks: list[Seen] = field(default_factory=list)
    # Set for each connection that the other side has closed while it waited for an answer.
    disconnected: threading.Event = field(default_factory=threading.Event)

    def paths(self) -> list[str]:
        # The backend also asks for events of a rollout that takes longer than a moment.
        paths = [f"{request.method} {request.path}" for request in self.requests]
        return [path for path in paths if "/events?" not in path]


def http(status: int, body: Any, **headers: str) -> bytes:
    """Write a response; a body other than bytes is sent as JSON."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(content)}", "connection: close"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def _is_well(_: Seen) -> bytes:
    return http(200, {"healthy": True})


def _without_events(_: Seen) -> bytes:
    return http(404, {"detail": "Not Found"})


@contextmanager
def odd_container(
    answer: Answer,
    check: Answer = _is_well,
    port: HeldPort | None = None,
    *,
    events: Answer = _without_events,
) -> Iterator[OddContainer]:
    """`check` answers the health checks of the backend, `answer` everything else.

    `events` answers requests for events, which come beside a rollout that takes longer than a
    moment.
    """
    # A shared backend goes on checking this address after the end of the test.
    listener = (port or HeldPort.kept()).listener()
    listener.listen(64)
    container = OddContainer(f"http://127.0.0.1:{listener.getsockname()[1]}")
    stop = threading.Event()
    threads: list[threading.Thread] = []

    def answers(request: Seen) -> bytes | None:
        if request.headers.get("x-synth-pools-call") == "health-check":
            return check(request)
        return (events if "/events?" in request.path else answer)(request)

    def accept() -> None:
        while not stop.is_set():
            connection, _ = listener.accept()
            thread = threading.Thread(
                target=_serve, args=(connection, answers, container, stop), daemon=True
            )
            threads.append(thread)
            thread.start()

    acceptor = threading.Thread(target=accept, daemon=True)
    acceptor.start()
    try:
        yield container
    finally:
        stop.set()
        # The acceptor waits for one more, and then sees that it is the last.
        socket.create_connection(listener.getsockname(), timeout=60).close()
        for thread in (acceptor, *threads):
            thread.join(5)
        listener.close()


def _serve(
    connection: socket.socket, answer: Answer, container: OddContainer, finished: threading.Event
) -> None:
    with connection:
        connection.settimeout(_LONGEST_SECONDS)
        observed = _read(connection)
        if observed is None:
            return
        is_check = observed.headers.get("x-synth-pools-call") == "health-check"
        (container.checks if is_check else container.requests).append(observed)
        response = answer(observed)
        if response is not None:
            # The client may have read enough, and left.
            with contextlib.suppress(ConnectionError):
                connection.sendall(response)
            return
        connection.settimeout(0.05)
        deadline = time.monotonic() + _LONGEST_SECONDS
        while not finished.is_set() and time.monotonic() < deadline:
            try:
                if connection.recv(1) == b"":
                    container.disconnected.set()
                    return
            except TimeoutError:
                continue
            except OSError:
                container.disconnected.set()
                return


def _read(connection: socket.socket) -> Seen | None:
    data = b""
    while b"\r\n\r\n" not in data:
        if not (piece := _receive(connection)):
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    request, *lines = head.decode("latin-1").split("\r\n")
    method, path, _ = request.split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (x.partition(":") for x in lines)}
    while len(body) < int(headers.get("content-length", 0)):
        if not (piece := _receive(connection)):
            return None
        body += piece
    return Seen(method, path, headers, body)


def _receive(connection: socket.socket) -> bytes:
    # A client whose limit is over may leave before its request is here.
    with contextlib.suppress(ConnectionError):
        return connection.recv(65536)
    return b""


class Holding:
    """Let a number of rollouts end with each call of `release`, the oldest first or not."""

    def __init__(self) -> None:
        self._free = threading.Semaphore(0)
        self.container: OddContainer

    def __call__(self, request: Seen) -> bytes | None:
        if request.method == "POST" and request.path == "/rollouts":
            if not self._free.acquire(timeout=_LONGEST_SECONDS):
                return None
            rollout_id = request.json["rollout_id"]
            return http(200, {"rollout_id": rollout_id, "status": "completed", "reward": 1})
        return http(200, {"status": "ok"})

    @property
    def url(self) -> str:
        return self.container.url

    @property
    def ran(self) -> list[str]:
        """The ids of the rollouts that it was sent."""
        return [
            item.json["rollout_id"] for item in self.container.requests if item.method == "POST"
        ]

    def wait_for(self, number: int) -> None:
        eventually(lambda: len(self.ran) >= number)

    def release(self, number: int = 1) -> None:
        self._free.release(number)


@contextmanager
def holding_containers(number: int) -> Iterator[list[Holding]]:
    with contextlib.ExitStack() as stack:
        started = []
        for _ in range(number):
            holding = Holding()
            holding.container = stack.enter_context(odd_container(holding))
            # Requests that still wait must not delay the end.
            stack.callback(holding.release, 1000)
            started.append(holding)
        yield started


@contextmanager
def real_container() -> Iterator[str]:
    """Yield its URL. The reward is the seed; `params.raise` lets the rollout function raise.

    `params.packaged` lets it answer with the package's own `RolloutResult`. A rollout takes
    `params.seconds`, and then lasts until the file `params.until` exists; for `params.blocks`
    seconds, or until the file `params.blocks_until` exists, it blocks the event loop, as a plain
    `def` does.
    """
    container = Container("arithmetic", default_submission_mode="sync")

    @container.rollout
    async def rollout(payload: dict[str, Any]) -> dict[str, Any]:
        params = payload.get("params") or {}
        await asyncio.sleep(params.get("seconds", 0))
        if "until" in params:
            await asyncio.to_thread(wait_for_file, Path(params["until"]))
        time.sleep(params.get("blocks", 0))  # noqa: ASYNC251 - that is what is wanted
        if "blocks_until" in params:
            wait_for_file(Path(params["blocks_until"]))
        if params.get("raise"):
            raise RuntimeError("the rollout function raised")
        if params.get("packaged"):
            reward = float(payload.get("seed") or 0)
            return dict(RolloutResult(payload["rollout_id"], reward).to_dict())
        return {
            "rollout_id": payload["rollout_id"],
            "status": "completed",
            "success_status": "success",
            "created_at": "2026-01-01T00:00:00Z",
            "updated_at": "2026-01-01T00:00:01Z",
            "summary": {"reward": float(payload.get("seed") or 0)},
            "seen": payload,
        }

    with container.serve(port=HeldPort.kept().number) as handle:
        yield handle.url


class _Steps:
    """Runtime of synth-containers whose rollouts run until a test releases them."""

    def __init__(self, ends: threading.Event) -> None:
        self._ends = ends
        self._steps: dict[str, int] = {}

    def metadata(self) -> RuntimeMetadata:
        return RuntimeMetadata("steps", "steps")

    def task_info(self) -> TaskInfo:
        raise NotImplementedError

    async def submit_rollout(self, request: dict[str, Any]) -> ExecutionRecord:
        self._steps[request["rollout_id"]] = 0
        return self._record(request["rollout_id"])

    async def get_execution(self, rollout_id: str) -> ExecutionRecord | None:
        return self._record(rollout_id) if rollout_id in self._steps else None

    async def get_execution_state(self, rollout_id: str) -> ExecutionRecord | None:
        """Report one step more each time."""
        if rollout_id not in self._steps:
            return None
        if not self._ends.is_set():
            self._steps[rollout_id] += 1
        return self._record(rollout_id)

    def _record(self, rollout_id: str) -> ExecutionRecord:
        finished = self._ends.is_set()
        return ExecutionRecord(
            rollout_id,
            "trace",
            status="completed" if finished else "running",
            success_status="success" if finished else "running",
            created_at="2026-01-01T00:00:00Z",
            updated_at=f"2026-01-01T00:00:{self._steps[rollout_id] % 60:02}Z",
            summary={"reward": 1.0},
        )


@contextmanager
def telling_container() -> Iterator[tuple[str, threading.Event]]:
    """Yield the URL of a container that sends events, as the package does, and their release."""
    ends = threading.Event()
    app = create_reference_app(_Steps(ends))
    port = HeldPort.kept().number
    config = uvicorn.Config(app, "127.0.0.1", port, log_level="error", timeout_keep_alive=75)
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="telling-container")
    thread.start()
    try:
        eventually(lambda: server.started)
        yield f"http://127.0.0.1:{port}", ends
    finally:
        ends.set()
        server.should_exit = True
        thread.join(60)
