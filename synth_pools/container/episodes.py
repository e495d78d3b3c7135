"""Episodes of a container: each id once, a limit at a time, and an end for each in its time."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import time
import uuid
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from synth_pools.container.calls import Call, CopiedStream, FunctionLoop
from synth_pools.container.ends import Episode, SetupError, describe_setup
from synth_pools.container.models import RecordedModels
from synth_pools.container.rollout import Rollout

_log = logging.getLogger(__name__)

# A function has this time for its end after its cancellation; then it is left behind.
_STOP_SECONDS = 0.9
_SHUTDOWN_SECONDS = 5.0
# A pool reads the end of a rollout within two seconds.
_READ_SECONDS = 2.5
_MARGIN = 0.05
_LONGEST_MARGIN = 5.0
_MOST_BYTES = 512 * 1024 * 1024
_MOST_WAITING = 10_000
_LONGEST_ID = 128

Tasks = Mapping[str, Mapping[str, Any]] | Iterable[str]


@dataclass(kw_only=True, repr=False, eq=False)
class Definition:
    """Description and functions of a container."""

    name: str = field(kw_only=False)
    description: str | None = None
    tasks: Tasks | Callable[[], Any] | None = None
    prices: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    info: Mapping[str, Any] = field(default_factory=dict)
    program: Mapping[str, Any] | None = None
    concurrency: int = 100
    keep_seconds: float = 600.0
    on_rollout: Callable[[Rollout], Any] | None = field(default=None, init=False)
    on_setup: Callable[[], Any] | None = field(default=None, init=False)
    on_shutdown: Callable[[], Any] | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if not self.name or self.concurrency < 1 or self.keep_seconds <= 0:
            raise ValueError("A container has a name, and its numbers are positive.")
        for model, costs in self.prices.items():
            if not {"input", "output"} <= set(costs) <= {"input", "output", "cached"}:
                raise ValueError(f"prices: {model} needs input and output, and may have cached.")


class RefusedError(Exception):
    """Request that is refused, with the status of the answer."""

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
        self._is_draining = False
        self._functions = FunctionLoop()
        self._models = RecordedModels(definition.prices)
        self._places = asyncio.Semaphore(definition.concurrency)
        self._episodes: dict[str, Episode] = {}
        # Sizes of ended rollouts, in the order of their ends.
        self._ended: dict[str, int] = {}
        self._ended_bytes = 0
        self._running: set[asyncio.Task[None]] = set()
        self._left_behind: set[Call] = set()

    @contextlib.asynccontextmanager
    async def open(self) -> AsyncIterator[None]:
        """Set the container up, and shut it down at the end.

        Raises:
            SetupError: Its own code failed; the message has the traceback.
        """
        try:
            with CopiedStream.installed():
                await self._set_up()
                try:
                    yield
                finally:
                    await self._shut_down()
        finally:
            await asyncio.to_thread(self._functions.stop)

    async def _set_up(self) -> None:
        definition = self.definition
        if definition.on_rollout is None:
            raise SetupError(
                f"The container {definition.name!r} has no function: put @container.rollout above "
                "the one that plays a rollout."
            )
        if definition.on_setup is not None:
            await self._call(definition.on_setup)
        tasks = definition.tasks
        if callable(tasks):
            tasks = await self._call(tasks)
        if tasks is None:
            return
        try:
            items = tasks if isinstance(tasks, Mapping) else dict.fromkeys(tasks)
            self.tasks = {str(task_id): dict(items[task_id] or {}) for task_id in items}
            is_valid = all(isinstance(task_id, str | int) for task_id in items)
        except (TypeError, ValueError):
            is_valid = False
        if isinstance(tasks, str) or not is_valid:
            raise SetupError(f"tasks are neither ids nor a mapping from ids: {tasks!r:.100}")

    async def _call(self, function: Callable[[], Any]) -> Any:
        value, error = await Call(function, (), self._functions, lambda *end: end).end
        if isinstance(error, SetupError):
            raise error
        if error is not None:
            raise SetupError(describe_setup(error)) from None
        return value

    async def _shut_down(self) -> None:
        await self._stop_all()
        await self._models.close()
        if self.definition.on_shutdown is not None:
            try:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(_SHUTDOWN_SECONDS):
                        await self._call(self.definition.on_shutdown)
            except SetupError as error:
                _log.error("the shutdown of the container failed: %s", error)

    async def _stop_all(self) -> None:
        self._is_draining = True
        for episode in self._episodes.values():
            episode.stop("terminated")
        if self._running:
            await asyncio.wait(self._running, timeout=_SHUTDOWN_SECONDS)

    async def drain(self, limit_seconds: float) -> None:
        """Take no more rollouts, and wait until the others have ended and were read.

        Args:
            limit_seconds: The longest wait; then they are stopped.
        """
        self._is_draining = True
        if self._running:
            await asyncio.wait(self._running, timeout=limit_seconds)
        await self._stop_all()
        unread = [asyncio.create_task(item.read.wait()) for item in self._episodes.values()]
        if unread:
            await asyncio.wait(unread, timeout=_READ_SECONDS)

    @property
    def fault(self) -> str | None:
        """Reason for which the container takes no rollouts; None while it is well."""
        if self._is_draining:
            return "The container is stopping."
        if any(not call.is_reached for call in self._left_behind):
            return "A rollout function blocks the event loop of all of them."
        if len(self._left_behind) >= self.definition.concurrency:
            return f"{len(self._left_behind)} rollout functions have ignored their cancellation."
        return None

    def count(self, status: str) -> int:
        """Return the number of rollouts with a status."""
        return sum(episode.status == status for episode in self._episodes.values())

    def find(self, rollout_id: str) -> Episode:
        """Return a rollout, or refuse with 404 if it is unknown or forgotten."""
        if rollout_id not in self._episodes:
            raise RefusedError(404, "This container does not know the rollout.")
        return self._episodes[rollout_id]

    def submit(self, request: Any, limit_seconds: float | None = None) -> Episode:
        """Return the episode of a rollout, which is started if the id is new.

        Args:
            request: The body of the submission.
            limit_seconds: The time that the backend gives it; None for that of its limits.

        Raises:
            RefusedError: It cannot be played.
        """
        _check(request)
        rollout_id = request.get("rollout_id") or f"rollout_{uuid.uuid4().hex}"
        if rollout_id in self._episodes:
            return self._episodes[rollout_id]
        if self._is_draining:
            raise RefusedError(503, "The container is stopping.")
        if len(self._running) >= _MOST_WAITING:
            raise RefusedError(503, f"The container has {_MOST_WAITING} rollouts to play already.")
        limits = request.get("limits") or {}
        limit_seconds = limit_seconds or limit_of(limits.get("timeout_seconds"))
        deadline, patience = None, _STOP_SECONDS
        if limit_seconds is not None:
            # The pool gives it up at its limit, and would learn nothing of it.
            margin = min(_MARGIN * limit_seconds, _LONGEST_MARGIN)
            deadline = time.monotonic() + limit_seconds - margin
            patience = min(patience, margin / 2)
        task = (self.tasks or {}).get(request.get("task_id"), {})
        episode = Episode(patience, self._models, rollout_id, request, task, deadline)
        episode.trajectory.agent_name = self.definition.name
        self._episodes[rollout_id] = episode
        running = asyncio.create_task(self._run(episode))
        self._running.add(running)
        running.add_done_callback(self._running.discard)
        return episode

    async def _run(self, episode: Episode) -> None:
        loop = asyncio.get_running_loop()
        remaining = episode.remaining
        timer = None if remaining is None else loop.call_later(remaining, episode.stop, "timeout")
        try:
            answer = await self._answer(episode)
        except Exception as error:  # noqa: BLE001 - no thread, for example: it has to end
            answer = episode.lost(error)
        if timer is not None:
            timer.cancel()
        self._ended[episode.id] = size = episode.end(answer)
        self._ended_bytes += size
        loop.call_later(self.definition.keep_seconds, self._forget, episode.id)
        while self._ended_bytes > _MOST_BYTES and len(self._ended) > 1:
            self._forget(next(iter(self._ended)))

    def _forget(self, rollout_id: str) -> None:
        if rollout_id in self._ended:
            del self._episodes[rollout_id]
            self._ended_bytes -= self._ended.pop(rollout_id)

    async def _answer(self, episode: Episode) -> bytes:
        task_id = episode.task_id
        if self.tasks is not None and task_id is not None and task_id not in self.tasks:
            return episode.refused(self.tasks)
        place = asyncio.ensure_future(self._places.acquire())
        await _first(place, episode.stopping)
        if not place.done():
            place.cancel()
            await asyncio.wait({place})
        if place.cancelled():
            return episode.stopped()
        try:
            return episode.stopped() if episode.stopping.done() else await self._play(episode)
        finally:
            self._places.release()

    async def _play(self, episode: Episode) -> bytes:
        function = self.definition.on_rollout
        assert function is not None  # noqa: S101 - checked by the setup
        episode.status = "running"
        call = Call(function, (episode,), self._functions, episode.conclude, episode.log)
        await _first(call.end, episode.stopping)
        if call.end.done():
            answer: bytes = call.end.result()
            return answer
        episode.is_cancelled = True
        call.cancel()
        await asyncio.wait({call.end}, timeout=episode.patience_seconds)
        if not call.end.done():
            self._left_behind.add(call)
            call.end.add_done_callback(lambda _: self._left_behind.discard(call))
        await self._models.end(episode)
        return episode.stopped()


def limit_of(value: Any) -> float | None:
    """Return a time limit in seconds; None if the value is invalid."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value) if value > 0 else None


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
    for name in ("env", "policy", "params", "limits"):
        if not isinstance(request.get(name), dict | None):
            raise RefusedError(422, f"{name} is no object.")


async def _first(*futures: asyncio.Future[Any]) -> None:
    await asyncio.wait(futures, return_when=asyncio.FIRST_COMPLETED)
