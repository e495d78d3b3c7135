"""Sizes of packages and modules."""

from __future__ import annotations

import pytest

from synth_pools.environments.kinds import KINDS
from tests.house.tree import PACKAGE, ROOT, modules

# Parsing the whole tree takes seconds: once.
pytestmark = pytest.mark.xdist_group("house")

LONGEST = 450
LONGEST_ADAPTER = 200
SHORT = 40
# Modules that may be short: their subject is small, or its place is given.
SHORT_MODULES = {
    "pool_logs",
    "__init__",
    "__main__",
    "_version",
    "clock",
    "errors",
    "exceptions",
    "failures",
    "groups",
    "image_releases",
    "local",
    "ports",
    "pytest_plugin",
    "service",
    "spec",
}


@pytest.mark.parametrize(
    ("package", "most"),
    [
        ("synth_pools", 6),
        ("synth_pools/backend", 7),
        ("synth_pools/cli", 12),
        ("synth_pools/contract", 10),
    ],
)
def test_few_modules_are_at_the_root_of_a_package(package: str, most: int) -> None:
    result = {path.name for path in (ROOT / package).glob("*.py")} - {"__init__.py"}
    assert 0 < len(result) <= most, sorted(result)


def test_no_module_is_long() -> None:
    everything = modules("bench", "codegen", "examples", "synth_pools", "tests")
    assert PACKAGE / "errors.py" in {module.path for module in everything}
    values = {module.name: len(module.lines) for module in everything}
    assert {name: lines for name, lines in values.items() if lines > LONGEST} == {}


def test_no_adapter_is_long() -> None:
    adapters = [PACKAGE / "environments" / f"{kind}.py" for kind in KINDS]
    lengths = {path.name: len(path.read_text().splitlines()) for path in adapters}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_ADAPTER} == {}


def test_a_short_module_belongs_to_its_neighbour() -> None:
    short = [module for module in modules("synth_pools") if len(module.lines) < SHORT]
    assert short
    assert [module.name for module in short if module.path.stem not in SHORT_MODULES] == []
