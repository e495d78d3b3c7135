"""Mutation tests: what is mutated, which tests run, and what is printed about survivors."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from tests.mutants import changes, coverage_map, run
from tests.mutants.__main__ import main, page, sample
from tests.mutants.mutations import mutants_of
from tests.mutants.processes import run_tests

# Most of these copy a work tree and run its tests.
pytestmark = pytest.mark.system

ADDER = "synth_pools/backend/room/adder.py"
OWN = "tests/backend/room/test_adder.py"
ADDER_SOURCE = '''\
"""Adds."""


def add(left: int, right: int) -> int:
    """Add two numbers."""
    return left + right


def is_great(number: int) -> bool:
    return number > 100
'''
HEAD = "from synth_pools.backend.room import adder\n\n\n"
ADDER_TESTS = f"""\
{HEAD}def test_add() -> None:
    assert adder.add(2, 3) == 5


def test_is_great() -> None:
    assert adder.is_great(200)
    assert adder.is_great(5) is False
"""
PAGE = """\
# Mutation tests

| package | mutants | killed | survived | killed, % | left out by rule | seed | on |
|---|---:|---:|---:|---:|---:|---:|---|
| `synth_pools/cli` | 4 | 3 | 1 | 75 | 7 | 2 | 2026-01-31 |

## Survivors

```text
synth_pools/cli/x.py:3: <  ->  <=
```
"""


@pytest.mark.parametrize("room", changes.TESTS_OF)
def test_every_module_has_tests(room: str) -> None:
    mutated = [module for module in changes.modules_of(room) if changes.is_mutated(module)]
    assert mutated
    for folder in {folder for module in mutated for folder in changes.folders_of_tests(module)}:
        assert [*(changes.ROOT / folder).rglob("test_*.py")]


def test_derived_modules_and_tests_of_backends_are_not_mutated() -> None:
    assert changes.is_mutated("synth_pools/_client/_async/facade/pools.py")
    assert not changes.is_mutated("synth_pools/_client/_sync/facade/pools.py")
    assert not changes.is_mutated("synth_pools/cli/operations/table.py")
    assert not changes.is_mutated("synth_pools/contract/scenarios/batch.py")
    assert changes.is_mutated("synth_pools/contract/harness/waits.py")
    assert not changes.is_mutated("synth_pools/backend/processes/ray_cluster/cluster.py")
    assert changes.package_of("synth_pools/_client/http/sync_/io.py") == "synth_pools/_client/http"


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repo with one module, committed as `first` without its second function."""
    # Loading the installed plugins takes longer than the tests, which need none.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    root = tmp_path / "repo"
    write(root / OWN, ADDER_TESTS)
    for folder in ("synth_pools", "synth_pools/backend", "synth_pools/backend/room"):
        write(root / folder / "__init__.py", "")
    write(root / "synth_pools/backend/sums.py", ADDER_SOURCE.partition("\n\ndef is_great")[0])
    git(root, "init", "--quiet", "--initial-branch=main")
    commit(root)
    git(root, "tag", "first")
    git(root, "mv", "synth_pools/backend/sums.py", ADDER)
    write(root / ADDER, ADDER_SOURCE)
    commit(root)
    return root


def git(root: Path, *words: str) -> None:
    name = ["-c", "user.name=tests", "-c", "user.email=tests@example.com"]
    subprocess.run(["git", *name, *words], cwd=root, check=True, timeout=60)


def commit(root: Path) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "x")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def verdict_on(repo: Path, path: str, line: int, new: bytes) -> run.Verdict:
    source = (repo / path).read_bytes()
    mutant = next(mutant for mutant in mutants_of(source, {line}) if mutant.new == new)
    [verdict] = run.run_mutants(repo, [run.Planned(path, mutant)], 1, 5)
    return verdict


