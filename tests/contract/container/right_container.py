"""Container by hand that keeps the whole protocol, and a server that plants a fault before it."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse

from tests.support.backend_server import eventually
from tests.support.ports import HeldPort

KEY = "key-of-a-container-0123456789"
LINES = "application/x-ndjson"
_DESCRIPTIONS = ("info", "metadata", "task_info", "taskset")


@dataclass
class Call:
    """A request: its parts, and the memory of the fault.

    Attributes:
        method: The method.
        parts: The decoded parts of the path.
        query: The query.
        key: The header X-API-Key.
        body: The JSON body; None if there is none.
        memory: What a fault remembers of earlier requests.
        accept: The header Accept.
    """

    method: str
    parts: list[str]
    query: dict[str, str]
    key: str | None
    body: Any
    memory: dict[str, Any]
    accept: str = ""

    @property
    def route(self) -> str:
        """The route, with `*` in the place of an id."""
        names = ["*" if number == 1 else part for number, part in enumerate(self.parts)]
        return f"{self.method} /{'/'.join(names)}"

    @property
    def id(self) -> str:
        return self.parts[1] if len(self.parts) > 1 else str((self.body or {}).get("rollout_id"))


@dataclass
class Answer:
    """An answer: a status, and JSON, a text, or lines that come one by one."""

    status: int
    body: Any = None
    text: str | None = None
    media_type: str = "application/json"
    lines: AsyncIterator[bytes] | None = None


Ask = Callable[[Call], Awaitable[Answer]]
Act = Callable[[Call, Ask], Awaitable[Answer]]


async def _passed_on(call: Call, ask: Ask) -> Answer:
    return await ask(call)


@dataclass
class _Run:
    id: str
    task: asyncio.Task[None] = field(init=False)
    events: list[dict[str, Any]] = field(default_factory=list)
    status: str = "running"

    async def play(self, seconds: float) -> None:
        self.events += [{"sequence": number, "kind": "step"} for number in (1, 2, 3)]
        try:
            await asyncio.sleep(seconds)
            self.status = "completed"
        except asyncio.CancelledError:
            self.status = "cancelled"
        self.events.append({"sequence": 4, "kind": "end"})

    async def lines(self) -> AsyncIterator[bytes]:
        yield json.dumps({"events": self.events}).encode() + b"\n\n"
        sent = len(self.events)
        await asyncio.wait({self.task})
        yield json.dumps({"events": self.events[sent:]}).encode() + b"\n"
        yield json.dumps({**self.state(), "event_count": len(self.events)}).encode()

    def state(self) -> dict[str, Any]:
        if self.status == "running":
            return {"rollout_id": self.id, "status": "running"}
        picture = base64.b64encode(bytes(range(64))).decode()
        return {
            "rollout_id": self.id,
            "status": self.status,
            "success_status": "success" if self.status == "completed" else "failed",
            "metrics": {"outcome_reward": 0.5},
            "usage": {"input_tokens": 3, "output_tokens": 4, "cost_usd": 0.25},
            "trajectory": {
                "agent": {"name": "right", "version": "1"},
                "steps": [{"step_id": 1, "source": "user", "message": "Go."}],
            },
            "artifact": [{"name": "p.bin", "content": picture, "content_encoding": "base64"}],
        }


@dataclass
class RightContainer:
    """The container; `key` is the one that it wants."""

    key: str | None = None
    runs: dict[str, _Run] = field(default_factory=dict)

    async def __call__(self, call: Call) -> Answer:
        if call.parts == ["health"]:
            return Answer(200, {"status": "ok"})
        if self.key is not None and call.key != self.key:
            return Answer(401, {"detail": "no"})
        if call.method == "GET" and call.parts[0] in _DESCRIPTIONS and len(call.parts) == 1:
            return Answer(200, {"name": "right", "seed": call.query.get("seed")})
        if call.route == "POST /rollouts":
            return await self._submit(call.body, call.accept)
        run = self.runs.get(call.id) if call.parts[0] == "rollouts" else None
        if run is None:
            return Answer(404, {"detail": "Not Found"})
        if call.route == "GET /rollouts/*":
            return Answer(200, run.state())
        if call.route == "GET /rollouts/*/events":
            after, limit = int(call.query["after"]), int(call.query["limit"])
            later = [event for event in run.events if event["sequence"] > after]
            cursor = {"has_more": len(later) > limit}
            return Answer(200, {"events": later[:limit], "cursor": cursor})
        if call.route == "POST /rollouts/*/terminate":
            run.task.cancel()
            await asyncio.wait({run.task})
            return Answer(202, run.state())
        return Answer(404, {"detail": "Not Found"})

    async def _submit(self, body: Any, accept: str) -> Answer:
        identity = body.get("rollout_id") if isinstance(body, dict) else None
        if not isinstance(identity, str):
            return Answer(422, {"detail": "no rollout_id"})
        run = self.runs.get(identity)
        if run is None:
            run = self.runs[identity] = _Run(identity)
            seconds = body.get("env", {}).get("seconds", 0.03)
            run.task = asyncio.create_task(run.play(seconds))
        # Events of the start are there with the first answer.
        await asyncio.sleep(0)
        if LINES in accept:
            return Answer(200, media_type=LINES, lines=run.lines())
        if body.get("submission_mode") == "sync":
            await asyncio.wait({run.task})
        return Answer(200, run.state())


@contextlib.contextmanager
def right_container(
    act: Act = _passed_on, *, key: str | None = None, one_at_a_time: bool = False
) -> Iterator[str]:
    """Yield the URL of a right container behind a fault.

    Args:
        act: The fault.
        key: The key that the container wants.
        one_at_a_time: Whether a request is read only after the one before it.
    """
    container = RightContainer(key)
    memory: dict[str, Any] = {}
    lock = asyncio.Lock()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        try:
            async with lock if one_at_a_time else contextlib.nullcontext():
                raw = await request.body()
        except ClientDisconnect:
            return
        parts = scope["path"].strip("/").split("/")
        call = Call(
            request.method,
            parts,
            dict(request.query_params),
            request.headers.get("x-api-key"),
            json.loads(raw) if raw else None,
            memory,
            request.headers.get("accept", ""),
        )

        answer_task = asyncio.create_task(_answer(act, call, container))
        leaving = asyncio.create_task(_until_left(receive))
        await asyncio.wait({answer_task, leaving}, return_when=asyncio.FIRST_COMPLETED)
        if not answer_task.done():
            memory["left"] = True
        leaving.cancel()
        answer = await answer_task
        text = json.dumps(answer.body) if answer.text is None else answer.text
        response = Response(text, answer.status, media_type=answer.media_type)
        if answer.lines is not None:
            response = StreamingResponse(answer.lines, media_type=answer.media_type)
        await response(scope, receive, send)

    port = HeldPort.kept().number
    config = uvicorn.Config(
        app, "127.0.0.1", port, log_level="error", lifespan="off", timeout_keep_alive=75
    )
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, name="right-container")
    thread.start()
    try:
        eventually(lambda: server.started)
        yield f"http://127.0.0.1:{port}"
    finally:
        # A rollout of a fault may never end.
        server.should_exit = server.force_exit = True
        thread.join(60)


async def _answer(act: Act, call: Call, container: RightContainer) -> Answer:
    return await act(call, container)


async def _until_left(receive: Any) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
