"""The mutation tests: what is mutated, which tests run, and what is said of survivors."""

from __future__ import annotations

import hashlib
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.mutants.__main__ import main, sample
from tests.mutants.changes import (
    ROOT,
    TESTS_OF,
    changed_lines,
    default_revision,
    folders_of_tests,
    is_mutated,
    modules_of,
    package_of,
)
from tests.mutants.coverage_map import CoverageMap, coverage_map
from tests.mutants.kept_lines import KeptLines
from tests.mutants.mutations import mutants_of
from tests.mutants.processes import copy_tree, run_tests
from tests.mutants.report import Row, page
from tests.mutants.run import Planned, run_mutants

# Most of them copy a work tree and run its tests.
pytestmark = pytest.mark.system

ADDER = "synth_pools/backend/room/adder.py"
ADDER_SOURCE = '''\
"""Adds."""


def add(left: int, right: int) -> int:
    """Add two numbers."""
    return left + right


def is_great(number: int) -> bool:
    return number > 100
'''
ADDER_TESTS = """\
from synth_pools.backend.room import adder


def test_add() -> None:
    assert adder.add(2, 3) == 5


def test_is_great() -> None:
    assert adder.is_great(200)
    assert adder.is_great(5) is False
"""


@pytest.mark.parametrize("room", TESTS_OF)
def test_every_module_has_tests(room: str) -> None:
    mutated = [module for module in modules_of(room) if is_mutated(module)]
    assert mutated
    for folder in {folder for module in mutated for folder in folders_of_tests(module)}:
        assert [*(ROOT / folder).rglob("test_*.py")]


def test_what_is_derived_is_not_changed() -> None:
    assert is_mutated("synth_pools/_client/_async/facade/pools.py")
    assert not is_mutated("synth_pools/_client/_sync/facade/pools.py")
    assert not is_mutated("synth_pools/cli/operations/table.py")
    assert not is_mutated("synth_pools/contract/scenarios/batch.py")
    assert is_mutated("synth_pools/contract/harness/waits.py")
    assert not is_mutated("synth_pools/backend/processes/ray_cluster/cluster.py")
    assert not is_mutated("generated/synth_pools_api/client.py")


def test_both_variants_are_one_package() -> None:
    runtime = "synth_pools/_client/runtime"
    assert package_of(f"{runtime}/sync_/io.py") == runtime
    assert package_of(f"{runtime}/fork_safety.py") == runtime


