"""Judge mutants by their tests, in a copy of the work tree."""

from __future__ import annotations

import itertools
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from codegen.unasync import rewrite
from tests.mutants.changes import derived_of, folders_of_tests
from tests.mutants.coverage_map import CoverageMap, coverage_map
from tests.mutants.mutations import Mutant
from tests.mutants.processes import copy_tree, run_tests

# A mutant is endless if its tests take this many times as long as without it, and a minute.
_LONGEST_FACTOR = 3
_LONGEST_EXTRA_SECONDS = 60.0
# Times of change of the files of a copy, none of them twice.
_SECONDS = itertools.count(1)


@dataclass(frozen=True)
class Planned:
    """Mutant of a module; `change` shows it on one line."""

    path: str
    mutant: Mutant
    change: str = ""


@dataclass(frozen=True)
class Verdict:
    """Verdict on a mutant.

    Attributes:
        is_killed: Whether a test failed that passes without it, or none began, or they did not end.
        reason: The test that failed, or else why it is killed or not.
    """

    planned: Planned
    is_killed: bool
    reason: str
    seconds: float


def run_mutants(
    root: Path, planned: list[Planned], jobs: int, budget: float, warn: Callable[[str], None]
) -> Iterator[Verdict]:
    """Run `budget` seconds of tests for each mutant, `jobs` at a time, in a copy of the work tree.

    `warn` gets the names of the tests that fail without a mutant.
    """
    with tempfile.TemporaryDirectory(prefix="synth-pools-mutants-") as folder:
        copy = copy_tree(root, Path(folder) / "copy")
        tests = CoverageMap()
        for name in sorted({name for item in planned for name in folders_of_tests(item.path)}):
            tests.add(coverage_map(copy, name, jobs, cache=root))
        for name in sorted(tests.failed):
            warn(name)
        judge = _Judge(copy, tests, jobs, budget)
        for item in planned:
            yield judge.judge(item)


class _Judge:
    def __init__(self, copy: Path, tests: CoverageMap, jobs: int, budget: float) -> None:
        self._copy = copy
        self._map = tests
        self._jobs = jobs
        self._budget = budget
        # Tests that have failed with a mutant, and whether they pass without one.
        self._passing: dict[tuple[str, ...], bool] = {}

    def judge(self, planned: Planned) -> Verdict:
        start = time.monotonic()
        source = (self._copy / planned.path).read_text(encoding="utf-8")
        tests = self._map.tests_of(planned.path, source, planned.mutant.line, self._budget)
        is_killed, reason = self._run(planned, tests)
        return Verdict(planned, is_killed, reason, time.monotonic() - start)

    def _run(self, planned: Planned, tests: list[str]) -> tuple[bool, str]:
        before = {planned.path: (self._copy / planned.path).read_bytes()}
        changed = {planned.path: planned.mutant.apply(before[planned.path])}
        if derived := derived_of(planned.path):
            before[derived] = (self._copy / derived).read_bytes()
            changed[derived] = rewrite(changed[planned.path].decode()).encode()
        reason = "no test runs the line"
        while tests:
            self._write(changed)
            try:
                failure = self._failure(tests)
            finally:
                self._write(before)
            if failure is None:
                return False, f"{len(tests)} tests pass"
            suspects = [failure] if failure in tests else tests
            if self._passes(suspects):
                return True, failure
            # They say nothing about the mutant.
            tests = [name for name in tests if name not in suspects]
            reason = f"without it as well: {failure}"
        return False, reason

    def _passes(self, tests: list[str]) -> bool:
        key = tuple(tests)
        if key not in self._passing:
            self._passing[key] = self._failure(tests) is None
        return self._passing[key]

    def _failure(self, tests: list[str]) -> str | None:
        """Run tests; return the first that failed, or what else went wrong, if anything did."""
        seconds = sum(self._map.seconds[name] for name in tests)
        limit = _LONGEST_FACTOR * seconds + _LONGEST_EXTRA_SECONDS
        run = run_tests(self._copy, tests, limit, jobs=min(self._jobs, len(tests)))
        if run.code == 0:
            return None
        if run.code is None:
            return "its tests do not end"
        return min(run.failed & set(tests), default="no test begins")

    def _write(self, texts: dict[str, bytes]) -> None:
        for path, text in texts.items():
            (self._copy / path).write_bytes(text)
            # A compiled text is taken for that of another one of the same second and size.
            second = next(_SECONDS)
            os.utime(self._copy / path, (second, second))
