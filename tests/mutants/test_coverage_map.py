"""Choice of the tests of a mutant, by the lines that they run."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.mutants.changes import distance_of
from tests.mutants.coverage_map import CoverageMap, _naming
from tests.mutants.kept_lines import moved

ADDER = "synth_pools/backend/room/adder.py"
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


@pytest.mark.parametrize(
    ("line", "tests"),
    [
        # A statement of several lines, of which pytest may have seen any.
        (12, ["great", "both"]),
        (10, ["great", "both"]),
        # What runs on import has the tests of the functions that use it.
        (1, ["great", "both"]),
        (3, ["other", "both"]),
        (7, ["great", "both"]),
        # A handler.
        (19, ["handled"]),
        (20, []),
    ],
)
def test_the_tests_of_a_line_are_those_that_run_it(line: int, tests: list[str]) -> None:
    names = {name: f"tests/backend/test_x.py::test_{name}" for name in ("great", "other", "both")}
    names["handled"] = "tests/backend/test_x.py::test_handled"
    great, other = {names["great"], names["both"]}, {names["other"], names["both"]}
    known = CoverageMap(
        dict(zip(names.values(), (0.1, 0.2, 0.3, 0.4), strict=True)),
        [],
        {ADDER: {11: great, 18: other, 19: {names["handled"]}}},
    )
    assert known.tests_of(ADDER, MAPPED.encode(), line, 10) == [names[name] for name in tests]


def test_what_runs_on_import_has_the_tests_that_look_at_signatures_too() -> None:
    own, reading = "tests/backend/test_x.py::test_great", "tests/backend/test_names.py::test_names"
    known = CoverageMap({own: 0.1, reading: 0.2}, [], {ADDER: {11: {own}}}, {reading})
    # A default of a parameter, and the comparison.
    assert known.tests_of(ADDER, MAPPED.encode(), 8, 10) == [own, reading]
    assert known.tests_of(ADDER, MAPPED.encode(), 12, 10) == [own]


def test_a_constant_has_the_tests_that_name_it_too(tmp_path: Path) -> None:
    text = """\
from synth_pools.backend.room import adder
from synth_pools.backend.room.adder import OTHER

LIMIT = 9


def test_names():
    assert adder.LIMIT == 3


async def test_imports():
    assert OTHER == 4


def test_has_its_own():
    assert LIMIT == 9
"""
    file = "tests/backend/test_x.py"
    (tmp_path / file).parent.mkdir(parents=True)
    (tmp_path / file).write_text(text)
    names = ["test_names[1]", "test_names[2]", "test_imports", "test_has_its_own"]
    seconds = {f"{file}::{name}": 1.0 for name in names}
    naming = _naming(tmp_path, seconds)
    known = CoverageMap(seconds, [], {}, naming=naming)
    named = [f"{file}::{name}" for name in names]
    assert known.tests_of(ADDER, MAPPED.encode(), 1, 10) == named[:2]
    assert known.tests_of(ADDER, MAPPED.encode(), 3, 10) == named[2:3]
    # Where it is used, none of them runs it.
    assert known.tests_of(ADDER, MAPPED.encode(), 12, 10) == []
    assert CoverageMap.merged([known, known]).naming == naming


def test_the_budget_goes_to_the_own_tests_and_to_one_of_each_function_first() -> None:
    own, far = "tests/backend/room/test_adder.py::test_own", "tests/backend/test_far.py"
    seconds = {
        f"{far}::test_a[1]": 1.0,
        f"{far}::test_a[2]": 1.1,
        f"{far}::test_b": 4.0,
        f"{own}[1]": 2.0,
        f"{own}[2]": 2.0,
    }
    known = CoverageMap(seconds, [], {ADDER: {2: {*seconds}}})

    def chosen(budget: float) -> list[str]:
        return known.tests_of(ADDER, b"def f():\n    x()\n", 2, budget)

    assert chosen(0.5) == [f"{own}[1]"]
    assert chosen(5.0) == [f"{own}[1]", f"{own}[2]", f"{far}::test_a[1]"]
    assert chosen(9.0) == [f"{own}[1]", f"{own}[2]", f"{far}::test_a[1]", f"{far}::test_b"]
    assert len(chosen(100.0)) == 5


def test_the_budget_goes_to_a_test_of_each_line_of_the_function_first() -> None:
    source = b"def f(x):\n    if x > 3:\n        return 1\n    return 2\n"
    own, far = "tests/backend/room/test_adder.py", "tests/backend/test_far.py"
    seconds = {f"{own}::test_{number}": 1.0 for number in range(5)}
    seconds |= {f"{far}::test_slow": 2.5, f"{far}::test_rare": 2.0}
    # What lies behind the condition is run by tests of another package alone.
    rare = {f"{far}::test_slow", f"{far}::test_rare"}
    known = CoverageMap(seconds, [], {ADDER: {2: {*seconds}, 3: rare, 4: {*seconds} - rare}})
    chosen = known.tests_of(ADDER, source, 2, 3)
    assert chosen == [f"{own}::test_0", f"{far}::test_rare"]
    assert known.tests_of(ADDER, source, 4, 2.5) == [f"{own}::test_0", f"{own}::test_1"]


def test_what_uses_an_attribute_counts_where_it_is_set() -> None:
    source = b"""\
class Counter:
    def __init__(self):
        self.count = 0

    def often(self):
        return 3

    def seldom(self):
        return self.count
