"""Test functions by the lines that they run: measured, cached, and chosen for a mutant."""

from __future__ import annotations

import ast
import hashlib
import itertools
import pickle
import re
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import coverage

from tests.mutants.changes import TESTS_OF, derived_of, distance_of, modules_of
from tests.mutants.mutations import names_in
from tests.mutants.processes import run_tests

_LONGEST_SECONDS = 3600.0
# Name of a test in a context of coverage.py. The context of a forked process begins with the name
# of its parent's test; the context of a program ends with the phase of the test that started it.
_FUNCTION = re.compile(r"[\w./-]+\.py(?:::\w+)+")
_Function = ast.FunctionDef | ast.AsyncFunctionDef
# Test functions by module and line.
Lines = dict[tuple[str, int], set[str]]


@dataclass
class CoverageMap:
    """Test functions that pass, with their duration, that fail, and that run each line."""

    seconds: dict[str, float] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    lines: Lines = field(default_factory=dict)

    def add(self, measured: CoverageMap) -> None:
        """Add the map of other tests of the same work tree."""
        self.seconds |= measured.seconds
        self.failed |= measured.failed
        for key, names in measured.lines.items():
            self.lines[key] = self.lines.get(key, set()) | names

    def tests_of(self, path: str, source: str, line: int, budget: float) -> list[str]:
        """Choose tests that run a line and take `budget` seconds together.

        The nearest test of each line of its function, and of functions that use an attribute that
        it sets, comes first; then one test of each file after the other. Tests of the derived
        module count as well.
        """
        affected, around = lines_affected(source, line)
        modules = [path, derived_of(path) or path]
        tests = {
            number: set[str]().union(*(self.lines.get((module, number), ()) for module in modules))
            for number in affected | around
        }
        candidates = set[str]().union(*(tests[line] for line in affected))
        distances = {name: distance_of(path, file_of(name)) for name in candidates}
        costs = {name: (self.seconds[name] * 3 ** distances[name], name) for name in candidates}
        runs = [tests[number] & candidates for number in around]
        first = {min(names, key=costs.__getitem__) for names in runs if names}
        ranks: dict[str, tuple[bool, int, int]] = {}
        positions: Counter[str] = Counter()
        for name in sorted(candidates, key=costs.__getitem__):
            positions[file_of(name)] += 1
            ranks[name] = name not in first, distances[name], positions[file_of(name)]
        chosen: list[str] = []
        remaining = budget
        for name in sorted(candidates, key=lambda name: (ranks[name], costs[name])):
            if not chosen or self.seconds[name] <= remaining:
                chosen.append(name)
                remaining -= self.seconds[name]
        # Fixtures of a file are made once.
        files = list(dict.fromkeys(map(file_of, chosen)))
        return sorted(chosen, key=lambda name: files.index(file_of(name)))


def coverage_map(copy: Path, tests: str, jobs: int, cache: Path) -> CoverageMap:
    """Measure which lines the tests of a folder run, or read it from the cache of the work tree.

    Raises:
        LookupError: No test passes without a mutant.
    """
    rooms = [room for room, folders in TESTS_OF.items() if tests in folders.split()]
    modules = [module for room in rooms for module in modules_of(room, copy)]
    files = [*(copy / module for module in modules), *sorted((copy / tests).rglob("*.py"))]
    contents = [sys.version, *(file.read_text(encoding="utf-8") for file in files)]
    digest = hashlib.sha256("\0".join(contents).encode()).hexdigest()
    path = cache / ".mutants-cache" / f"{tests.replace('/', '-')}.pickle"
    former, measured = pickle.loads(path.read_bytes()) if path.is_file() else ("", CoverageMap())
    if former != digest:
        measured = _measure(copy, tests, jobs)
    if not measured.seconds:
        raise LookupError(f"{tests} fail without a mutant")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps((digest, measured)))
    return measured


def _measure(copy: Path, tests: str, jobs: int) -> CoverageMap:
    with tempfile.TemporaryDirectory(prefix="synth-pools-coverage-") as name:
        folder = Path(name)
        (folder / "data").mkdir()
        settings = f"[run]\nsource = {copy}\ndata_file = {folder / 'data/lines'}\nparallel = true\n"
        # Programs that a test starts read its name from their environment.
        settings += "context = ${PYTEST_CURRENT_TEST-}\n"
        (folder / "coveragerc").write_text(settings, encoding="utf-8")
        run = run_tests(copy, [tests], _LONGEST_SECONDS, measured=folder / "coveragerc", jobs=jobs)
        seconds = {name: run.seconds[name] for name in run.seconds.keys() - run.failed}
        lines = _lines_run(folder / "data", copy, seconds)
        return CoverageMap(seconds=seconds, failed=run.failed, lines=lines)


def _lines_run(data: Path, copy: Path, names: Mapping[str, float]) -> Lines:
    lines: Lines = defaultdict(set)
    for file in sorted(data.iterdir()):
        measured = coverage.CoverageData(basename=str(file))
        try:
            measured.read()
            for module in measured.measured_files():
                path = Path(module).relative_to(copy).as_posix()
                for line, contexts in measured.contexts_by_lineno(module).items():
                    functions = (_FUNCTION.findall(context)[-1:] for context in contexts)
                    lines[path, line] |= names.keys() & set(itertools.chain(*functions))
        except coverage.exceptions.DataError:
            # A program that was killed while it wrote.
            continue
        finally:
            measured.close()
    return dict(lines)


def lines_affected(source: str, line: int) -> tuple[set[int], set[int]]:
    """Return the lines of the statement of a line, and of the functions that it may matter to.

    These are its own function and the functions that use an attribute that it sets. If it runs on
    import, both are the lines of the functions that use its names.
    """
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, _Function)]
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    at_line = [node for node in statements if line in _head(node)]
    statement = max(at_line, key=lambda node: node.lineno, default=None)
    if inner := [node for node in functions if line in _body(node)][-1:]:
        parts = (node for node in ast.walk(statement or tree) if isinstance(node, ast.Attribute))
        names = {node.attr for node in parts if isinstance(node.ctx, ast.Store)}
        around = [*inner, *(node for node in functions if names & names_in(node))]
        head = set(_head(statement)) if statement else {line}
        return head, {number for node in around for number in _body(node)}
    names = {node.id for node in ast.walk(statement or tree) if isinstance(node, ast.Name)}
    users = [node for node in functions if names & names_in(node)] or functions
    if isinstance(statement, _Function):
        users = [statement]
    body = {number for node in users for number in _body(node)}
    return body, body


def _body(node: _Function) -> range:
    return range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1)


def _head(node: ast.stmt) -> range:
    """Return the lines of a statement, without those of its body."""
    body = getattr(node, "body", None)
    end = max(body[0].lineno, node.lineno + 1) if body else (node.end_lineno or node.lineno) + 1
    return range(node.lineno, end)


def file_of(name: str) -> str:
    """Name the file of a test."""
    return name.partition("::")[0]
