"""Third-party imports of each package, next to the extra that brings them."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from importlib.metadata import metadata, packages_distributions
from itertools import pairwise

import pytest

from synth_pools.environments.kinds import KINDS
from tests.house.tree import ROOT, modules

# Parsing the whole tree takes seconds: once.
pytestmark = pytest.mark.xdist_group("house")

# The client logs spans where its user has installed OpenTelemetry; no extra brings it.
_OF_THE_USER = {"opentelemetry"}
# As large as all others together, or in conflict with them: in environments of their own.
_APART = {"ray", *KINDS}
_OURS = {"synth_pools", "synth_pools_api"}
_PACKAGES = {
    # Draws a progress bar where rich is installed.
    "_client": {"cli", "msgspec"},
    "backend": {"local", "postgres", "ray", "s3", "uvloop"},
    "cli": {"local", "cli", "contract", "keyring", "mcp", "parquet"},
    "container": {"container"},
    "contract": {"contract"},
    "relay": {"container"},
    "ui": set(),
}


def declared(extras: set[str]) -> set[str]:
    """The distributions of the base install and of `extras`."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    results = [*project["dependencies"]]
    for extra in extras:
        results += project["optional-dependencies"][extra]
    return {re.split(r"[^\w-]", line)[0].lower().replace("_", "-") for line in results}


def imported(tree: ast.Module) -> set[str]:
    """The third-party modules that are imported, at the top or in a function."""
    names: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module or "")
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - _OURS


@pytest.mark.system
@pytest.mark.parametrize("package", sorted(_PACKAGES))
def test_an_extra_brings_what_its_package_imports(package: str) -> None:
    distributions = packages_distributions()
    allowed = declared(_PACKAGES[package])
    assert "httpx" in allowed
    undeclared = {
        (module.name, name)
        for module in modules(f"synth_pools/{package}")
        for name in imported(module.tree) - _OF_THE_USER
        if not {
            distribution.lower().replace("_", "-")
            for distribution in distributions.get(name, [name])
        }
        & allowed
    }
    assert undeclared == set()


def test_the_extra_all_is_all_of_them() -> None:
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"][
        "optional-dependencies"
    ]
    [everything] = extras.pop("all")
    assert set(everything.partition("[")[2].rstrip("]").split(",")) == set(extras) - _APART


def test_an_upper_bound_within_a_major_release_has_its_reason_and_is_on_the_page() -> None:
    lines = (ROOT / "pyproject.toml").read_text().splitlines()
    page = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    bounds = {}
    for above, line in pairwise(lines):
        requirement = re.fullmatch(r'\s+"([\w-]+)[^"]*<(\d+\.[\d.]+)",', line)
        if requirement is not None:
            assert above.strip().startswith("#"), line
            bounds[requirement[1]] = requirement[2]
    assert "uvicorn" in bounds
    assert bounds == dict(re.findall(r"^\| `([\w-]+)` \| ([\d.]+) \| ", page, re.MULTILINE))


def test_the_page_of_dependencies_has_each_with_its_extras_and_licence() -> None:
    page = (ROOT / "docs/dependencies.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `([\w-]+)` \| ([^|]+) \| ([^|]+) \| [^|]+ \|$", page, re.MULTILINE)
    documented = {
        name: (set(re.findall(r"[\w-]+", extras)), licence) for name, extras, licence in rows
    }
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    brought: dict[str, set[str]] = {}
    for extra, lines in {
        "base": project["dependencies"],
        **project["optional-dependencies"],
    }.items():
        for line in lines:
            if line.startswith("synth-pools["):
                continue
            brought.setdefault(re.split(r"[^\w-]", line)[0].lower(), set()).add(extra)
    assert {name: extras for name, (extras, _) in documented.items()} == brought
    for name, (_, licence) in documented.items():
        if documented[name][0] <= _APART:
            continue
        result = metadata(name)
        values = [result[key] for key in ("License-Expression", "License") if key in result]
        # Their licences are in their classifiers alone.
        if name in ("obstore", "uvloop"):
            names = [item.split("-")[0] for item in licence.split(" OR ")]
            assert all(name in str(result.get_all("Classifier")) for name in names)
        else:
            assert values[0] == licence, name


def test_the_backend_brings_none_of_what_is_large() -> None:
    # Follow the requirements of each installed distribution.
    names = [name.lower() for name in declared({"local", "cli", "container"})]
    reached: set[str] = set()
    while names:
        name = re.sub(r"[-_.]+", "-", names.pop())
        if name in reached:
            continue
        reached.add(name)
        for line in metadata(name).get_all("Requires-Dist") or []:
            if "extra ==" not in line:
                requirement = re.match(r"[\w.-]+", line)
                names += [requirement[0].lower()] if requirement and ";" not in line else []
    assert "httpx" in reached
    assert not reached & {"pyarrow", "pandas", "numpy", "ray"}
