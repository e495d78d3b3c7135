"""The lowest release of each requirement, run by `make test-lowest` in an environment of these."""

from __future__ import annotations

import importlib
import json
import pkgutil
import re
import subprocess
import sys
import tomllib
from importlib.metadata import version
from pathlib import Path

import pytest

import synth_pools
from synth_pools.environments.kinds import KINDS
from synth_pools.local import LocalBackend
from tests.house.tree import ROOT


def lower_bounds() -> dict[str, set[str]]:
    """Read the lower bounds of each requirement, of the base install and of all extras."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    lines = list(project["dependencies"])
    for extra, requirements in project["optional-dependencies"].items():
        # Frameworks are in environments of their own.
        lines += requirements if extra not in KINDS else []
    bounds: dict[str, set[str]] = {}
    for line in lines:
        name, bound = re.fullmatch(r"([\w-]+)(?:\[[\w,-]+\])?(?:>=([\d.]+))?.*", line).groups()  # type: ignore[union-attr]
        if name != "synth-pools":
            bounds.setdefault(name, set()).add(bound)
    return bounds


@pytest.mark.parametrize(("name", "bounds"), lower_bounds().items(), ids=lambda value: str(value))
def test_the_lower_bound_is_the_release_that_is_tried(name: str, bounds: set[str]) -> None:
    parts = version(name).split(".")
    assert bounds <= {".".join(parts), ".".join(parts[:2]), parts[0]}, version(name)


def test_every_module_is_imported() -> None:
    names = [
        module.name
        for module in pkgutil.walk_packages(synth_pools.__path__, "synth_pools.")
        # Programs, which begin to work when they are imported.
        if not module.name.endswith(".__main__")
    ]
    assert len(names) > 300
    frameworks = {"numpy", *(kind.module for kind in KINDS.values())}
    for name in names:
        try:
            importlib.import_module(name)
        except ModuleNotFoundError as error:
            assert name.startswith("synth_pools.environments."), name
            assert error.name in frameworks, name


def test_the_demo_runs(tmp_path: Path) -> None:
    command = [sys.executable, str(ROOT / "examples/demo.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=100)
    assert done.returncode == 0, done.stderr
    # The best rollout that bisects; a random one is seldom better.
    assert re.search(r'"reward": (0\.[7-9]|1\.0)', done.stdout)


def test_the_contract_kit_judges_the_backend(tmp_path: Path) -> None:
    with LocalBackend(port=0, data_dir=tmp_path / "data") as backend:
        report = tmp_path / "report.json"
        command = [sys.executable, "-m", "synth_pools.cli", "contract-test", backend.url]
        command += ["--profile", "smoke", "--json", str(report)]
        done = subprocess.run(
            [*command, "--api-key", backend.api_key],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=150,
        )
        assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(report.read_text())
