"""Processes of the kit that the backend starts; each reports its start and its end."""

from __future__ import annotations

import contextlib
import json
import socket
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from synth_pools.contract.exceptions import InconclusiveError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.waits import becomes_true
from synth_pools.contract.http import process_container
from synth_pools.contract.http.client import Response
from synth_pools.contract.results import Outcome

# Longer than any scenario waits: the kit decides when a process listens.
_START_SECONDS = 600.0
_LARGEST_HELLO = 1024 * 1024


@dataclass(slots=True)
class KitProcess:
    """Process that the backend started, or a child of it.

    Attributes:
        hello: Its first message: `pid`, `argv`, `env` and `cwd`; `child_of` for a child.
        connection: The connection on which it gets its orders.
        order: Its latest order; "" for none.
        exited: Set once it has ended.
    """

    hello: dict[str, Any]
    connection: socket.socket
    order: str = ""
    exited: threading.Event = field(default_factory=threading.Event)


class KitProcesses:
    """Processes of one scenario, and the sender of their orders.

    Attributes:
        order: The order for a process that starts: "wait", "listen", "exit" or "kill".
    """

    def __init__(self) -> None:
        self.order = "listen"
        self._lock = threading.Lock()
        self._found: list[KitProcess] = []
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        # Each process ends when its connection is closed.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            self._closed = True
            for process in self._found:
                _close(process.connection)

    def definition(self, *words: str, env: Mapping[str, Any] | None = None, **more: Any) -> Any:
        """Return a `config.process`.

        Args:
            *words: Further arguments, which the program ignores.
            env: Further variables.
            **more: Further fields.
        """
        kit = str(self._listener.getsockname()[1])
        program = str(Path(process_container.__file__).resolve())
        argv = [sys.executable, "-I", program, "--kit", kit, "--port", "{port}", *words]
        return {
            "argv": argv,
            "env": {"KIT_PORT": "{port}", **(env or {})},
            "start_timeout_seconds": _START_SECONDS,
            **more,
        }

    def tell(self, order: str) -> None:
        """Give an order to all processes that run or will start."""
        self.order = order
        for process in self.started():
            self._tell(process)

    def started(self) -> list[KitProcess]:
        """Return the processes so far, without their children."""
        with self._lock:
            return [process for process in self._found if "child_of" not in process.hello]

    def alive(self) -> list[KitProcess]:
        """Return the running processes without their children."""
        return [process for process in self.started() if not process.exited.is_set()]

    def running(self) -> list[KitProcess]:
        """Return the running processes with their children."""
        with self._lock:
            return [process for process in self._found if not process.exited.is_set()]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._follow, args=(connection,), daemon=True).start()

    def _follow(self, connection: socket.socket) -> None:
        received = b""
        with contextlib.suppress(OSError), connection:
            while b"\n" not in received and len(received) < _LARGEST_HELLO:
                chunk = connection.recv(65536)
                if not chunk:
                    return
                received += chunk
            process = KitProcess(json.loads(received), connection)
            with self._lock:
                self._found.append(process)
                if self._closed:
                    return
            try:
                if "child_of" not in process.hello:
                    self._tell(process)
                while connection.recv(64):
                    pass
            finally:
                process.exited.set()

    def _tell(self, process: KitProcess) -> None:
        order = self.order
        if order != "wait":
            process.order = order
            # The process may have ended.
            with contextlib.suppress(OSError):
                process.connection.sendall(order.encode() + b"\n")


def kit_processes(ctx: Context) -> KitProcesses:
    """Return processes of the kit, which need a server on this machine.

    Raises:
        InconclusiveError: The server is on another machine.
    """
    if not ctx.session.containers:
        note = "needs a backend on this machine"
        raise InconclusiveError(Outcome.NOT_REACHED, ctx.operations[0], note)
    return KitProcesses()


def process_pool(
    ctx: Context, process: Any, *, config: Mapping[str, Any] | None = None, **more: Any
) -> Response:
    """Create a pool that starts this process.

    Args:
        ctx: The context.
        process: Its `config.process`.
        config: Further fields of its `config`.
        **more: Further fields of its definition.

    Returns:
        The response of the creation.
    """
    name = ctx.resources.name()
    body = {
        **ctx.session.pool_body("x", pool_id=name, name=name),
        "container_url": None,
        "config": {**(config or {}), "process": process},
        **more,
    }
    ctx.session.register_pool(name)
    return ctx.require(201, "create_pool", json=body)


def active_process_pool(ctx: Context, process: Any, **more: Any) -> dict[str, str]:
    """Create a pool that starts this process; return its path parameter once it is active."""
    pool_id = str(process_pool(ctx, process, **more).at("id"))
    ctx.resources.wait_until_active(pool_id)
    return {"pool_id": pool_id}


def delete_and_wait(ctx: Context, pool: dict[str, str], kit: KitProcesses) -> None:
    """Archive a pool, and expect its processes to end."""
    ctx.require(200, "delete_pool", pool)
    wait_for_ends(ctx, pool, kit, "delete_pool", "with their pool")


def wait_for_ends(
    ctx: Context, pool: dict[str, str], kit: KitProcesses, operation: str, when: str
) -> None:
    """Expect the processes of a pool, and all their children, to end after an operation."""
    response = ctx.require(200, "get_pool", pool)
    ctx.judge(operation, response).that(
        f"the processes and all their children end {when}",
        becomes_true(ctx, operation, lambda: not kit.running()),
        f"{len(kit.running())} still run",
    )


def _close(connection: socket.socket) -> None:
    with contextlib.suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
