"""Stub containers on loopback, which obey the `env` of a rollout.

`delay`, `fail` and `reward` mean the same as for the echo target. `hold` delays a rollout until its
release. The first `flaky` requests of a rollout get a 500, the first `forget` ones are accepted and
forgotten. `usage` is reported in the result, `tell` as events. `answer` asks for a wrong or broken
response or a polled rollout: "later" ends at the second poll, "pending" too, but is accepted with
200, and "asked" ends after its release. `echo_key`
puts the key of the container in every possible place. Every request is recorded.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, unquote

# Behaviours of the GET endpoints; "first" and "twin" act like "good", for one pool each.
BEHAVIOURS = ("good", "first", "twin", "bare", "broken")
INFO = {
    "runtime": {"name": "contract kit"},
    "capabilities": {"rollout_modes": ["sync"]},
    "metadata": {"text": "Grüße, 世界 🌍", "list": [1, 2.5, None, True]},
}
METADATA = {"what": "metadata", "nested": {"deep": [{"x": 1}]}}
TASK_INFO = {"task": {"task_id": "kit", "n": [1, None]}, "metadata": {"text": "Grüße"}}
PROGRAM = {"name": "kit", "steps": [{"x": 1.5}]}
TASKSET = {"name": "kit", "tasks": [], "nested": {"deep": True}}
HEALTH = {"status": "ok", "contract_version": "2026-05-28", "healthy": True}
_KNOWN = {
    "/health": HEALTH,
    "/info": INFO,
    "/metadata": METADATA,
    "/task_info": TASK_INFO,
    "/program": PROGRAM,
    "/taskset": TASKSET,
}
# Longer than any scenario lasts; a scenario releases its rollouts.
_HELD_SECONDS = 600.0
# Seconds of a turn of the loops that accept connections, and the share of the longest lateness that
# remains after each turn.
TURN_SECONDS = 0.05
_FORGET = 0.995
ARTIFACT = {"content": "hello", "content_type": "text/plain", "metadata": {"n": 1}}


@dataclass(frozen=True, slots=True)
class ReceivedRequest:
    """A request that a stub container received.

    Attributes:
        behaviour: The container.
        path: The path.
        body: The JSON of its body, or None.
        purpose: The header `x-synth-pools-call`.
        query: The query, as it was sent.
    """

    behaviour: str
    path: str
    body: Any
    purpose: str | None = None
    query: str = ""


@dataclass(slots=True)
class ReceivedRequests:
    """Requests that stub containers received, and the rollouts that they were asked to end."""

    received: list[ReceivedRequest] = field(default_factory=list)
    terminated: set[str] = field(default_factory=set)
    released: set[str] = field(default_factory=set)
    # Requests of polled rollouts, and True after the first poll.
    later: dict[str, tuple[dict[str, Any], bool]] = field(default_factory=dict)
    # Bytes of submissions, of their answers, of all requests and of all answers, by rollout.
    sizes: dict[str, tuple[int, int, int, int]] = field(default_factory=dict)
    # Received keys of containers, by rollout; a secret.
    keys: dict[str, str] = field(default_factory=dict, repr=False)
    # Most seconds that a connection recently waited for a running container.
    lateness: float = 0.0
    closing: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def note_turn(self, late: float) -> None:
        """Record how long connections may have waited for a container."""
        with self.lock:
            self.lateness = max(late, _FORGET * self.lateness)

    def note(self, received: ReceivedRequest) -> None:
        with self.lock:
            self.received.append(received)

    def queries(self, mark: str) -> list[dict[str, list[str]]]:
        """Return the queries that contain a text, parsed."""
        with self.lock:
            return [
                parse_qs(request.query, keep_blank_values=True)
                for request in self.received
                if mark in request.query
            ]

    def of_rollout(self, rollout_id: str) -> list[ReceivedRequest]:
        with self.lock:
            return [
                request
                for request in self.received
                if isinstance(request.body, dict) and request.body.get("rollout_id") == rollout_id
            ]

    def sent(self, rollout_id: str, path: str = "/rollouts") -> list[ReceivedRequest]:
        """Return the requests that sent a rollout to a container."""
        return [request for request in self.of_rollout(rollout_id) if request.path == path]

    def was_sent(self, rollout_id: str) -> bool:
        return bool(self.sent(rollout_id))

    def ask(self, rollout_id: str) -> tuple[dict[str, Any], bool] | None:
        """Return the request of a polled rollout, and True if this is a further poll."""
        with self.lock:
            entry = self.later.get(rollout_id)
            if entry is not None:
                self.later[rollout_id] = (entry[0], True)
            return entry

    def count(self, rollout_id: str, sent: int, answered: int, *, submission: bool) -> None:
        """Count the bytes of the bodies of a request about a rollout."""
        submitted = (sent, answered) if submission else (0, 0)
        with self.lock:
            former = self.sizes.get(rollout_id, (0, 0, 0, 0))
            added = (*submitted, sent, answered)
            a, b, c, d = (old + new for old, new in zip(former, added, strict=True))
            self.sizes[rollout_id] = (a, b, c, d)

    def bytes_of(self, rollout_id: str) -> tuple[int, int, int, int]:
        """Return the bytes of a rollout's bodies; see `sizes`."""
        with self.lock:
            return self.sizes.get(rollout_id, (0, 0, 0, 0))

    def was_terminated(self, rollout_id: str) -> bool:
        with self.lock:
            return rollout_id in self.terminated

    def release(self, rollout_id: str) -> None:
        """Let a delayed rollout end."""
        with self.lock:
            self.released.add(rollout_id)

    def is_over(self, rollout_id: str) -> bool:
        """Return True if a rollout was released or terminated, or the containers stop."""
        if self.closing.is_set():
            return True
        with self.lock:
            return rollout_id in self.terminated or rollout_id in self.released


