"""Engine in a process of its own, so that generation does not slow the scenarios down.

Generating requests and judging answers are both work for a processor, of which a process of
Python uses one at a time.
"""

from __future__ import annotations

import contextlib
import gc
import os
import pickle
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields
from typing import Any, Protocol

from synth_pools.contract.fuzzing.engine import (
    TIME_IS_UP,
    CheckedExchange,
    EngineProblem,
    EngineSettings,
    GeneratedRequest,
)
from synth_pools.contract.fuzzing.time_limit import events_in_time
from synth_pools.contract.options import ApiKey

_PROGRAM = "from synth_pools.contract.fuzzing.engine_process import serve_engine; serve_engine()"
# Settings that the process makes itself: it is stopped from outside when the time is up.
_OF_THE_RUN = frozenset({"api_key", "deadline", "retarget", "observe", "is_stopped"})
# Seconds that the process may take to end by itself, and after its parent has gone.
_END_SECONDS = 1.0
_ORPHAN_SECONDS = 15.0
_GARBAGE_THRESHOLD = 20_000


class Targeting(Protocol):
    """Hook for generated requests and their answers; it is pickled."""

    def __call__(self, request: GeneratedRequest) -> None:
        """Change a request before it is sent."""
        ...

    def observe(self, operation: str, status: int, body: bytes) -> str | None:
        """Take note of an answer; return the id of the pool that it created, if any."""
        ...


@dataclass(frozen=True, slots=True)
class _Created:
    pool_id: str


@dataclass(frozen=True, slots=True)
class _Sent:
    phase: str
    count: int


class _End:
    """Last message of a process that has done its work."""


def run_in_process(
    spec: Mapping[str, Any],
    settings: EngineSettings,
    targeting: Targeting,
    *,
    register: Callable[[str], None],
    tick: Callable[[str, int], None],
) -> Iterator[CheckedExchange | EngineProblem]:
    """Run the engine until it is done or the deadline has passed.

    Args:
        spec: The document.
        settings: The settings; `retarget` and `observe` are the targeting's.
        targeting: The targeting of the requests.
        register: A callback for the id of each created pool.
        tick: A callback for the phase and the number of requests so far.

    Yields:
        Each exchange with its results, and each problem.
    """
    process = _EngineProcess(spec, settings, targeting)
    try:
        for message in events_in_time(process, settings.deadline, is_stopped=settings.is_stopped):
            if isinstance(message, _Created):
                register(message.pool_id)
            elif isinstance(message, _Sent):
                tick(message.phase, message.count)
            else:
                yield message
    finally:
        # It must not go on sending, even if the run is interrupted.
        process.end()
    if time.monotonic() > settings.deadline:
        yield EngineProblem(None, TIME_IS_UP, False)


class _EngineProcess:
    """Process that sends messages until its input ends, and so never outlives its parent."""

    def __init__(
        self, spec: Mapping[str, Any], settings: EngineSettings, targeting: Targeting
    ) -> None:
        # Files of the process are removed even if it is killed.
        self._scratch = tempfile.TemporaryDirectory(
            prefix="synth-pools-contract-", ignore_cleanup_errors=True
        )
        environment = {
            "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
            "TMPDIR": self._scratch.name,
        }
        self._process = subprocess.Popen(  # noqa: S603 - this very program
            # `-P`: the current directory must not supply modules.
            [sys.executable, "-P", "-c", _PROGRAM],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**os.environ, **environment},
            # ^C in a terminal must reach the parent alone.
            start_new_session=True,
        )
        values = {
            item.name: getattr(settings, item.name)
            for item in fields(settings)
            if item.name not in _OF_THE_RUN
        }
        job = (dict(spec), values, settings.api_key.reveal(), targeting)
        if self._process.stdin is not None:
            # A process that ends at once is noticed by the reader.
            with contextlib.suppress(BrokenPipeError):
                pickle.dump(job, self._process.stdin, pickle.HIGHEST_PROTOCOL)
                self._process.stdin.flush()

    def __iter__(self) -> Iterator[Any]:
        while self._process.stdout is not None:
            try:
                message = pickle.load(self._process.stdout)  # noqa: S301 - of our own process
            except (EOFError, OSError, pickle.UnpicklingError):
                yield EngineProblem(None, "the process of the engine ended early", False)
                return
            if isinstance(message, _End):
                return
            yield message

    def stop(self) -> None:
        """Let the engine end after the request that it is sending."""
        if self._process.stdin is not None:
            with contextlib.suppress(OSError):
                self._process.stdin.close()

    def end(self) -> None:
        """Stop the engine, and end the process in any case."""
        self.stop()
        try:
            self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()
        self._scratch.cleanup()


def serve_engine() -> None:
    """Run the engine as the input says, and write its results to the output."""
    requests, results = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    # Texts that a library prints must not come between the results.
    os.dup2(2, 1)
    # Results are no garbage; examining them repeatedly takes time.
    gc.set_threshold(_GARBAGE_THRESHOLD, 20, 20)
    spec, values, key, targeting = pickle.load(requests)  # noqa: S301 - of our own parent
    lock, stopped = threading.Lock(), threading.Event()

    def send(message: object) -> None:
        with lock:
            pickle.dump(message, results, pickle.HIGHEST_PROTOCOL)
            results.flush()

    def observe(operation: str, status: int, body: bytes) -> None:
        created = targeting.observe(operation, status, body)
        if created is not None:
            send(_Created(created))

    def wait_for_end() -> None:
        # Not by the buffer, whose lock would be taken when the interpreter closes it.
        while os.read(requests.fileno(), 1024):
            pass
        stopped.set()
        time.sleep(_ORPHAN_SECONDS)
        os._exit(1)

    threading.Thread(target=wait_for_end, daemon=True).start()
    settings = EngineSettings(
        **values,
        api_key=ApiKey(key),
        retarget=targeting,
        observe=observe,
        is_stopped=stopped.is_set,
    )
    try:
        # Imported here: the parent does without the engine.
        from synth_pools.contract.fuzzing.schemathesis_engine import run_engine

        for result in run_engine(
            spec, settings, tick=lambda phase, count: send(_Sent(phase, count))
        ):
            send(result)
    except Exception as error:  # noqa: BLE001 - reported by the parent
        send(EngineProblem(None, f"{type(error).__name__}: {error}", False))
    send(_End())
    # Only memory is left, and to free it takes time.
    os._exit(0)
