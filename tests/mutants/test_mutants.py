"""The mutation tests: what is mutated, which tests run, and what is said of survivors."""

from __future__ import annotations

import subprocess
import textwrap
from pathlib import Path

import pytest

from tests.mutants.__main__ import main, sample
from tests.mutants.changes import (
    ROOT,
    TESTS_OF,
    changed_lines,
    default_revision,
    is_mutated,
    mirrored_tests,
)
from tests.mutants.mutations import mutants_of
from tests.mutants.run import Planned, run_mutants

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


def changes(source: str, lines: set[int] | None = None) -> list[str]:
    text = textwrap.dedent(source).encode()
    return [mutant.describe(text) for mutant in mutants_of(text, lines)]


@pytest.mark.parametrize(
    ("source", "mutants"),
    [
        ("x = a == b", ["==  ->  !="]),
        ("x = a < b <= c", ["<  ->  <=", "<=  ->  <"]),
        ("x = a not in b", ["not in  ->  in"]),
        ("x = a is None", ["is  ->  is not"]),
        ("x = a and b and c", ["and  ->  or", "and  ->  or"]),
        ("x = not (a)", ["not (a)  ->  a"]),
        ("x = (a) + (b)", ["+  ->  -"]),
        ("x = True", ["True  ->  False"]),
        ("x = 0", ["0  ->  1"]),
        ("if x: y", ["x  ->  not (x)"]),
        ("x = [y for y in z if y]", ["y  ->  not (y)"]),
        ("x.y = z", ["x.y = z  ->  pass"]),
        ("x[y] = z", ["x[y] = z  ->  pass"]),
        ("x += y", ["x += y  ->  pass"]),
        ("raise x", ["raise x  ->  pass"]),
        ("call(x)", ["call(x)  ->  pass"]),
        ("def f():\n    return x", ["return x  ->  return None"]),
        ("async def f():\n    await x", ["await x  ->  pass"]),
        ("while x:\n    break", ["x  ->  not (x)", "break  ->  pass"]),
        # Bytes before the change are not characters.
        ("x = 'größer', y > z", [">  ->  >="]),
    ],
)
def test_each_kind_of_change(source: str, mutants: list[str]) -> None:
    assert changes(source) == mutants


@pytest.mark.parametrize(
    "source",
    [
        "'''A docstring: 1 == 2.'''",
        "x: Literal[True]",
        "def f(x: Literal[1]) -> Literal[2]: ...",
        "@retried(3)\ndef f(): ...",
        "if TYPE_CHECKING:\n    call(1)",
        "__all__ = [1]",
        "_log.warning('not %s', x)",
        "x = f'{a == b}'",
        # Sizes.
        "x = 64 * 1024",
        "x = 65536",
    ],
)
def test_what_no_test_has_to_hold_is_left(source: str) -> None:
    assert changes(source) == []


def test_only_the_lines_asked_for_are_changed() -> None:
    assert changes("a = 1\nb = 2\nc = 3\n", {2}) == ["2  ->  3"]


def test_a_mutant_differs_from_its_module_and_is_a_program() -> None:
    source = (ROOT / "tests/mutants/mutations.py").read_bytes()
    mutants = mutants_of(source)
    assert len(mutants) > 20
    for mutant in mutants:
        changed = mutant.apply(source)
        assert changed != source
        compile(changed, "mutant", "exec", dont_inherit=True)


@pytest.mark.parametrize("package", TESTS_OF)
def test_every_module_has_tests(package: str) -> None:
    modules = [path.relative_to(ROOT).as_posix() for path in (ROOT / package).rglob("*.py")]
    mutated = [module for module in modules if is_mutated(module)]
    assert mutated
    for module in mutated:
        for *_, folder in mirrored_tests(module, ROOT):
            assert list((ROOT / folder).rglob("test_*.py")), module


def test_the_tests_of_a_module_are_those_of_its_room() -> None:
    assert mirrored_tests("synth_pools/_client/http/retry.py", ROOT) == [
        ("tests/client/http/test_retry.py", "tests/client/http"),
        ("tests/client",),
    ]
    [near, far] = mirrored_tests("synth_pools/_client/_async/facade/pools.py", ROOT)
    assert near[-1] == "tests/client/facade/async_"
    assert far == ("tests/client",)
    assert len(mirrored_tests("synth_pools/_client/config.py", ROOT)) == 1
    assert not is_mutated("synth_pools/_client/_sync/facade/pools.py")
    assert not is_mutated("generated/synth_pools_api/client.py")


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


def test_the_last_tag_is_where_the_work_begins_on_main(repo: Path) -> None:
    assert default_revision(repo) == "first"
    git(repo, "switch", "--quiet", "--create", "branch")
    write(repo / ADDER, ADDER_SOURCE + "\n\nNUMBER = 1\n")
    commit(repo)
    assert [*changed_lines(default_revision(repo), repo).values()] == [{11, 12, 13}]


def test_the_same_seed_chooses_the_same_mutants(repo: Path) -> None:
    lines: dict[str, set[int] | None] = {ADDER: None}
    assert len(sample(lines, 3, 1, repo)) == 3
    assert sample(lines, 3, 1, repo) == sample(lines, 3, 1, repo)
    assert len(sample(lines, 100, 1, repo)) == 5


def test_survivors_are_printed(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--since", "first"], repo) == 1
    printed = capsys.readouterr().out.splitlines()
    # No test has numbers at the limit.
    assert printed[:3] == [
        "survivors:",
        f"{ADDER}:10: >  ->  >=",
        f"{ADDER}:10: 100  ->  101",
    ]
    assert printed[-1] == "synth_pools/backend        3 mutants,  33 % killed"
    assert (repo / ADDER).read_text() == ADDER_SOURCE


def test_nothing_is_wrong_where_all_are_killed(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--everything", "--sample", "1", "--only", ADDER], repo) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed == ["synth_pools/backend        1 mutants, 100 % killed"]


def test_tests_that_fail_without_a_mutant_are_told_of(
    repo: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write(repo / "tests/backend/room/test_adder.py", "def test_x() -> None:\n    assert False\n")
    assert main(["--since", "first"], repo) == 2
    assert "fail without a mutant" in capsys.readouterr().err


def test_a_mutant_that_never_ends_is_killed(repo: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.mutants.run._LONGEST_EXTRA_SECONDS", 1.0)
    source = "def count(left: int) -> int:\n    while left:\n        left -= 1\n    return left\n"
    write(repo / ADDER, source)
    tests = "from synth_pools.backend.room import adder\n\n\ndef test_count() -> None:\n"
    write(repo / "tests/backend/room/test_adder.py", f"{tests}    assert adder.count(3) == 0\n")
    [endless] = [one for one in mutants_of(source.encode(), {3}) if one.new == b"pass"]
    planned = Planned(ADDER, endless, (("tests/backend/room",),))
    [verdict] = run_mutants(repo, [planned], 1, lambda _: None)
    assert verdict.is_killed


def test_an_unknown_revision_is_told_of(repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--since", "no-such-tag"], repo) == 2
    assert "no-such-tag" in capsys.readouterr().err
