"""Simulation of a story: backends, their clients, faults and the end of all of them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from random import Random
from typing import Any

import asyncpg

from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.storage.database import DatabaseClosedError
from tests.simulation.backends import Backend, Containers, settings_of, simulated_parts
from tests.simulation.invariants import FINAL, Checker, LogChecker, code_of
from tests.simulation.loop import Process, SimulatedLoop, StuckError
from tests.simulation.real import RealDatabase
from tests.simulation.server import SimulatedServer, error_of
from tests.simulation.stories import Action, Story

_log = logging.getLogger("synth_pools.backend")
_ANSWER_SECONDS = 10.0
_PAUSE_SECONDS = 0.5
# Leases, retries and complete reads take less, so everything has ended by then.
_LONGEST_END = 100.0
_EXPECTED = (ApiError, DatabaseClosedError)


class World:
    """Simulation of one story.

    Args:
        story: The story.
        real: The database, which is empty.
        folder: The folder of the backends' own folders.

    Attributes:
        violation: The first violation; empty if there is none.
    """

    def __init__(self, story: Story, real: RealDatabase, folder: Path) -> None:
        self.story = story
        self.violation = ""
        self.loop = SimulatedLoop(Random(f"order {story.seed}"))
        self.violated = asyncio.Event()
        self.checker = Checker(self.loop, real, story.keep_seconds, self.violated.set)
        delays = Random(f"delays {story.seed}")
        self.server = SimulatedServer(self.loop, real, delays, self.checker.committed)
        self.checker.server = self.server
        chance = Random(f"containers {story.seed}")
        self.containers = Containers(self.loop, chance, self.checker.ran)
        self.backends = [
            Backend(
                f"b{number}",
                self.loop,
                self.server,
                settings_of(folder / f"b{number}", story.keep_seconds),
            )
            for number in range(story.backends)
        ]
        self._created: dict[str, str] = {}
        self._created_ids: list[str] = []
        self._clients: list[asyncio.Task[None]] = []
        self._changes: list[asyncio.Task[None]] = []
        self._waits: list[tuple[Backend, Process, asyncio.Task[Any]]] = []

    def run(self) -> None:
        """Run the story, and set the violation."""
        handler = LogChecker(self.checker)
        _log.addHandler(handler)
        propagates, _log.propagate = _log.propagate, False
        self.loop.set_exception_handler(self._crashed)
        chance = Random(f"jitter {self.story.seed}")
        try:
            with simulated_parts(
                self.loop,
                self.server,
                self.containers,
                chance,
                is_retention_frequent=self._has("set_clock", "set_server_clock"),
            ):
                try:
                    self.loop.run_until_complete(self._tell())
                except StuckError as error:
                    self.checker.fail(f"liveness: {error}")
                self.violation = self.checker.violation
                # No violation is reported while the tasks end.
                self.checker.violation = "the end"
                _log.removeHandler(handler)
                self._clear()
        finally:
            _log.removeHandler(handler)
            _log.propagate = propagates
            self.loop.close()

    def _clear(self) -> None:
        """Let all tasks end, with a server that takes nothing any more."""
        self.loop.set_exception_handler(lambda *_: None)
        self.server.refused_until = (float("inf"), error_of("57P03"))
        for backend in self.backends:
            for session in self.server.sessions_of(backend.name):
                self.server.cut(session)
        level, _log.level = _log.level, logging.CRITICAL + 1
        logging.disable(logging.CRITICAL)
        try:
            self.loop.end_processes()
        finally:
            logging.disable(logging.NOTSET)
            _log.level = level

    def _crashed(self, _: object, context: dict[str, Any]) -> None:
        self.checker.fail(f"crash: {context}")

    async def _tell(self) -> None:
        story = asyncio.create_task(self._actions(), context=self.loop.world.context.copy())
        violated = asyncio.create_task(self.violated.wait())
        await asyncio.wait({story, violated}, return_when=asyncio.FIRST_COMPLETED)
        violated.cancel()
        if not story.done():
            story.cancel()
            await asyncio.wait({story})
        elif not self.violated.is_set():
            story.result()

    async def _actions(self) -> None:
        for backend in self.backends:
            backend.start()
        for number in range(len(self.story.places)):
            body = {
                "name": f"p{number}",
                "pool_id": f"p{number}",
                "concurrency": self.story.places[number],
                "container_url": f"http://127.0.0.1:{9000 + number}",
                "config": {"submission_mode": "async" if number else "sync"},
            }
            self._ask("create", number, f"p{number}", body)
        for action in self.story.actions:
            await asyncio.sleep(max(0.0, action.at - self.loop.time()))
            getattr(self, f"_{action.kind}")(action)
        await self._end_all()

    async def _end_all(self) -> None:
        """End all faults, and wait until all rollouts have ended."""
        await asyncio.sleep(1.0)
        self.server.refusals.clear()
        self.server.lost_commits.clear()
        self.server.refused_until = None
        self.containers.is_away = False
        for backend in self.backends:
            if backend.process is not None and backend.process.is_stopped:
                backend.process.is_stopped = False
        self._start_one()
        limit = self.loop.time() + _LONGEST_END
        # A pause that is still tried again would come after this.
        while not all(change.done() for change in self._changes) and self.loop.time() < limit:
            await asyncio.wait(self._changes, timeout=_PAUSE_SECONDS)
            # One that was told to end may have been stopped before it did.
            self._start_one()
        for number in range(len(self.story.places)):
            self._ask("resume", 0, f"p{number}", {})
        while not self._is_quiet():
            if self.loop.time() > limit:
                self.checker.fail(f"liveness: {self._unfinished()}")
                return
            await asyncio.sleep(_PAUSE_SECONDS)
            self._start_one()
        self._check_ends()

    def _start_one(self) -> None:
        """Start a backend if none runs any more."""
        if all(backend.process is None or backend.process.is_dead for backend in self.backends):
            self.backends[0].start()

    def _is_quiet(self) -> bool:
        if not all(client.done() for client in self._clients):
            return False
        if any(rollout.status not in FINAL for rollout in self.checker.rollouts.values()):
            return False
        return all(
            wait.done() or backend.process is not process or process.is_dead
            for backend, process, wait in self._waits
        )

    def _unfinished(self) -> str:
        rollouts = [
            f"{rollout.id} is {rollout.status}, of {rollout.owner}"
            for rollout in self.checker.rollouts.values()
            if rollout.status not in FINAL
        ]
        clients = sum(not client.done() for client in self._clients)
        return f"{rollouts}; {clients} clients without an answer, or one was not told of an end"

    def _check_ends(self) -> None:
        checker = self.checker
        for key, rollout_id in self._created.items():
            rollout = checker.rollouts.get(rollout_id)
            if rollout is None:
                if rollout_id not in checker.forgotten:
                    checker.fail(f"lost end: {key} was created as {rollout_id}, which is gone")
                continue
            run = self.containers.runs.get(rollout_id)
            if rollout.status == "completed" and (
                run is None or rollout.reward != repr(run.reward)
            ):
                checker.fail(f"lost end: {rollout} was {run} on its container")
            if rollout.status == "failed":
                code, owners = code_of(rollout), checker.owners.get(rollout_id, set())
                is_lost = code == "backend_restarted" and len(owners) > 1
                is_away = code == "container_unreachable" and self._has("lose_containers")
                # The time of a run that goes on elsewhere is that since its start, by the server.
                is_late = code == "container_timeout" and self._has("set_server_clock")
                if not (is_lost or is_away or (is_late and len(owners) > 1)):
                    checker.fail(f"lost end: {rollout} failed, and its container had {run}")

    def _has(self, *kinds: str) -> bool:
        return any(action.kind in kinds for action in self.story.actions)

    def _ask(self, kind: str, number: int, pool_id: str, body: dict[str, Any]) -> None:
        """Have a client change a pool, until it has an answer."""

        def change(backend: Backend) -> Coroutine[Any, Any, None]:
            return backend.change_pool(kind, pool_id, body)

        self._changes.append(self._begin(number, change))

    def _begin(
        self, number: int, request: Callable[[Backend], Coroutine[Any, Any, None]]
    ) -> asyncio.Task[None]:
        client = asyncio.create_task(self._client(number, request))
        self._clients.append(client)
        return client

    async def _client(
        self, number: int, request: Callable[[Backend], Coroutine[Any, Any, None]]
    ) -> None:
        while True:
            backend = self.backends[number % len(self.backends)]
            number += 1
            if not backend.is_up:
                await asyncio.sleep(_PAUSE_SECONDS)
                continue
            task = backend.do(request(backend))
            task.add_done_callback(self._answered)
            await asyncio.wait({task}, timeout=_ANSWER_SECONDS)
            if not task.done():
                continue
            error = task.exception()
            if error is None or (isinstance(error, ApiError) and error.code in _FINAL_REFUSALS):
                return
            await asyncio.sleep(_PAUSE_SECONDS)

    def _answered(self, task: asyncio.Task[None]) -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        if not isinstance(error, _EXPECTED):
            self.checker.fail(f"error: a client gets {error!r}")

    def _create(self, action: Action) -> None:
        count, pool_id = str(action.value).split(" in ")
        for _ in range(int(count)):
            self._create_one(action.backend, pool_id, f"k{len(self._clients)}")

    def _create_one(self, number: int, pool_id: str, key: str) -> None:
        def note(rollout_id: str) -> None:
            if self._created.setdefault(key, rollout_id) != rollout_id:
                self.checker.fail(f"second run: {key} is {rollout_id} and {self._created[key]}")
            self._created_ids.append(rollout_id)

        self._begin(number, lambda backend: self._created_on(backend, pool_id, key, note))

    async def _created_on(
        self, backend: Backend, pool_id: str, key: str, note: Callable[[str], None]
    ) -> None:
        created = asyncio.get_running_loop().create_future()

        def note_it(rollout_id: str) -> None:
            note(rollout_id)
            created.set_result(None)

        wait = backend.do(backend.create(pool_id, key, note_it))
        wait.add_done_callback(self._answered)
        assert backend.process is not None
        self._waits.append((backend, backend.process, wait))
        await asyncio.wait({wait, created}, return_when=asyncio.FIRST_COMPLETED)
        if not created.done():
            wait.result()

    def _cancel(self, action: Action) -> None:
        if not self._created_ids:
            return
        rollout_id = self._created_ids[int(action.value) % len(self._created_ids)]
        self._begin(action.backend, lambda backend: backend.cancel(rollout_id))

    def _pause(self, action: Action) -> None:
        self._ask("pause", action.backend, str(action.value), {})

    def _archive(self, action: Action) -> None:
        self._ask("delete", action.backend, str(action.value), {})

    def _resize(self, action: Action) -> None:
        pool_id, places = str(action.value).split()
        self._ask("update", action.backend, pool_id, {"concurrency": int(places)})

    def _kill(self, action: Action) -> None:
        self.backends[action.backend].kill()
        if action.value != "for good":
            self._later(float(action.value), self.backends[action.backend].start)

    def _end(self, action: Action) -> None:
        self.backends[action.backend].end()
        self._later(float(action.value), self.backends[action.backend].start)

    def _stop(self, action: Action) -> None:
        process = self.backends[action.backend].process
        if process is not None:
            process.is_stopped = True
            self.server.stop(process)
            self._later(float(action.value), lambda: setattr(process, "is_stopped", False))

    def _cut(self, action: Action) -> None:
        for session in self.server.sessions_of(f"b{action.backend}"):
            if session.is_writing or action.value == "all":
                self.server.cut(session)

    def _outage(self, action: Action) -> None:
        seconds, _, code = str(action.value).partition(" ")
        error = error_of(code) if code else ConnectionRefusedError("connection refused")
        self.server.refused_until = (self.loop.time() + float(seconds), error)
        for backend in self.backends:
            for session in self.server.sessions_of(backend.name):
                self.server.cut(session, asyncpg.ConnectionDoesNotExistError("terminated"))

    def _refuse(self, action: Action) -> None:
        codes = self.server.refusals.setdefault(f"b{action.backend}", [])
        codes.extend(str(action.value).split())

    def _lose_commit(self, action: Action) -> None:
        ways = self.server.lost_commits.setdefault(f"b{action.backend}", [])
        ways.append(str(action.value))

    def _set_server_clock(self, action: Action) -> None:
        self.server.set_clock(float(action.value))

    def _set_clock(self, action: Action) -> None:
        backend = self.backends[action.backend]
        backend.ahead += float(action.value)
        if backend.process is not None:
            backend.process.ahead = backend.ahead

    def _lose_containers(self, action: Action) -> None:
        self.containers.is_away = True
        self._later(float(action.value), lambda: setattr(self.containers, "is_away", False))

    def _later(self, seconds: float, function: Callable[[], object]) -> None:
        self.loop.call_later(seconds, function)


# The pool is gone, or the change was made before.
_FINAL_REFUSALS = frozenset(
    {"pool_exists", "pool_archived", "rollout_finished", "rollout_not_found", "pool_not_found"}
)
