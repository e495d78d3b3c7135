"""Coverage map: the tests of a room, by the lines that they run."""

from __future__ import annotations

import ast
import functools
import re
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import coverage

from codegen.unasync import rewrite
from tests.mutants.changes import derived_of, distance_of
from tests.mutants.kept_lines import KeptLines, Tree, file_of, moved
from tests.mutants.processes import recorded, run_tests
from tests.mutants.related_functions import RelatedFunctions

_LONGEST_SECONDS = 3600.0
_TESTS_OF_A_SETTING = 5
# What more lines set tells nothing.
_MOST_SETTINGS = 6
_CONSTANT = re.compile("_?[A-Z][A-Z0-9_]*")
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
        inspecting: Names of the tests that may look at signatures: that of a function can be wrong
            without anything in it being run.
        modules: Texts of the modules of the room.
        naming: Names of the tests that name a constant of a module themselves, by the constant.
    """

    seconds: dict[str, float]
    failed: list[str]
    lines: dict[str, dict[int, set[str]]]
    inspecting: set[str] = field(default_factory=set)
    modules: dict[str, str] = field(default_factory=dict)
    naming: dict[str, set[str]] = field(default_factory=dict)

    @classmethod
    def merged(cls, maps: Iterable[CoverageMap]) -> CoverageMap:
        """Make one of the maps of several folders of tests."""
        whole = cls({}, [], {})
        for one in maps:
            whole.seconds |= one.seconds
            whole.failed += one.failed
            whole.inspecting |= one.inspecting
            whole.modules |= one.modules
            for constant, names in one.naming.items():
                whole.naming[constant] = whole.naming.get(constant, set()) | names
            for module, lines in one.lines.items():
                known = whole.lines.setdefault(module, {})
                for line, names in lines.items():
                    known[line] = known.get(line, set()) | names
        return whole

    @functools.cached_property
    def _related(self) -> RelatedFunctions:
        return RelatedFunctions.of(self.modules)

    def tests_of(
        self, path: str, source: bytes, line: int, budget: float, derived: str = ""
    ) -> list[str]:
        """Choose tests that run a line, as many as take `budget` seconds, in an order to run them.

        Where a module is derived from this one, `derived` is its text: its tests count as well.

        For each line of the function, and of those that use what it sets, one that runs it comes
        first, and those that name a constant that it sets: what is changed may matter only where
        few tests go. Then some for each line that sets an attribute that the statement reads, and
        one for each line of the functions of other modules that it calls, or that use what it sets.
        Then those of the module's own file. Of the others, every test function comes with one of
        its parameters before one comes with another, and every file with one function.
        """
        lines, on_import = _lines_run(source, line)
        maps = [self.lines.get(path, {})]
        if derived:
            known = self.lines.get(derived_of(path) or "", {})
            maps.append(moved(known, derived, rewrite(source.decode())))
        found = set[str]().union(*(known.get(each, ()) for known in maps for each in lines))
        inspecting = self.inspecting if on_import else set[str]()
        seen: dict[str, int] = defaultdict(int)
        ranked = []
        constants = _constants_set(source, line)
        naming = set[str]().union(*(self.naming.get(each, ()) for each in constants))
        candidates = (found | inspecting | naming) & self.seconds.keys()
        distances = {
            name: min(distance_of(path, file_of(name)), 1 if name in inspecting else 2)
            for name in candidates
        }

        def nearness(name: str) -> tuple[float, int, str]:
            return self.seconds[name] * 3 ** distances[name], distances[name], name

        around = _lines_around(source, line)
        ways = [set[str]().union(*(known.get(each, ()) for known in maps)) for each in around]
        first = {min(names, key=nearness) for way in ways if (names := way & candidates)} | naming
        ways = [
            self.lines.get(function.path, {}).get(each, set[str]())
            for function in self._related.of_statement(path, source, line)
            for each in function.lines
        ]
        second = {min(names, key=nearness) for way in ways if (names := way & candidates)}
        for each in _lines_setting(source, line):
            names = candidates & set[str]().union(*(known.get(each, ()) for known in maps))
            second.update(sorted(names, key=nearness)[:_TESTS_OF_A_SETTING])
        for name in sorted(candidates, key=lambda each: (self.seconds[each], each)):
            function = name.partition("[")[0]
            distance = distances[name]
            again = seen[function]
            seen[function] += 1
            seen[file_of(name)] += not again
            ranked.append(
                (
                    0 if name in first else 1 if name in second else 2,
                    again if distance else 0,
                    distance,
                    seen[file_of(name)],
                    self.seconds[name],
                    name,
                )
            )
        chosen: list[str] = []
        total = 0.0
        for *_, seconds, name in sorted(ranked):
            if chosen and total + seconds > budget:
                continue
            chosen.append(name)
            total += seconds
        # Fixtures of a file are made once, and pytest loses those of a folder that it returns to.
        files = list(dict.fromkeys(map(file_of, chosen)))
        folders = list(dict.fromkeys(Path(file).parent for file in files))
        order = {file: (folders.index(Path(file).parent), files.index(file)) for file in files}
        return sorted(chosen, key=lambda name: order[file_of(name)])


def coverage_map(copy: Path, tests: str, jobs: int, cache: Path | None = None) -> CoverageMap:
    """Run the tests of a room, and tell which lines each runs.

    Where a cache has what they ran before, only those run whose file has changed since.

    Args:
        copy: A copy of the work tree.
        tests: The folder of the tests.
        jobs: How many of them run at a time.
        cache: The work tree that keeps the result, if any.

    Raises:
        UnusableTestsError: No test passes.
    """
    path = cache / CACHE / f"{tests.replace('/', '-')}.json" if cache else None
    kept = KeptLines.read(path) if path else None
    tree = Tree.of(copy, tests)
    if kept is None:
        measured = _measured(copy, [tests], jobs)
    else:
        stale = kept.move_to(tree)
        measured = _measured(copy, stale, jobs) if stale else KeptLines(tree)
        measured.add(kept)
    if not measured.seconds:
        raise UnusableTestsError(f"{tests} fail without a mutant")
    measured.tree = tree
    if path:
        measured.write(path)
    return CoverageMap(
        measured.seconds,
        sorted(measured.failed),
        measured.lines,
        _inspecting(copy, measured.seconds),
        tree.modules,
        _naming(copy, measured.seconds),
    )


def _measured(copy: Path, tests: Sequence[str], jobs: int) -> KeptLines:
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
        run_tests(copy, tests, _LONGEST_SECONDS, records, measured=settings, jobs=jobs)
        ended = recorded(records)
        names = {one.context: one.name for one in ended if one.passed}
        return KeptLines(
            Tree({}, {}),
            {one.name: one.seconds for one in ended if one.passed},
            {one.name for one in ended if not one.passed and not one.skipped},
            _lines_by_module(data, copy, names),
        )


def _inspecting(copy: Path, names: Iterable[str]) -> set[str]:
    files = {
        file
        for file in set(map(file_of, names))
        if re.search(r"^import inspect$", (copy / file).read_text(encoding="utf-8"), re.MULTILINE)
    }
    return {name for name in names if file_of(name) in files}


def _naming(copy: Path, names: Iterable[str]) -> dict[str, set[str]]:
    """List the tests that name a constant of a module, which ran before any of them began."""
    tests: dict[str, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for name in names:
        tests[file_of(name)][name.partition("[")[0].rpartition("::")[2]].add(name)
    found: dict[str, set[str]] = defaultdict(set)
    for file, functions in tests.items():
        tree = ast.parse((copy / file).read_text(encoding="utf-8"))
        imported = {
            alias.name
            for node in ast.walk(tree)
            if isinstance(node, ast.ImportFrom)
            for alias in node.names
        }
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name in functions:
                for each in ast.walk(node):
                    constant = each.attr if isinstance(each, ast.Attribute) else ""
                    if isinstance(each, ast.Name) and each.id in imported:
                        constant = each.id
                    if _CONSTANT.fullmatch(constant):
                        found[constant] |= functions[node.name]
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
                        # What pytest tells programs has the phase of the test behind it; a fork
                        # has that of the program before it.
                        told = context.rpartition(")|")[2].rpartition(" (")[0]
                        name = names.get(context) or names.get(told)
                        if name is not None:
                            found[path][line].add(name)
        except coverage.exceptions.DataError:
            # A program that was killed while it wrote.
            continue
        finally:
            measured.close()
    return found


def _lines_run(source: bytes, line: int) -> tuple[Iterable[int], bool]:
    """List the lines that run if a statement runs, or whose function uses what it defines.

    Args:
        source: The text of the module.
        line: A line of the statement.

    Returns:
        The lines, and whether the statement runs on import.
    """
    tree = ast.parse(source)
    statements = [*_statements(tree, in_function=False)]
    around = [one for one in statements if line in one.lines]
    inner = max(around, key=lambda one: one.lines.start) if around else None
    if inner is None:
        # A handler of exceptions or a case of a match.
        return [line], False
    if inner.in_function:
        return inner.lines, False
    # What runs on import tells nothing: the tests of what uses it are meant.
    if isinstance(inner.node, ast.FunctionDef | ast.AsyncFunctionDef):
        return range(inner.node.body[0].lineno, (inner.node.end_lineno or 0) + 1), True
    names = {node.id for node in ast.walk(inner.node) if isinstance(node, ast.Name)}
    used = [
        each
        for one in statements
        if one.in_function and names & _names_in(one.node)
        for each in one.lines
    ]
    used = used or [each for one in statements if one.in_function for each in one.lines]
    return used, True


def _lines_around(source: bytes, line: int) -> list[int]:
    """List the lines of the innermost function that has a line, and of those that use what it sets.

    Those are the functions that name an attribute, or a constant of the module.
    """
    tree = ast.parse(source)
    kinds = ast.FunctionDef | ast.AsyncFunctionDef
    functions = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    around = [node for node in functions if line in _lines_of(node)]
    inner = max(around, key=lambda node: node.lineno, default=None)
    names = {
        target.attr if isinstance(target, ast.Attribute) else target.id
        for node in ast.walk(inner or tree)
        if isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign) and line in _lines_of(node)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        # A name inside a function is used in it alone.
        if isinstance(target, ast.Attribute) or (inner is None and isinstance(target, ast.Name))
    }
    using = (node for node in functions if names & _names_in(node))
    wanted = using if inner is None else (inner, *using)
    return sorted({each for node in wanted for each in _lines_of(node)})


def _constants_set(source: bytes, line: int) -> set[str]:
    """List the constants of the module that the statement of a line sets."""
    return {
        target.id
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign | ast.AnnAssign) and line in _lines_of(node)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name) and _CONSTANT.fullmatch(target.id)
    }


def _lines_setting(source: bytes, line: int) -> list[int]:
    """List the lines of the module that set an attribute that a statement reads."""
    tree = ast.parse(source)
    inner = max(
        (one for one in _statements(tree, in_function=False) if line in one.lines),
        key=lambda one: one.lines.start,
        default=None,
    )
    if inner is None:
        return []
    heads = [inner.node] if not hasattr(inner.node, "body") else list(_heads(inner.node))
    read = {
        each.attr
        for head in heads
        for each in ast.walk(head)
        if isinstance(each, ast.Attribute) and isinstance(each.ctx, ast.Load)
    }
    setting: dict[str, set[int]] = defaultdict(set)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            setting[node.attr].add(node.lineno)
    return sorted(
        {
            each
            for name in read
            if len(lines := setting.get(name, set())) <= _MOST_SETTINGS
            for each in lines
        }
    )


def _heads(node: ast.AST) -> Iterator[ast.AST]:
    """List the parts of a statement before its body: what it asks."""
    for name, value in ast.iter_fields(node):
        if name not in {"body", "orelse", "finalbody", "handlers"}:
            children = value if isinstance(value, list) else [value]
            yield from (child for child in children if isinstance(child, ast.AST))


def _lines_of(node: ast.stmt) -> range:
    return range(node.lineno, (node.end_lineno or node.lineno) + 1)


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
