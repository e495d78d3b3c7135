"""Runs of rollouts: each id once, a limit at a time, and an end for each in its time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from synth_pools.container.calls import Call, FunctionLoop, captured_output, is_async
from synth_pools.container.ends import Episode, SetupError, describe_setup
from synth_pools.container.rollout import Reports, Rollout

_log = logging.getLogger(__name__)

# A function has this time for its end after its cancellation; then it is left behind.
_STOP_SECONDS = 0.9
_SHUTDOWN_SECONDS = 5.0
# A pool reads the end of a rollout within two seconds.
_READ_SECONDS = 2.5
_LONGEST_MARGIN = 5.0
_MARGIN = 0.05
_LONGEST_LIMIT = 7 * 86_400.0
_MOST_ENDED_BYTES = 512 * 1024 * 1024
_MOST_RUNS = 10_000
_LONGEST_ID = 128
_OBJECTS = ("env", "policy", "params", "limits")

Tasks = Mapping[str, Mapping[str, Any]] | Iterable[str]


@dataclass
class Definition:
    """Description and functions of a container."""

    name: str
    description: str | None = None
    tasks: Tasks | Callable[[], Any] | None = None
    info: Mapping[str, Any] = field(default_factory=dict)
    program: Mapping[str, Any] | None = None
    concurrency: int = 100
    keep_seconds: float = 600.0
    play: Callable[[Rollout], Any] | None = None
    set_up: Callable[[], Any] | None = None
    shut_down: Callable[[], Any] | None = None


class RefusedError(Exception):
    """Submission that is refused, with the status of the answer."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail


