"""Coverage map: the tests of a room, by the lines that they run."""

from __future__ import annotations

import ast
import hashlib
import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import coverage

from tests.mutants.changes import TESTS_OF, distance_of
from tests.mutants.processes import recorded, run_tests

_LONGEST_SECONDS = 3600.0
# Folder, in a work tree, of what is found out about it once.
CACHE = ".mutants-cache"


class UnusableTestsError(Exception):
    """Tests that fail without a mutant cannot tell anything about one."""


@dataclass
class CoverageMap:
    """Lines that the tests of a room run, and how long these take.

    Attributes:
        seconds: How long each test takes that passes.
        failed: Names of the tests that did not pass, nor were skipped.
        lines: The tests that run each line, by module and line.
    """

    seconds: dict[str, float]
    failed: list[str]
    lines: dict[str, dict[int, set[str]]]

    def tests_of(self, path: str, source: bytes, line: int, budget: float) -> list[str]:
        """Choose tests that run a line, as many as take `budget` seconds, in an order to run them.

        Those of the module's own file come first. Of the others, every test function comes with one
        of its parameters before one comes with another.
        """
        known = self.lines.get(path, {})
        found = set[str]().union(*(known.get(each, ()) for each in _lines_run(source, line)))
        seen: dict[str, int] = defaultdict(int)
        ranked = []
        for name in sorted(found & self.seconds.keys(), key=lambda each: self.seconds[each]):
            function = name.partition("[")[0]
            distance = distance_of(path, _file(name))
            ranked.append((seen[function] if distance else 0, distance, self.seconds[name], name))
            seen[function] += 1
        chosen: list[str] = []
        total = 0.0
        for _, _, seconds, name in sorted(ranked):
            if chosen and total + seconds > budget:
                break
            chosen.append(name)
            total += seconds
        # Fixtures of a file are made once.
        files = list(dict.fromkeys(map(_file, chosen)))
        return sorted(chosen, key=lambda name: files.index(_file(name)))


def coverage_map(copy: Path, tests: str, jobs: int, cache: Path | None = None) -> CoverageMap:
    """Run the tests of a room, and tell which lines each runs.

    Args:
        copy: A copy of the work tree.
        tests: The folder of the tests.
        jobs: How many of them run at a time.
        cache: The work tree that keeps the result, if any.

    Raises:
        UnusableTestsError: No test passes.
    """
    kept = cache / CACHE / f"{_digest(copy, tests)}.json" if cache else None
    if kept and kept.is_file():
        return _read(json.loads(kept.read_text(encoding="utf-8")))
    with tempfile.TemporaryDirectory(prefix="synth-pools-coverage-") as folder:
        settings = Path(folder) / "coveragerc"
        data = Path(folder) / "data"
        # Programs that a test starts are told its name by pytest.
        lines = [
            "[run]",
            f"source = {copy}",
            f"data_file = {data / 'lines'}",
            "parallel = true",
            "context = ${PYTEST_CURRENT_TEST-}",
        ]
        settings.write_text("\n".join(lines) + "\n", encoding="utf-8")
        data.mkdir()
        records = Path(folder) / "records"
        run_tests(copy, [tests], _LONGEST_SECONDS, records, measured=settings, jobs=jobs)
        ended = recorded(records)
        passed = {one.name: one.seconds for one in ended if one.passed}
        if not passed:
            raise UnusableTestsError(f"{tests} fail without a mutant")
        names = {one.context: one.name for one in ended if one.passed}
        found = CoverageMap(
            passed,
            sorted(one.name for one in ended if not one.passed and not one.skipped),
            _lines_by_module(data, copy, names),
        )
    if kept:
        kept.parent.mkdir(exist_ok=True)
        kept.write_text(json.dumps(_written(found)), encoding="utf-8")
    return found


