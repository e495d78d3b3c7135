"""Graceful shutdown of open requests.

uvicorn itself cancels the requests, which cuts off an event stream in the middle of its encoding (a
client sees a broken connection) and logs a traceback for each.
"""

from __future__ import annotations

import asyncio
import json

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from synth_pools.backend.domain import clock
from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.server.protocol import EVENT_STREAM


class GracefulShutdown:
    """The outermost ASGI application; `drain` may be called once, in the loop of the server."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._open: set[_OpenRequest] = set()
        self._stopping = asyncio.Event()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        task = asyncio.current_task()
        if scope["type"] != "http" or task is None:
            await self._app(scope, receive, send)
            return
        request = _OpenRequest(task, scope, send)
        if self._stopping.is_set():
            await request.finish()
            return
        self._open.add(request)
        try:
            await self._app(scope, receive, request.send)
        except asyncio.CancelledError:
            if not self._stopping.is_set():
                raise
            task.uncancel()
            await request.finish()
        finally:
            self._open.discard(request)

    async def drain(self, grace: float) -> None:
        """End event streams at once, other requests after the grace.

        Args:
            grace: Seconds that other requests have to end by themselves.
        """
        self._stopping.set()
        await self._end([request for request in self._open if request.is_stream], grace)
        if self._open:
            await asyncio.wait([request.task for request in self._open], timeout=grace)
        await self._end(list(self._open), grace)

    async def _end(self, requests: list[_OpenRequest], grace: float) -> None:
        for request in requests:
            request.task.cancel()
        if requests:
            # A limit here too: a client that reads nothing keeps its last bytes from being sent.
            await asyncio.wait([request.task for request in requests], timeout=grace)


class _OpenRequest:
    def __init__(self, task: asyncio.Task[object], scope: Scope, send: Send) -> None:
        self.task = task
        self._scope = scope
        self.is_stream = False
        self._send = send
        self._started = False
        self._finished = False

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._started = True
            headers = dict(message.get("headers", ()))
            self.is_stream = headers.get(b"content-type", b"").startswith(b"text/event-stream")
            if self.is_stream:
                self._scope.setdefault("extensions", {})[EVENT_STREAM] = None
        elif message["type"] == "http.response.body":
            self._finished = not message.get("more_body", False)
        await self._send(message)

    async def finish(self) -> None:
        """Complete the response if it has begun; otherwise answer 503."""
        if self._finished:
            return
        body = b""
        if not self._started:
            request_id = clock.new_id("req")
            error = ApiError(
                503,
                "backend_stopping",
                "the backend is stopping; send the request again when it runs",
                retryable=True,
                retry_after_seconds=1,
            )
            body = json.dumps(error.document(request_id)).encode()
            await self._send(
                {
                    "type": "http.response.start",
                    "status": 503,
                    "headers": [
                        (b"content-type", b"application/json"),
                        (b"content-length", str(len(body)).encode()),
                        (b"retry-after", b"1"),
                        (b"x-request-id", request_id.encode()),
                        (b"connection", b"close"),
                    ],
                }
            )
        await self._send({"type": "http.response.body", "body": body, "more_body": False})
