"""Routes of the container protocol, as an ASGI application."""

from __future__ import annotations

import contextlib
import hmac
import json
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from synth_pools.container.encoding import write_json
from synth_pools.container.ends import Episode
from synth_pools.container.episodes import Definition, Episodes, RefusedError, limit_of

# Variable with the key that callers need, set by the pool that starts the container.
KEY = "ENVIRONMENT_API_KEY"
_LARGEST_REQUEST = 64 * 1024 * 1024
_MOST_EVENTS = 1000
_VERSION = "2026-05-28"


class _Routes:
    """Routes of one container.

    Args:
        definition: The container.
        runs: Its rollouts; None if the lifespan of the application sets it up.
    """

    def __init__(self, definition: Definition, runs: Episodes | None) -> None:
        self._definition = definition
        self._runs = runs
        self._key = os.environ.get(KEY)

    @contextlib.asynccontextmanager
    async def lifespan(self, _: Starlette) -> AsyncIterator[None]:
        if self._runs is not None:
            yield
            return
        runs = Episodes(self._definition)
        async with runs.open():
            self._runs = runs
            try:
                yield
            finally:
                self._runs = None

    def routes(self) -> list[Route]:
        return [
            Route("/health", self._guarded(self._health)),
            Route("/info", self._guarded(self._info)),
            Route("/metadata", self._guarded(self._info)),
            Route("/task_info", self._guarded(self._task_info)),
            Route("/taskset", self._guarded(self._taskset)),
            Route("/program", self._guarded(self._program)),
            Route("/rollouts", self._guarded(self._submit), methods=["POST"]),
            Route("/rollout", self._guarded(self._submit), methods=["POST"]),
            # An id may hold anything, once it is decoded.
            Route("/rollouts/{rollout_id:path}/events", self._guarded(self._events)),
            Route(
                "/rollouts/{rollout_id:path}/terminate",
                self._guarded(self._terminate),
                methods=["POST"],
            ),
            Route("/rollouts/{rollout_id:path}", self._guarded(self._state)),
        ]

    def _guarded(
        self, handle: Callable[[Request], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            sent = request.headers.get("x-api-key", "")
            if self._key and not hmac.compare_digest(sent.encode(), self._key.encode()):
                return _answer({"detail": "X-API-Key is not the key of this container."}, 401)
            try:
                return await handle(request)
            except RefusedError as refused:
                return _answer({"detail": refused.detail}, refused.status)

        return guarded

    @property
    def _all(self) -> Episodes:
        if self._runs is None:
            raise RefusedError(503, "The server does not start applications: it has no lifespan.")
        return self._runs

    async def _health(self, _: Request) -> Response:
        fault = self._all.fault
        states = self._all.counts
        if fault is not None:
            return _answer({"status": "unwell", "healthy": False, "detail": fault, **states}, 503)
        return _answer({"status": "ok", "healthy": True, "contract_version": _VERSION, **states})

    async def _info(self, _: Request) -> Response:
        definition = self._definition
        return _answer(
            {
                "runtime": {"name": definition.name, "description": definition.description},
                "capabilities": {
                    "rollout_modes": ["sync", "async"],
                    "events": True,
                    "concurrency": definition.concurrency,
                },
                **definition.info,
            }
        )

    async def _task_info(self, request: Request) -> Response:
        tasks = self._all.tasks
        task_id = request.query_params.get("task_id")
        if task_id is None:
            count = None if tasks is None else len(tasks)
            about = {"task_id": self._definition.name, "description": self._definition.description}
            return _answer({"task": about, "task_count": count})
        if tasks is None or task_id not in tasks:
            raise RefusedError(404, f"There is no task {task_id!r} here.")
        return _answer({"task": {"task_id": task_id, "metadata": tasks[task_id]}})

    async def _taskset(self, _: Request) -> Response:
        if self._all.tasks is None:
            raise RefusedError(404, "This container has no list of tasks.")
        items = [
            {"task_id": task_id, "metadata": metadata}
            for task_id, metadata in self._all.tasks.items()
        ]
        return _answer({"tasks": items})

    async def _program(self, _: Request) -> Response:
        if self._definition.program is None:
            raise RefusedError(404, "This container describes no program.")
        return _answer({"program": self._definition.program})

    async def _submit(self, request: Request) -> Response:
        body = await _body_of(request)
        header = request.headers.get("x-synth-pools-timeout")
        limit_seconds = None
        with contextlib.suppress(ValueError):
            limit_seconds = limit_of(float(header or ""))
        run = self._all.submit(body, limit_seconds)
        if body.get("submission_mode") != "async":
            await run.ended.wait()
        return _state_of(run, 202)

    async def _state(self, request: Request) -> Response:
        return _state_of(self._find(request))

    async def _terminate(self, request: Request) -> Response:
        run = self._find(request)
        run.stop("cancelled")
        await run.ended.wait()
        return _answer({"rollout_id": run.rollout.id, "status": "terminated"})

    async def _events(self, request: Request) -> Response:
        run = self._find(request)
        query = request.query_params
        after = _integer(query, "after_sequence", _integer(query, "after", 0))
        limit = min(_integer(query, "limit", _MOST_EVENTS), _MOST_EVENTS)
        is_closed = run.ended.is_set()
        texts, has_more = run.report.page(after, max(1, limit))
        cursor = {
            "after": after,
            "next": after + len(texts),
            "has_more": has_more,
            "closed": is_closed and not has_more,
        }
        head = write_json({"rollout_id": run.rollout.id, "cursor": cursor})[:-1]
        return _json(f'{head},"events":[{",".join(texts)}]}}'.encode())

    def _find(self, request: Request) -> Episode:
        run = self._all.find(request.path_params["rollout_id"])
        if run is None:
            raise RefusedError(404, "This container does not know the rollout.")
        return run


def container_app(definition: Definition, runs: Episodes | None = None) -> Starlette:
    """Create the application of a container.

    Args:
        definition: The container.
        runs: Its rollouts; None to set it up in the lifespan of the application.
    """
    routes = _Routes(definition, runs)
    return Starlette(routes=routes.routes(), lifespan=routes.lifespan)


async def _body_of(request: Request) -> Any:
    chunks, size = [], 0
    async for chunk in request.stream():
        chunks.append(chunk)
        size += len(chunk)
        if size > _LARGEST_REQUEST:
            raise RefusedError(413, f"The body has more than {_LARGEST_REQUEST} bytes.")
    try:
        return json.loads(b"".join(chunks))
    except (ValueError, RecursionError) as error:
        raise RefusedError(400, f"The body is no JSON: {error}") from None


def _integer(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise RefusedError(422, f"{name} is no whole number.")
    return int(text)


def _state_of(run: Episode, status: int = 200) -> Response:
    return _json(run.state(), 200 if run.ended.is_set() else status)


def _answer(document: Mapping[str, Any], status: int = 200) -> Response:
    return _json(write_json(document).encode(), status)


def _json(body: bytes, status: int = 200) -> Response:
    return Response(body, status, media_type="application/json")