@pytest.fixture
def repo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repo with one module, committed as `first` without its second function."""
    # Its tests need none, and loading all that are installed takes longer than they do.
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    git(tmp_path, "init", "--quiet", "--initial-branch=main")
    write(tmp_path / "tests/backend/room/test_adder.py", ADDER_TESTS)
    for folder in ("synth_pools", "synth_pools/backend", "synth_pools/backend/room"):
        write(tmp_path / folder / "__init__.py", "")
    head, _, _ = ADDER_SOURCE.partition("\n\ndef is_great")
    write(tmp_path / "synth_pools/backend/sums.py", head)
    commit(tmp_path)
    git(tmp_path, "tag", "first")
    git(tmp_path, "mv", "synth_pools/backend/sums.py", ADDER)
    write(tmp_path / ADDER, ADDER_SOURCE)
    commit(tmp_path)
    return tmp_path


def git(root: Path, *words: str) -> None:
    name = ["-c", "user.name=tests", "-c", "user.email=tests@example.com"]
    subprocess.run(["git", *name, *words], cwd=root, check=True, timeout=60)


def commit(root: Path) -> None:
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "x")


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def test_lines_that_only_moved_have_not_changed(repo: Path) -> None:
    [(path, lines)] = changed_lines("first", repo).items()
    assert path == ADDER
    assert {9, 10} <= lines
    assert not {1, 4, 5, 6} & lines


def test_a_copy_has_what_is_new_and_the_environments_beside_it(repo: Path, tmp_path: Path) -> None:
    write(repo / ".gitignore", ".venv*\n")
    write(repo / ".venv-published/bin/python", "x")
    write(repo / "synth_pools/backend/new.py", "X = 1\n")
    copy = copy_tree(repo, tmp_path / "copy")
    assert (copy / "synth_pools/backend/new.py").read_text() == "X = 1\n"
    assert (copy / ".venv-published/bin/python").read_text() == "x"
    assert not (copy / ".git").exists()


def test_the_last_tag_is_where_the_work_begins_on_main(repo: Path) -> None:
    assert default_revision(repo) == "first"
    git(repo, "switch", "--quiet", "--create", "branch")
    write(repo / ADDER, ADDER_SOURCE + "\n\nNUMBER = 1\n")
    commit(repo)
    assert [*changed_lines(default_revision(repo), repo).values()] == [{11, 12, 13}]


def test_the_same_seed_chooses_the_same_mutants(repo: Path) -> None:
    def chosen(number: int, seed: int = 1) -> list[str]:
        planned, _ = sample({ADDER: None}, number, seed, repo)
        source = (repo / ADDER).read_bytes()
        return [one.mutant.describe(source) for one in planned]

    assert len(chosen(100)) == 5
    first = chosen(3)
    assert len(first) == 3
    assert first == chosen(3)
    assert any(chosen(3, seed) != first for seed in range(2, 9))
    # Whatever changes around.
    write(repo / ADDER, ADDER_SOURCE.replace('"""Adds."""', '"""Adds."""\n\n_log.error(1)'))
    assert chosen(3) == first
    assert sample({ADDER: None}, 3, 1, repo)[1] == {"synth_pools/backend/room": 2}


def test_only_tests_that_changed_are_measured_again(
    repo: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own, other = "tests/backend/room/test_adder.py", "tests/backend/test_other.py"
    write(repo / other, "def test_x() -> None:\n    pass\n")
    asked: list[list[str]] = []

    def note(copy: Path, tests: list[str], *args: Any, **options: Any) -> Any:
        asked.append(tests)
        return run_tests(copy, tests, *args, **options)

    monkeypatch.setattr("tests.mutants.coverage_map.run_tests", note)

    def measured() -> CoverageMap:
        return coverage_map(repo, "tests/backend", 1, cache=repo)

    first = measured()
    assert first.seconds.keys() == {f"{own}::test_add", f"{own}::test_is_great", f"{other}::test_x"}
    assert measured().seconds == first.seconds
    assert asked == [["tests/backend"]]
    # A module that has changed is run by the tests that ran it.
    write(repo / ADDER, f"import math\n\n\n{ADDER_SOURCE}")
    # Of another length: compiled files are told apart by that, and by the second.
    write(repo / other, "def test_renamed() -> None:\n    pass\n")
    second = measured()
    assert asked == [["tests/backend"], [other]]
    assert second.seconds.keys() == {*first.seconds, f"{other}::test_renamed"} - {
        f"{other}::test_x"
    }
    assert second.tests_of(ADDER, (repo / ADDER).read_bytes(), 9, 10) == [f"{own}::test_add"]
    # The tests of a package that is new are measured.
    write(repo / "synth_pools/backend/room/other.py", "X = 1\n")
    measured()
    assert asked[2:] == [[own, other]]
    (repo / own).unlink()
    assert measured().seconds.keys() == {f"{other}::test_renamed"}


def test_survivors_are_printed(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write(repo / "results.md", page("", [OTHER_ROW], [f"{OTHER_ROW.package}/x.py:3: <  ->  <="]))
    arguments = ["--since", "first", "--jobs", "1", "--write", str(repo / "results.md")]
    assert main(arguments, repo) == 1
    printed = capsys.readouterr()
    # No test has numbers at the limit.
    survivors = [f"{ADDER}:10: >  ->  >=", f"{ADDER}:10: 100  ->  101"]
    lines = printed.out.splitlines()
    assert lines[:3] == ["survivors:", *survivors]
    row = "| `synth_pools/backend/room` | 3 | 1 | 2 | 33 | 0 | 1 | "
    assert lines[-1].startswith(row)
    assert (repo / ADDER).read_text() == ADDER_SOURCE
    assert "(tests/backend/room/test_adder.py::test_is_great)" in printed.err
    # The page keeps what it knows of other packages.
    written = (repo / "results.md").read_text()
    assert "| `synth_pools/cli` | 4 | 3 | 1 | 75 | 7 | 2 | 2026-01-31 |" in written
    for survivor in (*survivors, "synth_pools/cli/x.py:3: <  ->  <="):
        assert survivor in written.splitlines()


def test_what_was_killed_is_tried_again_where_something_of_it_changes(repo: Path) -> None:
    [mutant] = [one for one in mutants_of(ADDER_SOURCE.encode(), {6}) if one.new == b"-"]
    own = repo / "tests/backend/room/test_adder.py"

    def judged() -> tuple[bool, str, bool]:
        [one] = run_mutants(repo, [Planned(ADDER, mutant, "", "+")], 1, 5, lambda _: None, print)
        return one.is_killed, one.reason.rpartition("::")[2], one.seconds > 0

    assert judged() == (True, "test_add", True)
    assert judged() == (True, "test_add", False)
    write(own, ADDER_TESTS.replace("assert adder.add(2, 3) == 5", "assert adder.add(2, 3)"))
    assert judged() == (False, "1 tests pass", True)
    write(own, ADDER_TESTS)
    assert judged() == (True, "test_add", False)
    write(repo / ADDER, f"{ADDER_SOURCE}\n")
    assert judged() == (True, "test_add", True)


def test_what_is_killed_leaves_the_page(repo: Path) -> None:
    row = Row("synth_pools/cli", 4, 4, 0, 100, 7, 1, "2026-02-01")
    before = page("", [OTHER_ROW], ["synth_pools/cli/x.py:3: <  ->  <="])
    written = page(before, [row], [])
    assert "| `synth_pools/cli` | 4 | 4 | 0 | 100 | 7 | 1 | 2026-02-01 |" in written
    assert "75" not in written
    assert "x.py" not in written


OTHER_ROW = Row("synth_pools/cli", 4, 3, 1, 75, 7, 2, "2026-01-31")


def test_nothing_is_wrong_where_all_are_killed(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    add, _, _ = ADDER_TESTS.partition("def test_is_great")
    write(repo / "tests/backend/room/test_adder.py", add)
    arguments = ["--all", "--only", ADDER, "--jobs", "1"]
    head, _, _ = ADDER_SOURCE.partition("def is_great")
    write(repo / ADDER, head)
    assert main(arguments, repo) == 0
    assert "survivors" not in capsys.readouterr().out


@pytest.mark.parametrize("others", ["", ADDER_TESTS])
def test_tests_that_fail_without_a_mutant_are_told_of(
    repo: Path, capsys: pytest.CaptureFixture[str], others: str
) -> None:
    tests = "tests/backend/room/test_adder.py"
    write(repo / tests, f"{others}\n\ndef test_x() -> None:\n    assert False\n")
    # The others tell what they did before.
    assert main(["--since", "first", "--jobs", "1"], repo) == (1 if others else 2)
    errors = capsys.readouterr().err
    assert "fail without a mutant" in errors or f"fails without a mutant: {tests}::test_x" in errors
    assert ("::test_is_great)" in errors) is bool(others)


def test_a_test_that_needs_the_others_kills_nothing(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It passes after the one before it, which does not run the changed line."""
    tests = "from synth_pools.backend.room import adder\n\nseen = []\n\n\n"
    tests += "def test_first() -> None:\n    seen.append(1)\n\n\n"
    tests += "def test_second() -> None:\n    adder.is_great(5)\n    assert seen\n"
    write(repo / "tests/backend/room/test_adder.py", tests)
    assert main(["--since", "first", "--jobs", "1"], repo) == 1
    assert "killed" not in capsys.readouterr().err


