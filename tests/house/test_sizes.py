"""Sizes of packages and modules."""

from __future__ import annotations

import pytest

from tests.house.tree import PACKAGE, ROOT, modules

LONGEST = 450
SHORTEST = 40


@pytest.mark.parametrize(
    ("package", "most"),
    [("synth_pools", 6), ("synth_pools/backend", 7), ("synth_pools/contract", 10)],
)
def test_few_modules_are_at_the_root_of_a_package(package: str, most: int) -> None:
    found = {path.name for path in (ROOT / package).glob("*.py")} - {"__init__.py"}
    assert 0 < len(found) <= most, sorted(found)


def test_no_module_is_long() -> None:
    everything = modules("bench", "codegen", "examples", "synth_pools", "tests")
    assert PACKAGE / "errors.py" in {module.path for module in everything}
    found = {module.name: len(module.lines) for module in everything}
    assert {name: lines for name, lines in found.items() if lines > LONGEST} == {}