"""
    own, far = "tests/backend/room/test_adder.py", "tests/backend/test_far.py::test_seldom"
    seconds = {f"{own}::test_{number}": 1.0 for number in range(5)} | {far: 2.0}
    known = CoverageMap(seconds, [], {ADDER: {3: {*seconds}, 6: {*seconds} - {far}, 9: {far}}})
    assert far in known.tests_of(ADDER, source, 3, 3)
    assert far not in known.tests_of(ADDER, source, 6, 3)
    # A constant of the module, too.
    constant = b"LIMIT = 3\n\n\ndef often():\n    return LIMIT - LIMIT or 1\n\n\n"
    constant += b"def seldom():\n    return LIMIT\n"
    known = CoverageMap(seconds, [], {ADDER: {5: {*seconds} - {far}, 9: {far}}})
    assert far in known.tests_of(ADDER, constant, 1, 3)


def test_what_sets_an_attribute_counts_where_it_is_read() -> None:
    source = b"""\
class Reader:
    def limit(self):
        self.patience = 3

    def read(self):
        if self.patience and self.is_late():
            return 1
        return 2
"""
    own, far = "tests/backend/room/test_adder.py", "tests/backend/test_far.py::test_limited"
    seconds = {f"{own}::test_{number}": 1.0 for number in range(5)} | {far: 2.0}
    known = CoverageMap(seconds, [], {ADDER: {3: {far}, 6: {*seconds}, 8: {*seconds}}})
    assert far in known.tests_of(ADDER, source, 6, 3)
    assert far not in known.tests_of(ADDER, source, 8, 3)


def test_what_is_called_in_another_module_counts_and_what_uses_an_attribute_there() -> None:
    source = b"class Room:\n    def open(self, door):\n        self.wind = door.shut_all\n"
    house = "synth_pools/backend/room/house.py"
    modules = {
        ADDER: source.decode(),
        house: "def shut_all():\n    return 1\n\n\ndef blow(room):\n    return room.wind\n",
    }
    own, far = "tests/backend/room/test_adder.py", "tests/backend/test_far.py"
    seconds = {f"{own}::test_{number}": 1.0 for number in range(5)}
    seconds |= {f"{far}::test_shut": 1.0, f"{far}::test_blow": 1.0}
    lines = {
        ADDER: {3: {*seconds}},
        house: {2: {f"{far}::test_shut"}, 6: {f"{far}::test_blow"}},
    }
    known = CoverageMap(seconds, [], lines, modules=modules)
    chosen = known.tests_of(ADDER, source, 3, 3)
    assert set(chosen) == {f"{own}::test_0", f"{far}::test_shut", f"{far}::test_blow"}
    # A name that many functions have tells nothing.
    modules |= {f"synth_pools/backend/room/{number}.py": modules[house] for number in range(4)}
    known = CoverageMap(seconds, [], lines, modules=modules)
    assert {name.partition("::")[0] for name in known.tests_of(ADDER, source, 3, 3)} == {own}


def test_tests_of_several_folders_are_chosen_together() -> None:
    one, other = "tests/cli/test_x.py::test_x", "tests/contract/test_y.py::test_y"
    maps = [CoverageMap({name: 1.0}, [], {ADDER: {2: {name}}}) for name in (one, other)]
    known = CoverageMap.merged(maps)
    assert known.tests_of(ADDER, b"def f():\n    x()\n", 2, 4) == [one, other]
    assert maps[0].tests_of(ADDER, b"def f():\n    x()\n", 2, 4) == [one]


def test_the_budget_goes_to_many_files_and_to_one_folder_after_the_other() -> None:
    folder = "tests/backend"
    seconds = {
        f"{folder}/a/test_a.py::test_1": 1.0,
        f"{folder}/a/test_a.py::test_2": 1.0,
        f"{folder}/test_b.py::test_3": 1.2,
        f"{folder}/a/test_c.py::test_4": 1.4,
    }
    known = CoverageMap(seconds, [], {ADDER: {2: {*seconds}}})
    assert known.tests_of(ADDER, b"def f():\n    x()\n", 2, 4) == [
        f"{folder}/a/test_a.py::test_1",
        f"{folder}/a/test_c.py::test_4",
        f"{folder}/test_b.py::test_3",
    ]


def test_lines_are_followed_into_a_text_that_has_changed() -> None:
    before = "a = 1\nb = 2\nc = 3\nd = 4\n"
    lines = {1: {"one"}, 2: {"two"}, 3: {"three"}, 4: {"four"}}
    assert moved(lines, before, before) == lines
    after = "import x\n\na = 1\nb = 2\nnew = 5\nc = 3\n"
    assert moved(lines, before, after) == {
        1: {"one"},
        2: {"one"},
        3: {"one"},
        4: {"two"},
        5: {"two", "three"},
        6: {"three"},
    }


@pytest.mark.parametrize(
    ("module", "tests", "distance"),
    [
        ("http/retry.py", "http/test_retry.py", 0),
        ("http/retry.py", "http/test_request_builder.py", 1),
        ("http/retry.py", "async_/test_faults.py", 2),
        ("_async/facade/pools.py", "facade/async_/test_calls.py", 1),
        ("_async/facade/pools.py", "facade/sync_/test_calls.py", 1),
        ("_async/facade/pools.py", "async_/test_faults.py", 2),
        # Both variants of a package have the tests of the package.
        ("runtime/async_/interrupts.py", "runtime/test_loops.py", 1),
    ],
)
def test_the_nearest_tests_are_those_of_the_module(module: str, tests: str, distance: int) -> None:
    assert distance_of(f"synth_pools/_client/{module}", f"tests/client/{tests}") == distance
