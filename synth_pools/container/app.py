"""Routes of the container protocol, as an ASGI application."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import json
import os
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from synth_pools.container.encoding import write_json
from synth_pools.container.ends import Episode
from synth_pools.container.episodes import Definition, Episodes, RefusedError, limit_of

# Variable with the key that callers need, set by the pool that starts the container.
_KEY = "ENVIRONMENT_API_KEY"
_LARGEST_REQUEST = 64 * 1024 * 1024
_MOST_EVENTS = 1000
# Media type of an answer with events before it, each page on a line.
_LINES = "application/x-ndjson"
_JSON = "application/json"
_LINE_EVENTS = 50
# Size from which a pool reserves memory for an answer by its length, which lines do not have.
_LARGE_ANSWER = 256 * 1024
# Events of this time share a line. A line costs a pool as much as many events, so each comes no
# sooner than a longer time after the one before.
_GATHER_SECONDS = 0.02
_LINE_SECONDS = 0.25
# Short episodes have no line but the last. A pool asks for events a little later than this.
_FIRST_LINE_SECONDS = 0.4
_VERSION = "2026-05-28"

_Handler = Callable[[Request], Awaitable[Response]]


def container_app(definition: Definition, episodes: Episodes | None = None) -> Starlette:
    """Create the application of a container.

    Args:
        definition: The container.
        episodes: Its rollouts; None to set it up in the lifespan of the application.
    """
    handlers = _Handlers(definition, episodes)
    # An id may hold anything, once it is decoded.
    rollout = "/rollouts/{rollout_id:path}"
    routes = [
        ("GET", "/health", handlers.health),
        ("GET", "/info", handlers.info),
        ("GET", "/metadata", handlers.info),
        ("GET", "/task_info", handlers.task_info),
        ("GET", "/taskset", handlers.taskset),
        ("GET", "/program", handlers.program),
        ("POST", "/rollouts", handlers.submit),
        ("POST", "/rollout", handlers.submit),
        ("GET", f"{rollout}/events", handlers.events),
        ("POST", f"{rollout}/terminate", handlers.terminate),
        ("GET", rollout, handlers.state),
    ]
    return Starlette(
        routes=[Route(path, _guarded(handle), methods=[method]) for method, path, handle in routes],
        lifespan=handlers.lifespan,
    )


def _guarded(handle: _Handler) -> _Handler:
    key = os.environ.get(_KEY, "").encode()

    async def guarded(request: Request) -> Response:
        if key and not hmac.compare_digest(request.headers.get("x-api-key", "").encode(), key):
            return _answer({"detail": "X-API-Key is not the key of this container."}, 401)
        try:
            return await handle(request)
        except RefusedError as refused:
            return _answer({"detail": refused.detail}, refused.status)

    return guarded


class _Handlers:
    def __init__(self, definition: Definition, episodes: Episodes | None) -> None:
        self._definition = definition
        self._episodes = episodes

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self._episodes = Episodes(self._definition)
        async with self._episodes.open():
            yield

    @property
    def _all(self) -> Episodes:
        if self._episodes is None:
            raise RefusedError(503, "The container was not set up: its server has no lifespan.")
        return self._episodes

    async def health(self, _: Request) -> Response:
        counts = {status: self._all.count(status) for status in ("running", "queued")}
        if (fault := self._all.fault) is not None:
            return _answer({"status": "unwell", "healthy": False, "detail": fault, **counts}, 503)
        return _answer({"status": "ok", "contract_version": _VERSION, **counts})

    async def info(self, _: Request) -> Response:
        definition = self._definition
        capabilities = {"rollout_modes": ["sync", "async"], "concurrency": definition.concurrency}
        runtime = {"name": definition.name, "description": definition.description}
        return _answer({"runtime": runtime, "capabilities": capabilities, **definition.info})

    async def task_info(self, request: Request) -> Response:
        tasks, task_id = self._all.tasks, request.query_params.get("task_id")
        if task_id is None:
            task = {"task_id": self._definition.name, "description": self._definition.description}
            return _answer({"task": task, "task_count": None if tasks is None else len(tasks)})
        if tasks is None or task_id not in tasks:
            raise RefusedError(404, f"There is no task {task_id!r} here.")
        return _answer({"task": {"task_id": task_id, "metadata": tasks[task_id]}})

    async def taskset(self, _: Request) -> Response:
        tasks = self._all.tasks
        if tasks is None:
            raise RefusedError(404, "This container has no list of tasks.")
        items = [{"task_id": task_id, "metadata": tasks[task_id]} for task_id in tasks]
        return _answer({"tasks": items})

    async def program(self, _: Request) -> Response:
        if self._definition.program is None:
            raise RefusedError(404, "This container describes no program.")
        return _answer({"program": self._definition.program})

    async def submit(self, request: Request) -> Response:
        body = await _body_of(request)
        limit_seconds = None
        with contextlib.suppress(KeyError, ValueError):
            limit_seconds = limit_of(float(request.headers["x-synth-pools-timeout"]))
        episode = self._all.submit(body, limit_seconds)
        if body.get("submission_mode") == "async":
            return _json(episode.state(), 200 if episode.ended.is_set() else 202)
        if _LINES not in request.headers.get("accept", ""):
            await episode.ended.wait()
            return _json(episode.state())
        pieces = _pieces(episode)
        first, is_last = await anext(pieces)
        if not is_last:
            return _LiveAnswer(first, pieces)
        # No answer has a line break of its own.
        return Response(first, media_type=_LINES if b"\n" in first else _JSON)

    async def state(self, request: Request) -> Response:
        episode = self._all.find(request.path_params["rollout_id"])
        return _json(episode.state(is_asked=True))

    async def terminate(self, request: Request) -> Response:
        episode = self._all.find(request.path_params["rollout_id"])
        episode.stop("cancelled")
        await episode.ended.wait()
        return _answer({"rollout_id": episode.id, "status": "terminated"})

    async def events(self, request: Request) -> Response:
        episode = self._all.find(request.path_params["rollout_id"])
        query = request.query_params
        after = max(_integer(query, "after", 0), _integer(query, "after_sequence", 0))
        limit = min(max(_integer(query, "limit", _MOST_EVENTS), 1), _MOST_EVENTS)
        is_ended = episode.ended.is_set()
        texts, has_more = episode.events(after, limit)
        cursor = {
            "after": after,
            "next": after + len(texts),
            "has_more": has_more,
            "closed": is_ended and not has_more,
        }
        head = write_json({"rollout_id": episode.id, "cursor": cursor})[:-1]
        return _json(f'{head},"events":[{",".join(texts)}]}}'.encode())


async def _pieces(episode: Episode) -> AsyncIterator[tuple[bytes, bool]]:
    """Yield an answer with events as they happen, each piece with whether it is the last.

    The first one is an empty line where nothing happens in a while.
    """
    after, pause, is_last = 0, _FIRST_LINE_SECONDS, False
    while not is_last:
        # Until then nothing is sent, so that no event has to wake this task.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(pause):
                await episode.ended.wait()
        is_ended = episode.ended.is_set()
        texts, has_more = episode.events(after, _LINE_EVENTS)
        line = f'{{"events":[{",".join(texts)}]}}\n' if texts else "" if is_ended else "\n"
        is_last, after = is_ended and not has_more, after + len(texts)
        yield line.encode() + (episode.state(_LARGE_ANSWER) if is_last else b""), is_last
        due = time.monotonic() + _LINE_SECONDS
        await episode.has_news(after)
        _, is_full = episode.events(after, _LINE_EVENTS)
        pause = 0.0 if is_full else max(_GATHER_SECONDS, due - time.monotonic())


class _LiveAnswer(Response):
    """Answer of a rollout that runs: its events as they happen, and then its end."""

    def __init__(self, first: bytes, rest: AsyncIterator[tuple[bytes, bool]]) -> None:
        super().__init__(first, media_type=_LINES)
        del self.headers["content-length"]
        self._rest = rest

    async def __call__(self, _: Scope, __: Receive, send: Send) -> None:
        head = {"type": "http.response.start", "status": 200, "headers": self.raw_headers}
        await send(head)
        await send({"type": "http.response.body", "body": self.body, "more_body": True})
        async for data, is_last in self._rest:
            await send({"type": "http.response.body", "body": data, "more_body": not is_last})


async def _body_of(request: Request) -> Any:
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > _LARGEST_REQUEST:
                raise RefusedError(413, f"The body has more than {_LARGEST_REQUEST} bytes.")
        return json.loads(body)
    except (ClientDisconnect, ValueError, RecursionError) as error:
        raise RefusedError(400, f"The body is no JSON: {error}") from None


def _integer(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise RefusedError(422, f"{name} is no whole number.")
    return int(text)


def _answer(document: Mapping[str, Any], status: int = 200) -> Response:
    return _json(write_json(document).encode(), status)


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type=_JSON)