@pytest.mark.parametrize("is_broken", [False, True])
def test_tests_that_cannot_begin_kill_only_what_keeps_them_from_it(
    repo: Path, is_broken: bool
) -> None:
    """A mutant that cannot be imported; and tests that cannot be, whatever is changed."""
    write(repo / ADDER, "LIMIT = dict([(1, 2)])[1]\n\n\ndef limit() -> int:\n    return LIMIT\n")
    tests = "from synth_pools.backend.room import adder\n\n\ndef test_x() -> None:\n"
    own = repo / "tests/backend/room/test_adder.py"
    write(own, f"{tests}    assert adder.limit() == 2\n")
    source = (repo / ADDER).read_bytes()
    broken = next(one for one in mutants_of(source, {1}) if one.describe(source) == "1  ->  2")
    coverage_map(repo, "tests/backend", 1, cache=repo)
    if is_broken:
        kept = KeptLines.read(repo / ".mutants-cache/tests-backend.json")
        assert kept is not None
        # As it was when it was measured.
        write(own, f"import no_such_module\n{tests}    assert adder.limit() == 2\n")
        digest = hashlib.sha256(own.read_bytes()).hexdigest()
        kept.tree.tests["tests/backend/room/test_adder.py"] = digest
        kept.write(repo / ".mutants-cache/tests-backend.json")
    [verdict] = run_mutants(repo, [Planned(ADDER, broken)], 1, 5, lambda _: None, print)
    assert verdict.is_killed is not is_broken


