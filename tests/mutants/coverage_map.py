"""Test functions by the lines that they run: measured, cached, and chosen for a mutant."""

from __future__ import annotations

import ast
import difflib
import hashlib
import pickle
import re
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import coverage

from codegen.unasync import rewrite
from tests.mutants.changes import TESTS_OF, derived_of, distance_of, modules_of
from tests.mutants.processes import run_tests

CACHE = ".mutants-cache"
_LONGEST_SECONDS = 3600.0
# The last name in a context of coverage.py: that of a forked process begins with its parent's, and
# that of a program ends with the phase of the test that started it.
_FUNCTION = re.compile(r"[\w./-]+\.py(?:::\w+)+")
_Function = ast.FunctionDef | ast.AsyncFunctionDef
# Test functions by module and line.
Lines = dict[tuple[str, int], set[str]]


class UnusableTestsError(Exception):
    """Tests that fail without a mutant, and say nothing about one."""


@dataclass
class CoverageMap:
    """Test functions of a folder, and the lines that they run.

    Attributes:
        texts: Texts of the modules.
        seconds: Duration of each test function that passes.
        failed: Test functions that fail without a mutant.
        lines: Test functions that run each line.
    """

    texts: dict[str, str] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)
    lines: Lines = field(default_factory=dict)

    def add(self, measured: CoverageMap) -> None:
        """Add what was measured of other tests, in the same work tree."""
        self.texts |= measured.texts
        self.seconds |= measured.seconds
        self.failed |= measured.failed
        for key, names in measured.lines.items():
            self.lines[key] = self.lines.get(key, set()) | names

    def _union(self, keys: Iterable[tuple[str, int]]) -> set[str]:
        return set[str]().union(*(self.lines.get(key, ()) for key in keys))

    def tests_of(self, path: str, source: str, line: int, budget: float) -> list[str]:
        """Choose tests that run a line, as many as take `budget` seconds.

        For each line of its function, and of those that use what it sets, the nearest test comes
        first; then one of each file after the other. Tests of the derived module count as well.
        """
        derived = derived_of(path)
        twins: dict[int, set[str]] = {}
        if derived:
            lines = former_lines(self.texts.get(derived, ""), rewrite(source))
            twins = {
                new: self._union((derived, line) for line in old) for new, old in lines.items()
            }
        affected, around = lines_affected(source, line)
        tests = {
            line: self._union([(path, line)]) | twins.get(line, set()) for line in affected | around
        }
        candidates = set[str]().union(*(tests[line] for line in affected))
        distances = {name: distance_of(path, file_of(name)) for name in candidates}
        costs = {name: (self.seconds[name] * 3 ** distances[name], name) for name in candidates}
        ways = [tests[item] & candidates for item in around]
        first = {min(names, key=costs.__getitem__) for names in ways if names}
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
        UnusableTestsError: No test passes.
    """
    rooms = [room for room, folders in TESTS_OF.items() if tests in folders.split()]
    modules = [module for room in rooms for module in modules_of(room, copy)]
    texts = {module: (copy / module).read_text(encoding="utf-8") for module in modules}
    files = sorted((copy / tests).rglob("*.py"))
    contents = [sys.version, *texts.values(), *(file.read_text(encoding="utf-8") for file in files)]
    digest = hashlib.sha256("\0".join(contents).encode()).hexdigest()
    path = cache / CACHE / f"{tests.replace('/', '-')}.pickle"
    former, result = pickle.loads(path.read_bytes()) if path.is_file() else ("", CoverageMap())
    if former != digest:
        result = _measured(copy, tests, jobs)
        result.texts = texts
    if not result.seconds:
        raise UnusableTestsError(f"{tests} fail without a mutant")
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(pickle.dumps((digest, result)))
    return result


def _measured(copy: Path, tests: str, jobs: int) -> CoverageMap:
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
    result: Lines = defaultdict(set)
    for file in sorted(data.iterdir()):
        measured = coverage.CoverageData(basename=str(file))
        try:
            measured.read()
            for module in measured.measured_files():
                path = Path(module).relative_to(copy).as_posix()
                for line, contexts in measured.contexts_by_lineno(module).items():
                    functions = (_FUNCTION.findall(context)[-1:] for context in contexts)
                    result[path, line].update(
                        *(
                            names.keys() & set(functions_of_context)
                            for functions_of_context in functions
                        )
                    )
        except coverage.exceptions.DataError:
            # A program that was killed while it wrote.
            continue
        finally:
            measured.close()
    return dict(result)


def former_lines(before: str, after: str) -> dict[int, list[int]]:
    """List for each line of a text which lines it was before, or which are around a new one."""
    values: dict[int, list[int]] = {}
    matcher = difflib.SequenceMatcher(None, before.splitlines(), after.splitlines(), autojunk=False)
    for tag, start, end, new_start, new_end in matcher.get_opcodes():
        for offset in range(new_end - new_start):
            same = [start + offset + 1]
            values[new_start + offset + 1] = same if tag == "equal" else list(range(start, end + 2))
    return values


def lines_affected(source: str, line: int) -> tuple[set[int], set[int]]:
    """Return the lines of the statement of a line, and those of functions that it may matter to.

    These are its own function, and those that use an attribute that it sets.

    Where it runs on import, both are the lines of the functions that use what it defines.
    """
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, _Function)]
    statements = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    at_line = [node for node in statements if line in _head(node)]
    statement = max(at_line, key=lambda node: node.lineno, default=None)
    if inner := [node for node in functions if line in _body(node)][-1:]:
        parts = (node for node in ast.walk(statement or tree) if isinstance(node, ast.Attribute))
        names = {node.attr for node in parts if isinstance(node.ctx, ast.Store)}
        around = [*inner, *(node for node in functions if names & _names_in(node))]
        own = set(_head(statement)) if statement else {line}
        return own, {line for node in around for line in _body(node)}
    names = {node.id for node in ast.walk(statement or tree) if isinstance(node, ast.Name)}
    using = [node for node in functions if names & _names_in(node)] or functions
    used = {item for node in using for item in _body(node)}
    body = set(_body(statement)) if isinstance(statement, _Function) else used
    return body, body


def _names_in(node: ast.AST) -> set[str]:
    parts = list(ast.walk(node))
    names = {part.id for part in parts if isinstance(part, ast.Name)}
    return names | {part.attr for part in parts if isinstance(part, ast.Attribute)}


def _body(node: ast.FunctionDef | ast.AsyncFunctionDef) -> range:
    return range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1)


def _head(node: ast.stmt) -> range:
    """Return the lines of a statement, without those of its body."""
    body = getattr(node, "body", None)
    end = max(body[0].lineno, node.lineno + 1) if body else (node.end_lineno or node.lineno) + 1
    return range(node.lineno, end)


def file_of(name: str) -> str:
    """Name the file of a test."""
    return name.partition("::")[0]
