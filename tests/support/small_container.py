"""Container of the standard library alone, which starts in a moment: `SMALL PORT [WORD...]`.

Words after the port add faults: `flood` writes to its output without end; `child` starts a process
that sleeps, `stray` one in another group; `deaf` is never healthy; `stubborn` ignores SIGTERM;
`slow` is healthy after a second. Before a rollout it writes `rollout id, pid, port` to the file in
the variable `LEDGER`. `LEDGERS` names a folder with a file for each process: its lines are the
starts and ends of rollouts, its time of change the last sign of life. It listens at the address in
`HOST`, or on the unix socket in `SOCKET`. The parameter `value` of a rollout is an expression of
Python, whose value is part of the result.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

STARTED = time.monotonic()
BORN = time.time_ns()
BEAT_SECONDS = 0.02
SLEEP = [sys.executable, "-c", "import time; time.sleep(600)"]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Head and body are two writes: the second would wait for the other side.
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path != "/health":
            self.answer(404, {"detail": "unknown"})
        elif "deaf" in sys.argv or ("slow" in sys.argv and time.monotonic() - STARTED < 1):
            self.answer(503, {"healthy": False})
        else:
            self.answer(200, {"status": "ok", "key": self.headers.get("x-api-key")})

    def do_POST(self) -> None:
        payload = json.loads(self.rfile.read(int(self.headers["content-length"])))
        if not self.path.endswith("/rollouts"):
            self.answer(404, {"detail": "unknown"})
            return
        note(f"{payload['rollout_id']} {os.getpid()} {sys.argv[1]}")
        note_time("began", payload["rollout_id"])
        params = payload.get("params") or {}
        time.sleep(params.get("seconds", 0))
        while "until" in params and not Path(params["until"]).exists():
            time.sleep(0.01)
        if params.get("die"):
            os._exit(7)
        note_time("ended", payload["rollout_id"])
        self.answer(
            200,
            {
                "rollout_id": payload["rollout_id"],
                "status": "completed",
                "success_status": "success",
                "summary": {"reward": float(payload.get("seed") or 0)},
                "environment": dict(os.environ),
                "pid": os.getpid(),
                "cwd": str(Path.cwd()),
                "key": self.headers.get("x-api-key"),
                "value": value_of(params.get("value", "None")),
            },
        )

    def answer(self, status: int, document: Any) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        pass


def value_of(expression: str) -> Any:
    try:
        return eval(expression)
    except Exception as error:  # noqa: BLE001 - the test asked for it
        return repr(error)


def note(line: str) -> None:
    if "LEDGER" in os.environ:
        write(Path(os.environ["LEDGER"]), line)


def note_time(kind: str, rollout_id: str) -> None:
    if "LEDGERS" in os.environ:
        write(own_ledger(), f"{kind} {rollout_id} {time.time_ns()}")


def own_ledger() -> Path:
    # Ports and pids are given again.
    return Path(os.environ["LEDGERS"]) / f"{sys.argv[1]}-{os.getpid()}-{BORN}"


def write(path: Path, line: str) -> None:
    # One write of a short line to a file opened for appending: whole, or not there.
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.write(file, f"{line}\n".encode())
    os.close(file)


def tell_of_life() -> None:
    path = own_ledger()
    path.touch()
    while True:
        os.utime(path)
        time.sleep(BEAT_SECONDS)


def flood() -> None:
    while True:
        sys.stdout.write("a line of no interest, and one more of these\n" * 500)


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class SocketHandler(Handler):
    disable_nagle_algorithm = False


class SocketServer(Server):
    address_family = socket.AF_UNIX

    def server_bind(self) -> None:
        self.socket.bind(os.environ["SOCKET"])
        self.server_name, self.server_port = "container", 80


def listener() -> Server:
    if "SOCKET" in os.environ:
        return SocketServer(os.environ["SOCKET"], SocketHandler)  # type: ignore[arg-type]
    return Server((os.environ.get("HOST", "127.0.0.1"), int(sys.argv[1])), Handler)


def main() -> None:
    words = sys.argv[2:]
    if "stubborn" in words:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    elif os.getpid() == 1:
        # The first process of a container gets no signal that it does not ask for.
        signal.signal(signal.SIGTERM, lambda *_: os._exit(143))
    server = listener()
    print("listening at", sys.argv[1], flush=True)
    if "child" in words:
        subprocess.Popen(SLEEP)
    if "stray" in words:
        subprocess.Popen(SLEEP, start_new_session=True)
    if "flood" in words:
        threading.Thread(target=flood, daemon=True).start()
    if "LEDGERS" in os.environ:
        threading.Thread(target=tell_of_life, daemon=True).start()
    server.serve_forever()


if __name__ == "__main__":
    main()
