"""Run the tests of mutants in copies of the work tree."""

from __future__ import annotations

import contextlib
import os
import queue
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.mutants.mutations import Mutant

# What tests need of their time without a mutant before a mutant counts as endless.
_LONGEST_FACTOR = 3
_LONGEST_EXTRA_SECONDS = 60.0
_LONGEST_BASELINE_SECONDS = 1800.0


@dataclass(frozen=True)
class Planned:
    """A mutant of a module, and the tests that may see it: the next ones run if none before did."""

    path: str
    mutant: Mutant
    tests: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Verdict:
    planned: Planned
    is_killed: bool
    seconds: float


class UnusableTestsError(Exception):
    """Tests that fail without a mutant cannot tell anything about one."""


def run_mutants(
    root: Path, planned: list[Planned], jobs: int, on_verdict: Callable[[Verdict], None]
) -> list[Verdict]:
    """Run the tests of each mutant, several at a time.

    Args:
        root: The work tree; it stays as it is.
        planned: What to run.
        jobs: How many copies of the work tree to use at a time.
        on_verdict: Called after each mutant, one call at a time.

    Raises:
        UnusableTestsError: Some of the tests fail without any mutant.
    """
    with tempfile.TemporaryDirectory(prefix="synth-pools-mutants-") as folder:
        copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
        for number in range(jobs):
            copies.put(_copy(root, Path(folder) / str(number)))
        limits = _Limits()
        told = threading.Lock()

        def judge(one: Planned) -> Verdict:
            copy = copies.get()
            try:
                verdict = _judge(copy, one, limits)
            finally:
                copies.put(copy)
            with told:
                on_verdict(verdict)
            return verdict

        with ThreadPoolExecutor(jobs) as pool:
            futures = [pool.submit(judge, one) for one in planned]
            try:
                return [future.result() for future in futures]
            except BaseException:
                for future in futures:
                    future.cancel()
                _end_what_runs()
                raise


def _judge(copy: Path, planned: Planned, limits: _Limits) -> Verdict:
    begun = time.monotonic()
    killed = any(_is_seen(copy, planned, tests, limits.of(copy, tests)) for tests in planned.tests)
    return Verdict(planned, killed, time.monotonic() - begun)


def _is_seen(copy: Path, planned: Planned, tests: tuple[str, ...], limit: float) -> bool:
    module = copy / planned.path
    source = module.read_bytes()
    module.write_bytes(planned.mutant.apply(source))
    try:
        return _pytest(copy, tests, limit) != 0
    finally:
        module.write_bytes(source)


class _Limits:
    """Time limits of tests with a mutant, from the time that they take without one."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        # One measures while the others go on with other tests.
        self._locks: dict[tuple[str, ...], threading.Lock] = {}
        self._seconds: dict[tuple[str, ...], float | None] = {}

    def of(self, copy: Path, tests: tuple[str, ...]) -> float:
        with self._lock:
            lock = self._locks.setdefault(tests, threading.Lock())
        with lock:
            if tests not in self._seconds:
                self._seconds[tests] = _measure(copy, tests)
            limit = self._seconds[tests]
        if limit is None:
            raise UnusableTestsError(f"{' '.join(tests)} fail without a mutant")
        return limit


def _measure(copy: Path, tests: tuple[str, ...]) -> float | None:
    begun = time.monotonic()
    if _pytest(copy, tests, _LONGEST_BASELINE_SECONDS) != 0:
        return None
    return _LONGEST_FACTOR * (time.monotonic() - begun) + _LONGEST_EXTRA_SECONDS


def _copy(root: Path, copy: Path) -> Path:
    """Copy what git tracks, as it is in the work tree, and what is new in it."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source, target = root / name, copy / name
        # A tracked file may have been deleted in the work tree.
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    return copy


def _pytest(copy: Path, tests: tuple[str, ...], limit: float) -> int | None:
    """Run tests until one fails; None if that takes longer than `limit` seconds."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "--no-header", "-p", "no:cacheprovider"]
    # The copy comes before the work tree that the environment points to, in processes of tests too.
    path = os.pathsep.join([str(copy), str(copy / "generated")])
    process = subprocess.Popen(
        [*command, *tests],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with _ended(process):
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return None


# The test runs that are under way.
_running: set[subprocess.Popen[bytes]] = set()


def _end_what_runs() -> None:
    for process in list(_running):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End the process, and the processes that its tests have left."""
    _running.add(process)
    try:
        yield
    finally:
        _running.discard(process)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(20)
