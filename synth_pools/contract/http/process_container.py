"""Container that a backend starts as a process and that the kit controls over a connection.

A program that needs only the interpreter: `python -I process_container.py --kit PORT --port PORT`.
It reports its arguments and environment to the kit, and then waits for one word: `listen` makes it
serve rollouts, `exit` ends it, `kill` does so by a signal. It also ends with the kit. Its child
only keeps a connection, by which the kit sees how long the child lives.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

EXIT_CODE = 3
# Nothing but the kernel can end a process by it.
KILLED_BY = signal.SIGKILL
# First lines on standard output and on standard error.
HELLO = "kit: started"
ERROR_HELLO = "kit: started, on standard error"
_SECONDS = 30.0
_REPORTED = ("PORT", "KIT_PORT", "KIT_TEXT", "KIT_JSON", "KIT_NULL", "PATH")


class _Handler(BaseHTTPRequestHandler):
    """Handler of `GET /health` and `POST /rollouts`, which obeys the `env` of a rollout."""

    protocol_version = "HTTP/1.1"
    timeout = _SECONDS
    finished: dict[str, threading.Event] = {}  # noqa: RUF012 - one for all requests
    lock = threading.Lock()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Write nothing: the output is judged."""

    def do_GET(self) -> None:
        health = {"status": "ok", "contract_version": "2026-05-28", "healthy": True}
        self._send(200, health) if self.path == "/health" else self._send(404, {})

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("content-length") or 0)) or b"{}")
        if self.path.endswith("/terminate"):
            self._finished(self.path.split("/")[-2]).set()
            self._send(200, {"status": "terminated"})
            return
        env = body.get("env") or {}
        for line in env.get("lines", ()):
            sys.stdout.write(f"{line}\n")
        for number in range(env.get("many", 0)):
            sys.stdout.write(f"line {number} {'x' * env.get('width', 0)}\n")
        sys.stdout.flush()
        if env.get("die"):
            os._exit(EXIT_CODE)
        self._finished(str(body.get("rollout_id"))).wait(float(env.get("delay", 0)))
        self._send(
            200,
            {
                "rollout_id": body.get("rollout_id"),
                "status": "completed",
                "success_status": "success",
                "metrics": {"outcome_reward": 1.0},
                "pid": os.getpid(),
                "text": os.environ.get("KIT_TEXT"),
            },
        )

    def _finished(self, rollout_id: str) -> threading.Event:
        with self.lock:
            return self.finished.setdefault(rollout_id, threading.Event())

    def _send(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _connected(kit: int, hello: dict[str, Any]) -> socket.socket:
    connection = socket.create_connection(("127.0.0.1", kit), _SECONDS)
    connection.settimeout(None)
    connection.sendall(json.dumps(hello).encode() + b"\n")
    return connection


def _end_with_the_kit(connection: socket.socket) -> None:
    while connection.recv(64):
        pass
    os._exit(0)


def _serve() -> None:
    """Report this process to the kit, and serve or end as the kit orders."""
    options = dict(zip(sys.argv[1::2], sys.argv[2::2], strict=False))
    kit = int(options["--kit"])
    if "--child-of" in options:
        _end_with_the_kit(_connected(kit, {"child_of": int(options["--child-of"])}))
    sys.stdout.write(f"{HELLO}\n")
    sys.stdout.flush()
    sys.stderr.write(f"{ERROR_HELLO}\n")
    hello = {
        "pid": os.getpid(),
        "argv": sys.argv[1:],
        # Other variables of the environment stay private.
        "env": {name: os.environ[name] for name in _REPORTED if name in os.environ},
        "cwd": str(Path.cwd()),
        "has_key": bool(os.environ.get("ENVIRONMENT_API_KEY")),
    }
    child = [sys.executable, "-I", __file__, "--kit", str(kit), "--child-of", str(os.getpid())]
    subprocess.Popen(child, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    connection = _connected(kit, hello)
    order = connection.recv(64).strip()
    if order != b"listen":
        sys.stdout.write("kit: asked to end\n")
        sys.stdout.flush()
        if order == b"kill":
            os.kill(os.getpid(), KILLED_BY)
        os._exit(EXIT_CODE)
    server = ThreadingHTTPServer(("127.0.0.1", int(options["--port"])), _Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    _end_with_the_kit(connection)


if __name__ == "__main__":
    _serve()