def reported_event(event: dict[str, Any]) -> dict[str, Any]:
    """Return an event for a report; `repeat` becomes a text of that length."""
    return {**event, "text": "x" * event["repeat"]} if "repeat" in event else event


def _count_of(env: dict[str, Any], name: str) -> int:
    """Return a count in `env`, by default 0."""
    value = env.get(name)
    return value if isinstance(value, int) else 0


class StubServer(ThreadingHTTPServer):
    """Server of one stub container; port 0 chooses a free one."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(
        self,
        behaviour: str,
        received: ReceivedRequests,
        port: int = 0,
        handler: type[BaseHTTPRequestHandler] | None = None,
    ) -> None:
        self.behaviour = behaviour
        self.received = received
        self._turned_at: float | None = None
        super().__init__(("127.0.0.1", port), handler or StubHandler)

    def service_actions(self) -> None:
        """Measure how much longer than `TURN_SECONDS` the last turn took."""
        now = time.monotonic()
        if self._turned_at is not None:
            self.turned(max(0.0, now - self._turned_at - TURN_SECONDS))
        self._turned_at = now

    def turned(self, late: float) -> None:
        """Record the lateness of a turn."""
        self.received.note_turn(late)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a backend that hangs up."""


class StubHandler(BaseHTTPRequestHandler):
    """Handler of the requests of a stub container."""

    # The base class declares any server; only a `StubServer` creates this handler.
    server: StubServer  # pyright: ignore[reportIncompatibleVariableOverride]
    protocol_version = "HTTP/1.1"
    timeout = 30
    # Bytes of the body of a request, and its rollout.
    sent = 0
    about = ""
    query = ""

    def parse_request(self) -> bool:
        """Parse the head; `path` is without the query."""
        is_valid = super().parse_request()
        if is_valid:
            self.path, _, self.query = self.path.partition("?")
        return is_valid

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's name
        """Write nothing: the output belongs to the report."""

    def do_GET(self) -> None:
        behaviour = self.server.behaviour
        purpose = self.headers.get("x-synth-pools-call")
        self.server.received.note(ReceivedRequest(behaviour, self.path, None, purpose, self.query))
        self.about = self._rollout_id()
        polled = self.server.received.ask(unquote(self.path.removeprefix("/rollouts/")))
        if polled is not None:
            body, before = polled
            name = str(body.get("rollout_id"))
            if before and self._turn(name) <= _count_of(body["env"], "forget"):
                self._send(404, {"detail": "unknown"})
                return
            if body["env"].get("answer") == "asked":
                before = self.server.received.is_over(name)
            running = {"rollout_id": body.get("rollout_id"), "status": "running"}
            self._send(200, self._outcome(body, body["env"]) if before else running)
        elif self.path.endswith("/events") and self._reported_events() is not None:
            query = parse_qs(self.query)
            after = int((query.get("after_sequence") or query.get("after") or ["0"])[0])
            events = [event for event in self._reported_events() or [] if event["sequence"] > after]
            self._send(200, {"events": events, "cursor": {"after": after, "has_more": False}})
        elif behaviour == "bare":
            self._send(404, {"detail": "not here"})
        elif behaviour == "broken":
            self._broken()
        else:
            answer = _KNOWN.get(self.path)
            self._send(200 if answer else 404, answer or {"detail": "unknown"})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length") or 0))
        body: Any = None
        with contextlib.suppress(ValueError):
            body = json.loads(raw)
        received = self.server.received
        received.note(ReceivedRequest(self.server.behaviour, self.path, body, query=self.query))
        self.sent, self.about = len(raw), self._rollout_id()
        if isinstance(body, dict) and isinstance(body.get("rollout_id"), str):
            self.about = body["rollout_id"]
            if (key := self.headers.get("x-api-key")) is not None:
                with received.lock:
                    received.keys[self.about] = key
        if self.path.endswith("/terminate"):
            with received.lock:
                received.terminated.add(unquote(self.path.split("/")[-2]))
            self._send(200, {"status": "terminated"})
        elif self.path == "/rollout" or (
            self.path == "/rollouts" and self.server.behaviour != "bare"
        ):
            self._rollout(body if isinstance(body, dict) else {})
        else:
            self._send(404, {"detail": "unknown"})

    def _rollout_id(self) -> str:
        """Return the id of the rollout in the path, or ""."""
        parts = self.path.split("/")
        return unquote(parts[2]) if len(parts) > 2 and parts[1] == "rollouts" else ""

    def _reported_events(self) -> list[dict[str, Any]] | None:
        """Return the events to report for the rollout in the path, or None."""
        for request in self.server.received.of_rollout(self._rollout_id()):
            tell = (request.body.get("env") or {}).get("tell")
            if isinstance(tell, list):
                echoes = request.body["env"].get("echo_key") is True
                more = {"key": self.headers.get("x-api-key")} if echoes else {}
                return [reported_event({**event, **more}) for event in tell]
        return None

    def _broken(self) -> None:
        if self.path == "/health":
            self._send(500, {"detail": "not well"})
        elif self.path == "/info":
            self._send_bytes(200, b"<html>hello</html>", "text/html")
        else:
            self._send_bytes(200, b"[1, 2, 3]", "application/json")

    def _rollout(self, body: dict[str, Any]) -> None:
        env = body.get("env")
        env = env if isinstance(env, dict) else {}
        delay = _HELD_SECONDS if env.get("hold") is True else env.get("delay", 0)
        name = str(body.get("rollout_id"))
        if isinstance(delay, int | float) and delay > 0:
            self._pause(float(delay), name)
        turn = self._turn(name)
        if turn <= _count_of(env, "flaky"):
            self._send(500, {"detail": "not this time"})
            return
        response = "later" if turn <= _count_of(env, "forget") else env.get("answer")
        if response == "http_error":
            self._send(500, {"detail": "went wrong"})
        elif response == "refused":
            self._send(409, {"detail": "not this one"})
        elif response == "html":
            self._send_bytes(200, b"<html>hello</html>", "text/html")
        elif response == "array":
            self._send_bytes(200, b"[1, 2, 3]", "application/json")
        elif response == "cut":
            self._cut_short()
        elif response in ("later", "pending", "asked"):
            with self.server.received.lock:
                self.server.received.later[name] = (body, False)
            accepted = 200 if response == "pending" else 202
            self._send(accepted, {"rollout_id": body.get("rollout_id"), "status": "running"})
        elif isinstance(response, int):
            self._send(response, {"detail": "as it was asked"})
        elif isinstance(response, dict):
            self._send(200, response)
        else:
            self._send(200, self._outcome(body, env))

    def _turn(self, rollout_id: str) -> int:
        """Return the number of submissions of a rollout so far."""
        return sum(
            "/rollout" in request.path for request in self.server.received.of_rollout(rollout_id)
        )

    def _outcome(self, body: dict[str, Any], env: dict[str, Any]) -> dict[str, Any]:
        failed = env.get("fail") is True
        reward = env.get("reward", 1.0)
        return {
            "rollout_id": body.get("rollout_id"),
            "status": "failed" if failed else "completed",
            "success_status": "runtime_error" if failed else "success",
            "summary": {"reward": reward},
            "metrics": {"outcome_reward": reward},
            "artifact": [] if failed else [ARTIFACT],
            "echo": body,
            **({"usage": env["usage"]} if "usage" in env else {}),
            **(self._echoed() if env.get("echo_key") is True else {}),
        }

    def _echoed(self) -> dict[str, Any]:
        """Return the key of the container in every possible place of an answer."""
        key = self.headers.get("x-api-key")
        artifact = {**ARTIFACT, "content": f"the key {key} of a container"}
        return {"key": key, "status_detail": f"ran with {key}", "artifact": [artifact]}

    def _pause(self, seconds: float, rollout_id: str) -> None:
        received = self.server.received
        until = time.monotonic() + seconds
        while not received.is_over(rollout_id) and time.monotonic() < until:
            received.closing.wait(min(0.05, max(0.0, until - time.monotonic())))

    def _cut_short(self) -> None:
        head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n"
        self.wfile.write(head + b'{"status": ')
        self.wfile.flush()
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def _send(self, status: int, body: Any) -> None:
        self._send_bytes(status, json.dumps(body).encode(), "application/json")

    def _send_bytes(self, status: int, body: bytes, media_type: str) -> None:
        if self.about:
            submission = self.command == "POST" and not self.path.endswith("/terminate")
            self.server.received.count(self.about, self.sent, len(body), submission=submission)
        self.sent, self.about = 0, ""
        self.send_response(status)
        self.send_header("content-type", media_type)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class StubContainers:
    """Stub containers, one of each behaviour.

    Attributes:
        urls: Their addresses by behaviour, and "nobody" for an address without a listener.
        received: The requests that they received.
    """

    def __init__(self) -> None:
        self.received = ReceivedRequests()
        self.urls: dict[str, str] = {}
        self._running = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as starting:
            for behaviour in BEHAVIOURS:
                server = StubServer(behaviour, self.received)
                starting.callback(server.server_close)
                threading.Thread(
                    target=server.serve_forever, args=(TURN_SECONDS,), daemon=True
                ).start()
                starting.callback(server.shutdown)
                self.urls[behaviour] = f"http://127.0.0.1:{server.server_port}"
            # Bound and never listening, so that no other process takes the port.
            nobody = starting.enter_context(socket.socket())
            nobody.bind(("127.0.0.1", 0))
            self.urls["nobody"] = f"http://127.0.0.1:{nobody.getsockname()[1]}"
            starting.callback(self.received.closing.set)
            self._running = starting.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._running.close()