def test_lines_changed_since_the_last_tag_or_the_fork(repo: Path) -> None:
    [(path, lines)] = changes.changed_lines(None, repo).items()
    assert path == ADDER
    assert {9, 10} <= lines
    assert not {1, 4, 5, 6} & lines, "these only moved"
    git(repo, "switch", "--quiet", "--create", "branch")
    write(repo / ADDER, ADDER_SOURCE + "\n\nNUMBER = 1\n")
    commit(repo)
    assert changes.changed_lines(None, repo) == {ADDER: {11, 12, 13}}


def test_the_same_seed_chooses_the_same_mutants(repo: Path) -> None:
    def chosen(number: int, seed: int = 1) -> list[str]:
        return [planned.change for planned in sample({ADDER: None}, number, seed, repo)[0]]

    assert len(chosen(100)) == 5
    first = chosen(3)
    assert len(first) == 3
    assert any(chosen(3, seed) != first for seed in range(2, 9))
    write(repo / ADDER, ADDER_SOURCE.replace('"""Adds."""', '"""Adds."""\n\n_log.error(1)'))
    assert chosen(3) == first
    assert sample({ADDER: None}, 3, 1, repo)[1] == {"synth_pools/backend/room": 2}


def test_tests_are_measured_again_once_something_changes(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = Mock(side_effect=run_tests)
    monkeypatch.setattr(coverage_map, "run_tests", runs)
    for count, path in enumerate((ADDER, OWN, ADDER), 1):
        write(repo / path, f"import math\n\n\n{(repo / path).read_text()}")
        for _ in range(2):
            measured = coverage_map.coverage_map(repo, "tests/backend", 1, cache=repo)
            assert measured.seconds.keys() == {f"{OWN}::test_add", f"{OWN}::test_is_great"}
        assert [call.args[1] for call in runs.mock_calls] == [["tests/backend"]] * count


def test_survivors_are_printed(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(repo / "results.md", PAGE)
    arguments = ["--since", "first", "--jobs", "1", "--write", str(repo / "results.md")]
    assert main(arguments, repo) == 1
    printed = capsys.readouterr()
    # No test has numbers at the limit.
    survivors = [f"{ADDER}:10: >  ->  >=", f"{ADDER}:10: 100  ->  101"]
    assert printed.out.splitlines()[:3] == ["survivors:", *survivors]
    row = "| `synth_pools/backend/room` | 3 | 1 | 2 | 33 | 0 | 1 | "
    assert printed.out.splitlines()[-1].startswith(row)
    assert (repo / ADDER).read_text() == ADDER_SOURCE
    assert f"({OWN}::test_is_great)" in printed.err
    # The page keeps its rows and survivors of other packages.
    lines = (repo / "results.md").read_text().splitlines()
    assert {*PAGE.splitlines(), *survivors} <= {*lines}
    assert any(line.startswith(row) for line in lines)
    row = "| `synth_pools/cli` | 4 | 4 | 0 | 100 | 7 | 1 | 2026-02-01 |"
    expected = re.sub(r"\| `synth_pools/cli.*", row, PAGE)
    expected = re.sub("synth_pools/cli/x.*", "nothing", expected)
    assert page(PAGE, {"synth_pools/cli": row}, []) == expected
    assert main(["--since", "no-such-tag"], repo) == 2
    assert "no-such-tag" in capsys.readouterr().err


@pytest.mark.parametrize("others", ["", ADDER_TESTS])
def test_tests_that_fail_without_a_mutant_are_named(
    repo: Path, capsys: pytest.CaptureFixture[str], others: str
) -> None:
    write(repo / OWN, f"{others}\n\ndef test_x() -> None:\n    assert False\n")
    assert main(["--since", "first", "--jobs", "1"], repo) == (1 if others else 2)
    errors = capsys.readouterr().err
    assert "fail without a mutant" in errors or f"fails without a mutant: {OWN}::test_x" in errors
    assert ("::test_is_great)" in errors) is bool(others)


COUNTED = "def count(left: int) -> int:\n    while left:\n        left -= 1\n    return left\n"
CONSTANT = "LIMIT = dict([(1, 2)])[1]\n\n\ndef limit() -> int:\n    return LIMIT\n"
# The second test runs the line, and passes only after the first.
AFTER = f"{HEAD}def test_x(): adder.x = 1\n\n\ndef test_y(): assert adder.add(adder.x, 0)\n"


@pytest.mark.parametrize(
    ("source", "tests", "line", "new", "reason"),
    [
        (ADDER_SOURCE, ADDER_TESTS, 6, b"-", f"{OWN}::test_add"),
        (ADDER_SOURCE, f"{HEAD}def test_x():\n    pass\n", 6, b"-", None),
        (ADDER_SOURCE, AFTER, 6, b"return None", None),
        (CONSTANT, f"{HEAD}def test_x():\n    adder.limit()\n", 1, b"2", "no test begins"),
        (COUNTED, f"{HEAD}def test_x():\n    adder.count(3)\n", 3, b"pass", "its tests do not end"),
    ],
)
def test_verdicts(
    repo: Path, monkeypatch: Any, source: str, tests: str, line: int, new: bytes, reason: str | None
) -> None:
    if reason == "its tests do not end":
        monkeypatch.setattr(run, "_LONGEST_EXTRA_SECONDS", 5.0)
    write(repo / ADDER, source)
    write(repo / OWN, tests)
    verdict = verdict_on(repo, ADDER, line, new)
    assert verdict.is_killed is bool(reason)
    assert not reason or verdict.reason == reason


def test_the_derived_module_has_the_mutant_and_its_tests_run(repo: Path) -> None:
    folder, tests = "synth_pools/_client", "tests/client/sync_/test_adder.py"
    write(repo / folder / "__init__.py", "")
    for variant, keyword in (("_async", "async "), ("_sync", "")):
        write(repo / folder / variant / "__init__.py", "")
        source = f"\n{keyword}def half(number: int) -> float:\n    return number / 2\n"
        write(repo / folder / variant / "adder.py", source)
    text = "from synth_pools._client._sync import adder\n\n\ndef test_x() -> None:\n"
    write(repo / tests, f"{text}    assert adder.half(3) == 1.5\n")
    verdict = verdict_on(repo, f"{folder}/_async/adder.py", 3, b"*")
    assert (verdict.is_killed, verdict.reason) == (True, f"{tests}::test_x")


MAPPED = """\
LIMIT = 3
OTHER = (
    4
)
def is_great(
    number,
):
    return (
        number >
        LIMIT
    )
def other():
    try:
        return OTHER
    except KeyError:
        return 0
"""
RUN: dict[int, set[str]] = {8: {"great", "both"}, 14: {"other", "both"}, 15: {"handled"}}


@pytest.mark.parametrize(
    ("line", "names"),
    [
        # Coverage.py may have any line of a statement.
        (10, {"great", "both"}),
        # Lines that run on import have the tests of the functions that use their names.
        (1, {"great", "both"}),
        (3, {"other", "both", "handled"}),
        (6, {"great", "both"}),
        (15, {"handled"}),
        (16, set()),
    ],
)
def test_the_tests_of_a_line_run_it(line: int, names: set[str]) -> None:
    def file(name: str) -> str:
        return f"tests/backend/test_{name}.py::test_x"

    lines = {(ADDER, number): set(map(file, tests)) for number, tests in RUN.items()}
    seconds = {file(name): 1.0 for name in ("great", "both", "other", "handled")}
    measured = coverage_map.CoverageMap(seconds=seconds, lines=lines)
    assert {*measured.tests_of(ADDER, MAPPED, line, 10)} == set(map(file, names))
    # The first test runs, however long it takes.
    assert len(measured.tests_of(ADDER, MAPPED, line, 0.5)) == bool(names)
