"""Run the tests of mutants in copies of the work tree."""

from __future__ import annotations

import hashlib
import itertools
import json
import os
import queue
import shutil
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import CancelledError, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from codegen.unasync import rewrite
from tests.mutants.changes import derived_of, folders_of_tests
from tests.mutants.coverage_map import CACHE, CoverageMap, coverage_map
from tests.mutants.kept_lines import file_of
from tests.mutants.mutations import Mutant
from tests.mutants.processes import copy_tree, end_what_runs, recorded, run_tests
from tests.mutants.recorder import key_of

# What tests need of their time without a mutant before a mutant counts as endless.
_LONGEST_FACTOR = 3
_LONGEST_EXTRA_SECONDS = 60.0
# When a file of a copy was written: at no time twice.
_SECONDS = itertools.count(1)
_NONE_BEGINS = "no test begins"
_NO_END = "its tests do not end"


@dataclass(frozen=True)
class Planned:
    """A mutant of a module.

    Attributes:
        change: What is changed into what, on one line.
        key: Tells it from all others, whatever changes around it.
    """

    path: str
    mutant: Mutant
    change: str = ""
    key: str = ""


@dataclass(frozen=True)
class Verdict:
    """Verdict on a mutant.

    Attributes:
        is_killed: Whether a test failed, or none began, or they did not end.
        reason: The test that failed, or else why it is killed or not.
    """

    planned: Planned
    is_killed: bool
    reason: str
    seconds: float


def run_mutants(
    root: Path,
    planned: list[Planned],
    jobs: int,
    budget: float,
    on_verdict: Callable[[Verdict], None],
    on_left_out: Callable[[str], None],
) -> list[Verdict]:
    """Run the tests of each mutant, several at a time.

    Args:
        root: The work tree; it stays as it is.
        planned: What to run.
        jobs: How many copies of the work tree to use at a time.
        budget: How many seconds the tests of one mutant may take, as measured without it.
        on_verdict: Called after each mutant, one call at a time.
        on_left_out: Called with the name of each test that fails without a mutant.

    Raises:
        UnusableTestsError: All tests of a room fail without any mutant.
    """
    with tempfile.TemporaryDirectory(prefix="synth-pools-mutants-") as folder:
        first = copy_tree(root, Path(folder) / "0")
        maps: dict[str, CoverageMap] = {}
        for tests in sorted({each for one in planned for each in folders_of_tests(one.path)}):
            maps[tests] = coverage_map(first, tests, jobs, cache=root)
            for name in maps[tests].failed:
                on_left_out(name)
        copies: queue.SimpleQueue[Path] = queue.SimpleQueue()
        copies.put(first)
        for number in range(1, jobs):
            copies.put(shutil.copytree(first, Path(folder) / str(number), symlinks=True))
        told, stopped = threading.Lock(), threading.Event()
        judge = _Judge(maps, Path(folder), budget, root / CACHE / "killed.json", stopped)

        def judge_in_a_copy(one: Planned) -> Verdict:
            copy = copies.get()
            try:
                verdict = judge.judge(copy, one)
            finally:
                copies.put(copy)
            with told:
                on_verdict(verdict)
            return verdict

        with ThreadPoolExecutor(jobs) as pool:
            futures = [pool.submit(judge_in_a_copy, one) for one in planned]
            try:
                return [future.result() for future in futures]
            except BaseException:
                stopped.set()
                for future in futures:
                    future.cancel()
                end_what_runs()
                raise
            finally:
                judge.close()