def test_what_is_derived_is_derived_from_the_mutant_and_its_tests_run_too(repo: Path) -> None:
    folder, tests = "synth_pools/_client", "tests/client"
    write(repo / folder / "__init__.py", "")
    for variant, keyword in (("_async", "async "), ("_sync", "")):
        write(repo / folder / variant / "__init__.py", "")
        source = f"\n{keyword}def half(number: int) -> float:\n    return number / 2\n"
        write(repo / folder / variant / "adder.py", source)
    text = "from synth_pools._client._sync import adder\n\n\ndef test_x() -> None:\n"
    write(repo / tests / "sync_/test_adder.py", f"{text}    assert adder.half(3) == 1.5\n")
    path = f"{folder}/_async/adder.py"
    [mutant, *_] = mutants_of((repo / path).read_bytes(), {3})
    [verdict] = run_mutants(repo, [Planned(path, mutant)], 1, 5, lambda _: None, print)
    assert verdict.reason == f"{tests}/sync_/test_adder.py::test_x"
    assert verdict.is_killed


@pytest.mark.parametrize("is_busy", [False, True])
def test_a_mutant_that_never_ends_is_killed(
    repo: Path, monkeypatch: pytest.MonkeyPatch, is_busy: bool
) -> None:
    """One whose tests are late without it, on a busy machine, is not."""

    def run(copy: Path, names: list[str], limit: float, records: Path, **options: Any) -> Any:
        is_mutated = "pass" in (copy / ADDER).read_text()
        if is_busy and not (options or is_mutated):
            return None
        return run_tests(copy, names, 5.0 if is_mutated else limit, records, **options)

    monkeypatch.setattr("tests.mutants.coverage_map.run_tests", run)
    monkeypatch.setattr("tests.mutants.run.run_tests", run)
    source = "def count(left: int) -> int:\n    while left:\n        left -= 1\n    return left\n"
    write(repo / ADDER, source)
    tests = "from synth_pools.backend.room import adder\n\n\ndef test_count() -> None:\n"
    write(repo / "tests/backend/room/test_adder.py", f"{tests}    assert adder.count(3) == 0\n")
    [endless] = [one for one in mutants_of(source.encode(), {3}) if one.new == b"pass"]
    [verdict] = run_mutants(repo, [Planned(ADDER, endless)], 1, 5, lambda _: None, print)
    assert verdict.is_killed is not is_busy
    assert verdict.reason.startswith("its tests do not end")


def test_an_interrupted_run_keeps_the_packages_that_it_has_done(
    repo: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    write(repo / "synth_pools/backend/storage/__init__.py", "")
    write(repo / "synth_pools/backend/storage/rows.py", "def one() -> int:\n    return 1\n")
    tests = "from synth_pools.backend.storage import rows\n\n\ndef test_one() -> None:\n"
    write(repo / "tests/backend/storage/test_rows.py", f"{tests}    assert rows.one() == 1\n")

    def run(copy: Path, names: list[str], *args: Any, **options: Any) -> Any:
        # The first mutant of the second package; its tests are ended before they can tell.
        if any("test_rows" in name for name in names) and not options:
            raise KeyboardInterrupt
        return run_tests(copy, names, *args, **options)

    monkeypatch.setattr("tests.mutants.run.run_tests", run)
    arguments = ["--all", "--only", "synth_pools/backend", "--jobs", "1", "--write"]
    assert main([*arguments, str(repo / "results.md")], repo) == 130
    assert "storage" not in capsys.readouterr().out
    written = (repo / "results.md").read_text()
    assert "| `synth_pools/backend/room` | 5 |" in written
    assert "storage" not in written


def test_an_unknown_revision_is_told_of(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--since", "no-such-tag"], repo) == 2
    assert "no-such-tag" in capsys.readouterr().err
