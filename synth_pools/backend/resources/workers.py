"""Worker processes for calls that would hold the interpreter's lock for a long time.

Parsing a document of 60 MB takes a second, in which no other thread runs. A worker gets its bytes
and returns texts, which are quickly copied.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import pickle
import select
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, cast

from synth_pools.backend.limits import DEEPEST
from synth_pools.backend.resources.byte_budget import uncounted

_T = TypeVar("_T")

_PROGRAM = "from synth_pools.backend.resources.workers import serve_calls; serve_calls()"
# An idle worker is ended, so that its memory goes back to the system.
_IDLE_SECONDS = 20.0
# A call takes seconds; a worker that hangs would block a place.
_CALL_SECONDS = 300.0
_END_SECONDS = 2.0
_TRIES = 3
_MOST = 4


# Variables that every program needs, and the interpreter; any other may be secret.
_COMMON = frozenset({"PATH", "HOME", "LANG", "TMPDIR", "TZ"})
_INTERPRETER = ("PYTHONHOME", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH")


class WorkerDiedError(Exception):
    """Several workers in a row ended, or hung, before they had an answer."""


class Workers:
    """Worker processes, started when needed and ended when idle."""

    def __init__(self) -> None:
        self._places = asyncio.Semaphore(max(1, min(_MOST, (os.cpu_count() or 1) // 2)))
        self._idle: dict[_Worker, asyncio.TimerHandle] = {}

    async def run(self, function: Callable[..., _T], *args: Any) -> _T:
        """Call a function in a worker process.

        The call pauses every `timeout` around it. If no process can be started, the function
        runs in a thread of this process.

        Args:
            function: A function of a module.
            *args: Arguments that can be pickled.

        Returns:
            The pickled result of the function.

        Raises:
            WorkerDiedError: Every worker that was tried ended, or hung.
            Exception: An error of the function.
        """
        with uncounted():
            async with self._places:
                for _ in range(_TRIES):
                    try:
                        worker = self._take_idle()
                        if worker is None:
                            worker = await asyncio.to_thread(_Worker)
                    except OSError:
                        return await asyncio.to_thread(function, *args)
                    try:
                        async with asyncio.timeout(_CALL_SECONDS):
                            is_returned, value = await asyncio.to_thread(
                                worker.call, function, args
                            )
                    except (OSError, EOFError, pickle.UnpicklingError):
                        # A `TimeoutError` is an `OSError`, too.
                        worker.end()
                        continue
                    except BaseException:
                        # The caller is cancelled: stop the call.
                        worker.end()
                        raise
                    self._keep(worker)
                    if is_returned:
                        return cast("_T", value)
                    raise value
                raise WorkerDiedError(f"a process ended {_TRIES} times before it had an answer")

    async def close(self) -> None:
        """End the idle workers; a busy worker ends when its call is cancelled."""
        idle, self._idle = self._idle, {}
        for worker, ending in idle.items():
            ending.cancel()
            await asyncio.to_thread(worker.end)

    def _take_idle(self) -> _Worker | None:
        while self._idle:
            worker, ending = self._idle.popitem()
            ending.cancel()
            if worker.is_alive():
                return worker
            worker.end()
        return None

    def _keep(self, worker: _Worker) -> None:
        loop = asyncio.get_running_loop()
        self._idle[worker] = loop.call_later(_IDLE_SECONDS, self._end_idle, worker)

    def _end_idle(self, worker: _Worker) -> None:
        if self._idle.pop(worker, None) is not None:
            asyncio.get_running_loop().run_in_executor(None, worker.end)


class _Worker:
    """Worker process, which ends with its input, and so never outlives its parent."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - this very program
            # `-P`: the current directory must not supply modules.
            [sys.executable, "-P", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=helper_environment(),
            # ^C in a terminal must reach the parent alone.
            start_new_session=True,
        )

    def is_alive(self) -> bool:
        return self._process.poll() is None

    def call(self, function: Callable[..., Any], args: tuple[Any, ...]) -> tuple[bool, Any]:
        """Call a function; return True with its result, or False with its error."""
        requests, answers = self._process.stdin, self._process.stdout
        if requests is None or answers is None:
            raise EOFError
        pickle.dump((function, args), requests, pickle.HIGHEST_PROTOCOL)
        requests.flush()
        answer: tuple[bool, Any] = pickle.load(answers)  # noqa: S301 - of our own process
        return answer

    def end(self) -> None:
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(_END_SECONDS)
        for pipe in (self._process.stdin, self._process.stdout):
            # A thread that uses the pipe then finds it closed.
            if pipe is not None and not self.is_alive():
                with contextlib.suppress(OSError, RuntimeError):
                    pipe.close()


def common_variables(environment: Mapping[str, str], *further: str) -> dict[str, str]:
    """Select the variables that every program needs.

    Args:
        environment: The environment of the backend.
        *further: Names of more variables to select, or their beginnings with `*`.
    """
    names = _COMMON.union(further)
    prefixes = ("LC_", *(name[:-1] for name in further if name.endswith("*")))
    return {
        name: value
        for name, value in environment.items()
        if name in names or name.startswith(prefixes)
    }


def helper_environment(*further: str) -> dict[str, str]:
    """Build the environment of a Python process of the backend, with few variables of its own.

    Args:
        *further: Names of more variables to pass on, or their beginnings with `*`.
    """
    variables = common_variables(os.environ, *_INTERPRETER, *further)
    return {**variables, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}


def _end_with_parent() -> None:
    """End this process once its input is closed, also in the midst of a call."""
    requests = select.poll()
    # An event for the end alone; macOS reports it only where it is named.
    requests.register(0, select.POLLHUP)
    requests.poll()
    os._exit(1)


def serve_calls() -> None:
    """Answer calls from the standard input until it ends."""
    requests = cast("io.BufferedReader", sys.stdin.buffer)
    # Output of a function must not mix with the answers.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    threading.Thread(target=_end_with_parent, daemon=True).start()
    # Pickling recurses twice for each level of a document.
    sys.setrecursionlimit(max(sys.getrecursionlimit(), 4 * DEEPEST + 1000))
    while True:
        try:
            function, args = pickle.load(requests)  # noqa: S301 - of the backend
        except EOFError:
            return
        try:
            answer = pickle.dumps((True, function(*args)), pickle.HIGHEST_PROTOCOL)
        except Exception as error:  # noqa: BLE001 - raised again where it was called
            answer = pickle.dumps((False, error), pickle.HIGHEST_PROTOCOL)
        answers.write(answer)
        answers.flush()
        del function, args, answer
