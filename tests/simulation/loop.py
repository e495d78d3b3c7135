"""Event loop with simulated time, on which several processes run in an order drawn from a seed.

Within a process the loop keeps asyncio's promises: callbacks run first come, first served. Which of
the processes runs next is drawn, and time passes only while none of them has anything to do.
"""

from __future__ import annotations

import asyncio
import contextvars
import heapq
import itertools
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from typing import Any

_MOST_ROUNDS = 20
_END_SECONDS = 60.0

PROCESS: contextvars.ContextVar[Process] = contextvars.ContextVar("process")


class StuckError(Exception):
    """No process can go on, at this time or later."""


@dataclass(eq=False)
class Process:
    """Simulated process of an operating system.

    Attributes:
        name: Its name in a story.
        ahead: The seconds by which its clock of the day is ahead.
        is_dead: True once it was killed: nothing of it runs any more.
        is_stopped: True while it does not run, as after SIGSTOP.
        ready: Its callbacks that are due.
    """

    name: str
    ahead: float = 0.0
    is_dead: bool = False
    is_stopped: bool = False
    ready: deque[asyncio.Handle] = field(default_factory=deque)
    context: contextvars.Context = field(init=False)

    def __post_init__(self) -> None:
        self.context = contextvars.copy_context()
        self.context.run(PROCESS.set, self)

    @property
    def is_able(self) -> bool:
        """True if it has something to run, and may."""
        return bool(self.ready) and not (self.is_dead or self.is_stopped)


class SimulatedLoop(asyncio.BaseEventLoop):
    """Event loop without sockets and threads.

    Args:
        chance: Draws the process that runs next.

    Attributes:
        world: The process of the simulation itself, which runs before any other.
    """

    def __init__(self, chance: Random) -> None:
        super().__init__()
        self._chance = chance
        self._seconds = 0.0
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._numbers = itertools.count()
        self.world = Process("world")
        self._processes = [self.world]

    def new_process(self, name: str, ahead: float = 0.0) -> Process:
        """Start a process."""
        process = Process(name, ahead)
        self._processes.append(process)
        return process

    def time(self) -> float:
        return self._seconds

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., Any], *args: Any, context: contextvars.Context | None = None
    ) -> asyncio.Handle:
        handle = asyncio.Handle(callback, args, self, context)
        self._process_of(handle).ready.append(handle)
        return handle

    call_soon_threadsafe = call_soon  # type: ignore[assignment]

    def call_at(  # type: ignore[override]
        self,
        when: float,
        callback: Callable[..., Any],
        *args: Any,
        context: contextvars.Context | None = None,
    ) -> asyncio.TimerHandle:
        timer = asyncio.TimerHandle(when, callback, args, self, context)
        heapq.heappush(self._timers, (when, next(self._numbers), timer))
        return timer

    def run_in_executor(  # type: ignore[override]
        self, executor: Any, function: Callable[..., Any], *args: Any
    ) -> asyncio.Future[Any]:
        """Call the function at once."""
        future = self.create_future()
        try:
            future.set_result(function(*args))
        except Exception as error:  # noqa: BLE001 - raised where it is awaited
            future.set_exception(error)
        return future

    def _run_once(self) -> None:
        while not self._stopping:  # type: ignore[attr-defined]
            able = [process for process in self._processes if process.is_able]
            if not able:
                self._pass_time()
                continue
            if able[0] is self.world or len(able) == 1:
                process = able[0]
            else:
                process = self._chance.choice(able)
            # As its own loop would, it runs what is due by now.
            for _ in range(len(process.ready)):
                handle = process.ready.popleft()
                if not handle.cancelled():
                    handle._run()

    def _pass_time(self) -> None:
        while self._timers:
            when, _, timer = heapq.heappop(self._timers)
            if timer.cancelled():
                continue
            process = self._process_of(timer)
            process.ready.append(timer)
            if not process.is_dead:
                self._seconds = max(self._seconds, when)
                return
        raise StuckError("no process can go on")

    def _process_of(self, handle: asyncio.Handle) -> Process:
        process: Process = handle._context.get(PROCESS, self.world)  # type: ignore[attr-defined]
        return process

    def end_processes(self) -> None:
        """Let all tasks end, also in processes that were killed."""
        for process in self._processes:
            process.is_dead = process.is_stopped = False
        for _ in range(_MOST_ROUNDS):
            tasks = asyncio.all_tasks(self)
            if not tasks:
                return
            for task in tasks:
                task.cancel()
            self.run_until_complete(asyncio.wait(tasks, timeout=_END_SECONDS))
        raise StuckError(f"these tasks do not end: {asyncio.all_tasks(self)}")

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        pass

    def _process_events(self, event_list: Any) -> None:
        pass

    def _write_to_self(self) -> None:
        pass
