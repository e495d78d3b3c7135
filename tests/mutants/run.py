"""Judge mutants by their tests, in a copy of the work tree."""

from __future__ import annotations

import itertools
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from codegen.unasync import TREES, rewrite
from tests.mutants.changes import derived_of, folders_of_tests, modules_of
from tests.mutants.coverage_map import CoverageMap, coverage_map
from tests.mutants.mutations import Mutant
from tests.mutants.processes import copy_tree, run_tests

# A mutant is endless if its tests take this many times as long as without it, and a minute.
_LONGEST_FACTOR = 3
_LONGEST_EXTRA_SECONDS = 60.0
# Times of change of the files of a copy, each of them once.
_SECONDS = itertools.count(1)


@dataclass(frozen=True)
class Planned:
    """Mutant of a module; `change` shows it on one line."""

    path: str
    mutant: Mutant
    change: str = ""

    def __str__(self) -> str:
        return f"{self.path}:{self.mutant.line}: {self.change}"


@dataclass(frozen=True)
class Verdict:
    """Verdict on a mutant, killed if a test fails, none begins, or the tests do not end."""

    planned: Planned
    is_killed: bool
    reason: str
    seconds: float


def run_mutants(root: Path, planned: list[Planned], jobs: int, budget: float) -> Iterator[Verdict]:
    """Run `budget` seconds of tests for each mutant in a copy of the tree, `jobs` at a time."""
    with tempfile.TemporaryDirectory(prefix="synth-pools-mutants-") as folder:
        copy = copy_tree(root, Path(folder) / "copy")
        # A derived module has the lines of its source, unformatted: one map serves both.
        for path in (path for tree in TREES for path in modules_of(tree, copy)):
            text = (copy / path).read_text(encoding="utf-8")
            (copy / rewrite(path)).write_text(rewrite(text), encoding="utf-8")
        tests = CoverageMap()
        for name in sorted({name for plan in planned for name in folders_of_tests(plan.path)}):
            tests.add(coverage_map(copy, name, jobs, cache=root))
        for name in sorted(tests.failed):
            print(f"fails without a mutant: {name}", file=sys.stderr, flush=True)
        judge = _Judge(copy, tests, jobs, budget)
        yield from map(judge.judge, planned)


@dataclass
class _Judge:
    copy: Path
    map: CoverageMap
    jobs: int
    budget: float
    # Tests that failed with a mutant, by whether they pass without one.
    passing: dict[tuple[str, ...], bool] = field(default_factory=dict)

    def judge(self, planned: Planned) -> Verdict:
        start = time.monotonic()
        is_killed, reason = self._run(planned)
        return Verdict(planned, is_killed, reason, time.monotonic() - start)

    def _run(self, planned: Planned) -> tuple[bool, str]:
        source = (self.copy / planned.path).read_bytes()
        tests = self.map.tests_of(planned.path, source.decode(), planned.mutant.line, self.budget)
        before = {planned.path: source}
        changed = {planned.path: planned.mutant.apply(source)}
        if derived := derived_of(planned.path):
            before[derived] = (self.copy / derived).read_bytes()
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
            tests = [name for name in tests if name not in suspects]
            reason = f"without it as well: {failure}"
        return False, reason

    def _passes(self, tests: list[str]) -> bool:
        key = tuple(tests)
        if key not in self.passing:
            self.passing[key] = self._failure(tests) is None
        return self.passing[key]

    def _failure(self, tests: list[str]) -> str | None:
        """Run tests; return the first that fails, or what else is wrong, or None."""
        seconds = sum(self.map.seconds[name] for name in tests)
        limit = _LONGEST_FACTOR * seconds + _LONGEST_EXTRA_SECONDS
        run = run_tests(self.copy, tests, limit, jobs=min(self.jobs, len(tests)))
        if run.code == 0:
            return None
        if run.code is None:
            return "its tests do not end"
        return min(run.failed & set(tests), default="no test begins")

    def _write(self, texts: dict[str, bytes]) -> None:
        for path, text in texts.items():
            (self.copy / path).write_bytes(text)
            # A compiled file counts as current if second and size of its source are the same.
            second = next(_SECONDS)
            os.utime(self.copy / path, (second, second))