class Episodes:
    """All rollouts of a container, in the event loop that serves its requests.

    Args:
        definition: The container.
    """

    def __init__(self, definition: Definition) -> None:
        self.definition = definition
        self.tasks: dict[str, dict[str, Any]] | None = None
        self.is_draining = False
        self._functions = FunctionLoop()
        self._places = asyncio.Semaphore(definition.concurrency)
        self._runs: dict[str, Episode] = {}
        # Sizes of ended rollouts, in the order of their ends.
        self._ended: dict[str, int] = {}
        self._ended_bytes = 0
        self._players: set[asyncio.Task[None]] = set()
        self._left_behind: set[Call] = set()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Set the container up, and shut it down at the end.

        Raises:
            SetupError: Its own code failed; the message has the traceback.
        """
        self._functions.start()
        try:
            with captured_output():
                try:
                    await self._set_up()
                    yield
                finally:
                    await self._shut_down()
        finally:
            await asyncio.to_thread(self._functions.stop)

    async def _set_up(self) -> None:
        if self.definition.play is None:
            raise SetupError(
                f"The container {self.definition.name!r} has no function: put `@container.rollout` "
                "above the one that plays a rollout."
            )
        if self.definition.set_up is not None:
            await self._call(self.definition.set_up)
        tasks = self.definition.tasks
        if callable(tasks):
            tasks = await self._call(tasks)
        if isinstance(tasks, Mapping):
            self.tasks = {str(task_id): dict(metadata or {}) for task_id, metadata in tasks.items()}
        elif tasks is not None:
            self.tasks = {str(task_id): {} for task_id in tasks}

    async def _call(self, function: Callable[[], Any]) -> Any:
        value, error = await Call(function, self._functions).end
        if error is not None:
            raise SetupError(describe_setup(error)) from None
        return value

    async def _shut_down(self) -> None:
        self._stop_all()
        if self._players:
            await asyncio.wait(self._players, timeout=_SHUTDOWN_SECONDS)
        if self.definition.shut_down is not None:
            call = Call(self.definition.shut_down, self._functions)
            await asyncio.wait({call.end}, timeout=_SHUTDOWN_SECONDS)
            error = call.end.result()[1] if call.end.done() else TimeoutError("it does not end")
            if error is not None:
                _log.error("the shutdown of the container failed", exc_info=error)

    @property
    def fault(self) -> str | None:
        """Reason for which the container takes no rollouts; None while it is well."""
        if self.is_draining:
            return "The container is stopping."
        if any(not call.is_reached for call in self._left_behind):
            return "A rollout function blocks the event loop of all of them."
        if len(self._left_behind) >= self.definition.concurrency:
            return f"{len(self._left_behind)} rollout functions have ignored their cancellation."
        return None

    @property
    def counts(self) -> dict[str, int]:
        """Numbers of rollouts by their state."""
        states = [run.status for run in self._runs.values() if not run.ended.is_set()]
        return {"running": states.count("running"), "queued": states.count("queued")}

    def find(self, rollout_id: str) -> Episode | None:
        """Return a run, unless it is unknown or forgotten."""
        return self._runs.get(rollout_id)

    def submit(self, request: Any, limit_seconds: float | None = None) -> Episode:
        """Return the run of a rollout, which is started if the id is new.

        Args:
            request: The body of the submission.
            limit_seconds: The time that the backend gives it; None for that of its limits.

        Raises:
            RefusedError: It cannot be run.
        """
        _check(request)
        rollout_id = request.get("rollout_id") or f"rollout_{uuid.uuid4().hex}"
        run = self._runs.get(rollout_id)
        if run is not None:
            return run
        if self.is_draining:
            raise RefusedError(503, "The container is stopping.")
        if len(self._runs) - len(self._ended) >= _MOST_RUNS:
            raise RefusedError(503, f"The container has {_MOST_RUNS} rollouts to run already.")
        limit_seconds = limit_seconds or limit_of(
            (request.get("limits") or {}).get("timeout_seconds")
        )
        margin = 0.0
        deadline = None
        if limit_seconds is not None:
            margin = min(_MARGIN * limit_seconds, _LONGEST_MARGIN)
            deadline = time.monotonic() + limit_seconds - margin
        report = Reports()
        task = (self.tasks or {}).get(request.get("task_id"), {})
        rollout = Rollout(rollout_id, request, report, task, deadline)
        run = self._runs[rollout_id] = Episode(rollout, report, min(_STOP_SECONDS, margin / 2 or 1))
        player = asyncio.create_task(self._play(run))
        self._players.add(player)
        player.add_done_callback(self._players.discard)
        return run

    async def _play(self, run: Episode) -> None:
        loop = asyncio.get_running_loop()
        remaining = run.rollout.remaining
        timer = None if remaining is None else loop.call_later(remaining, run.stop, "timeout")
        try:
            answer = await self._answer(run)
        except Exception as error:  # noqa: BLE001 - the rollout has to end
            _log.exception("a rollout could not be run")
            answer = run.failed(error)
        finally:
            if timer is not None:
                timer.cancel()
        self._note_end(run, answer)

    async def _answer(self, run: Episode) -> bytes:
        task_id = run.rollout.task_id
        if self.tasks is not None and task_id is not None and task_id not in self.tasks:
            return run.unknown_task(list(self.tasks))
        place = asyncio.ensure_future(self._places.acquire())
        await _first(place, run.stopping)
        if not place.done():
            place.cancel()
            await asyncio.wait({place})
        if place.cancelled():
            return run.stopped()
        try:
            return run.stopped() if run.stopping.done() else await self._run(run)
        finally:
            self._places.release()

    async def _run(self, run: Episode) -> bytes:
        run.status = "running"
        play = self.definition.play
        assert play is not None  # noqa: S101 - checked by the setup
        body = run.awaiting(play) if is_async(play) else partial(run.calling, play)
        call = Call(body, self._functions, run.report)
        await _first(call.end, run.stopping)
        if not call.end.done():
            call.cancel()
            await asyncio.wait({call.end}, timeout=run.patience_seconds)
            if not call.end.done():
                self._left_behind.add(call)
                call.end.add_done_callback(lambda _: self._left_behind.discard(call))
            return run.stopped()
        answer, error = call.end.result()
        return answer if error is None else run.failed(error)

    def _note_end(self, run: Episode, answer: bytes) -> None:
        run.close(answer)
        rollout_id = run.rollout.id
        size = len(answer) + run.report.byte_count
        self._ended[rollout_id] = size
        self._ended_bytes += size
        asyncio.get_running_loop().call_later(
            self.definition.keep_seconds, self._forget, rollout_id, run
        )
        while self._ended_bytes > _MOST_ENDED_BYTES and len(self._ended) > 1:
            oldest = next(iter(self._ended))
            self._forget(oldest, self._runs[oldest])

    def _forget(self, rollout_id: str, run: Episode) -> None:
        if self._runs.get(rollout_id) is run:
            del self._runs[rollout_id]
            self._ended_bytes -= self._ended.pop(rollout_id)

    async def drain(self, limit_seconds: float) -> None:
        """Take no more rollouts, and wait until the others have ended and were read.

        Args:
            limit_seconds: The longest wait; then they are stopped.
        """
        self.is_draining = True
        if self._players:
            await asyncio.wait(self._players, timeout=limit_seconds)
        self._stop_all()
        if self._players:
            await asyncio.wait(self._players)
        unread = [asyncio.create_task(run.read.wait()) for run in self._runs.values()]
        if unread:
            await asyncio.wait(unread, timeout=_READ_SECONDS)

    def _stop_all(self) -> None:
        self.is_draining = True
        for run in self._runs.values():
            run.stop("terminated")


async def _first(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)


def _check(request: Any) -> None:
    """Refuse a malformed submission."""
    if not isinstance(request, dict):
        raise RefusedError(400, "The body is no JSON object.")
    rollout_id = request.get("rollout_id", "x")
    if not isinstance(rollout_id, str) or not 0 < len(rollout_id) <= _LONGEST_ID:
        raise RefusedError(422, f"rollout_id is no text of 1 to {_LONGEST_ID} characters.")
    if request.get("submission_mode", "sync") not in ("sync", "async"):
        raise RefusedError(422, "submission_mode is neither sync nor async.")
    if not isinstance(request.get("task_id"), str | None):
        raise RefusedError(422, "task_id is no text.")
    for name in _OBJECTS:
        if not isinstance(request.get(name), dict | None):
            raise RefusedError(422, f"{name} is no object.")


def limit_of(value: Any) -> float | None:
    """Return a time limit; None if the value is invalid."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(min(value, _LONGEST_LIMIT)) if value > 0 else None