def _lines_by_module(
    data: Path, copy: Path, names: dict[str, str]
) -> dict[str, dict[int, set[str]]]:
    found: dict[str, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
    for file in sorted(data.iterdir()):
        measured = coverage.CoverageData(basename=str(file))
        try:
            measured.read()
            for module in measured.measured_files():
                path = Path(module).relative_to(copy).as_posix()
                for line, contexts in measured.contexts_by_lineno(module).items():
                    for context in contexts:
                        # What pytest tells programs has the phase of the test behind it.
                        name = names.get(context) or names.get(context.rpartition(" (")[0])
                        if name is not None:
                            found[path][line].add(name)
        except coverage.exceptions.DataError:
            # A program that was killed while it wrote.
            continue
        finally:
            measured.close()
    return found


def _lines_run(source: bytes, line: int) -> Iterable[int]:
    """List the lines that run if a statement runs, or whose function uses what it defines.

    Args:
        source: The text of the module.
        line: A line of the statement.
    """
    tree = ast.parse(source)
    statements = [*_statements(tree, in_function=False)]
    around = [one for one in statements if line in one.lines]
    inner = max(around, key=lambda one: one.lines.start) if around else None
    if inner is None:
        # A handler of exceptions or a case of a match.
        return [line]
    if inner.in_function:
        return inner.lines
    # What runs on import tells nothing: the tests of what uses it are meant.
    if isinstance(inner.node, ast.FunctionDef | ast.AsyncFunctionDef):
        return range(inner.node.body[0].lineno, (inner.node.end_lineno or 0) + 1)
    names = {node.id for node in ast.walk(inner.node) if isinstance(node, ast.Name)}
    used = [
        each
        for one in statements
        if one.in_function and names & _names_in(one.node)
        for each in one.lines
    ]
    return used or [each for one in statements if one.in_function for each in one.lines]


@dataclass(frozen=True)
class _Statement:
    node: ast.stmt
    lines: range
    in_function: bool


def _statements(node: ast.AST, *, in_function: bool) -> Iterator[_Statement]:
    """Walk the statements; the lines of one with a body are those before the body."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.stmt):
            body = getattr(child, "body", None)
            last = min(map(_first_line, body)) - 1 if body else child.end_lineno or child.lineno
            lines = range(child.lineno, max(last, child.lineno) + 1)
            yield _Statement(child, lines, in_function)
        inside = in_function or isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef)
        yield from _statements(child, in_function=inside)


def _first_line(node: ast.stmt) -> int:
    decorators = getattr(node, "decorator_list", [])
    return min([node.lineno, *(int(each.lineno) for each in decorators)])


def _names_in(node: ast.stmt) -> set[str]:
    names = {each.id for each in ast.walk(node) if isinstance(each, ast.Name)}
    return names | {each.attr for each in ast.walk(node) if isinstance(each, ast.Attribute)}


def _file(name: str) -> str:
    return name.partition("::")[0]


def _digest(copy: Path, tests: str) -> str:
    """Name a tree and its tests."""
    digest = hashlib.sha256(f"{tests} {sys.version}".encode())
    folders = [
        copy / each for each in (*TESTS_OF, "synth_pools", "generated", "tests/support", tests)
    ]
    inside = {path for folder in folders for path in folder.rglob("*")}
    for path in sorted({*inside, *copy.glob("*.*"), *copy.glob("tests/*.py")}):
        if path.is_file() and path.suffix != ".pyc":
            digest.update(path.relative_to(copy).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:32]


def _written(found: CoverageMap) -> dict[str, object]:
    order = {name: number for number, name in enumerate(found.seconds)}
    lines = {
        path: {line: sorted(order[name] for name in names) for line, names in by_line.items()}
        for path, by_line in found.lines.items()
    }
    return {"seconds": found.seconds, "failed": found.failed, "lines": lines}


def _read(value: dict[str, object]) -> CoverageMap:
    seconds, failed, lines = value["seconds"], value["failed"], value["lines"]
    assert isinstance(seconds, dict)
    assert isinstance(failed, list)
    assert isinstance(lines, dict)
    order = [*seconds]
    return CoverageMap(
        seconds,
        failed,
        {
            path: {
                int(line): {order[number] for number in numbers} for line, numbers in each.items()
            }
            for path, each in lines.items()
        },
    )