class _Judge:
    def __init__(
        self,
        maps: dict[str, CoverageMap],
        folder: Path,
        budget: float,
        killers: Path,
        stopped: threading.Event,
    ) -> None:
        self._stopped = stopped
        self._maps = maps
        # Of rooms whose tests are in several folders.
        self._merged: dict[tuple[str, ...], CoverageMap] = {}
        self._folder = folder
        self._budget = budget
        self._numbers = itertools.count()
        # Tests that have failed with a mutant, and whether they pass without one, by themselves.
        self._believed: dict[str, bool] = {}
        # The test that killed a mutant the last time will do so again: it goes first, and is not
        # even run where neither it nor the module has changed.
        self._path = killers
        self._killers = self._kept()

    def judge(self, copy: Path, planned: Planned) -> Verdict:
        begun = time.monotonic()
        known = self._known(planned.path)
        derived = derived_of(planned.path)
        tests = known.tests_of(
            planned.path,
            (copy / planned.path).read_bytes(),
            planned.mutant.line,
            self._budget,
            (copy / derived).read_text(encoding="utf-8") if derived else "",
        )
        killer, evidence = self._killers.get(planned.key, ("", ""))
        if killer and evidence == _evidence(copy, planned, killer, tests):
            return Verdict(planned, True, killer, 0.0)
        killed, reason = False, "no test runs the line"
        if killer in known.seconds:
            killed, reason = self._run(copy, planned, [killer])
        if tests and not killed:
            killed, reason = self._run(copy, planned, tests)
        if killed:
            self._killers[planned.key] = reason, _evidence(copy, planned, reason, tests)
        return Verdict(planned, killed, reason, time.monotonic() - begun)

    def _known(self, path: str) -> CoverageMap:
        folders = folders_of_tests(path)
        if len(folders) == 1:
            return self._maps[folders[0]]
        if folders not in self._merged:
            self._merged[folders] = CoverageMap.merged([self._maps[each] for each in folders])
        return self._merged[folders]

    def close(self) -> None:
        """Keep what killed the mutants."""
        self._path.parent.mkdir(exist_ok=True)
        self._path.write_text(json.dumps(self._kept() | self._killers), encoding="utf-8")

    def _kept(self) -> dict[str, tuple[str, str]]:
        if not self._path.is_file():
            return {}
        kept = json.loads(self._path.read_text(encoding="utf-8"))
        return {key: (str(killer), str(evidence)) for key, (killer, evidence) in kept.items()}

    def _run(self, copy: Path, planned: Planned, tests: list[str]) -> tuple[bool, str]:
        known = self._known(planned.path)
        source = (copy / planned.path).read_bytes()
        changed = {planned.path: planned.mutant.apply(source)}
        if (derived := derived_of(planned.path)) is not None:
            changed[derived] = rewrite(changed[planned.path].decode()).encode()
        before = {path: (copy / path).read_bytes() for path in changed}
        while tests:
            _write(copy, changed)
            try:
                failed = self._failure(copy, tests, known)
            finally:
                _write(copy, before)
            if failed is None:
                return False, f"{len(tests)} tests pass"
            if failed == _NONE_BEGINS and self._failure(copy, tests, known) is not None:
                return False, "its tests fail together without it"
            # On a busy machine.
            if failed == _NO_END and self._failure(copy, tests, known) == _NO_END:
                return False, "its tests do not end without it either"
            if failed not in tests or self._passes(copy, failed, known):
                return True, failed
            # It told nothing of the mutant.
            tests = [name for name in tests if name != failed]
        return False, "no test that runs the line passes by itself"

    def _passes(self, copy: Path, name: str, known: CoverageMap) -> bool:
        if name not in self._believed:
            self._believed[name] = self._failure(copy, [name], known) is None
        return self._believed[name]

    def _failure(self, copy: Path, tests: list[str], known: CoverageMap) -> str | None:
        """Run tests; return the name of the one that failed, or what else went wrong, if any."""
        records = self._folder / f"records-{next(self._numbers)}"
        seconds = sum(known.seconds[name] for name in tests)
        code = run_tests(copy, tests, _LONGEST_FACTOR * seconds + _LONGEST_EXTRA_SECONDS, records)
        # Tests that were ended tell nothing.
        if self._stopped.is_set():
            raise CancelledError
        if code == 0:
            return None
        if code is None:
            return _NO_END
        names = {key_of(name): name for name in tests}
        failed = (names.get(key_of(one.name)) for one in recorded(records) if not one.passed)
        return next((name for name in failed if name), _NONE_BEGINS)


def _evidence(copy: Path, planned: Planned, killer: str, tests: list[str]) -> str:
    """Compute a digest of the module, and of the file of the test that killed its mutant.

    Where none did, since they did not end or none began, it is of the names of them all.
    """
    file = copy / file_of(killer)
    told = file.read_bytes() if file.is_file() else "\n".join(sorted(tests)).encode()
    return hashlib.sha256((copy / planned.path).read_bytes() + b"\0" + told).hexdigest()


def _write(copy: Path, texts: dict[str, bytes]) -> None:
    for path, text in texts.items():
        (copy / path).write_bytes(text)
        # What was compiled of a text is taken for that of another one of the same second and size.
        second = next(_SECONDS)
        os.utime(copy / path, (second, second))
