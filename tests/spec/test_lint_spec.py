"""Lint of the document: it runs on every machine, and finds planted mistakes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from codegen import node_packages

REPO = Path(__file__).parents[2]


def pretend(folder: Path, name: str, output: str) -> None:
    program = folder / name
    program.write_text(f"#!/bin/sh\necho {output}\n")
    program.chmod(0o755)


@pytest.mark.parametrize(
    ("version", "fits"),
    [
        ("v18.20.8", False),
        ("v20.18.3", False),
        ("v20.19.0", True),
        ("v21.7.3", False),
        ("v22.11.0", False),
        ("v22.12.0", True),
        ("v24.1.0", True),
        ("nonsense", False),
    ],
)
def test_only_a_node_that_can_run_the_linter_is_taken_from_the_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str, fits: bool
) -> None:
    pretend(tmp_path, "node", version)
    pretend(tmp_path, "npm", "10.0.0")
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin")
    assert (node_packages.machine_node() is not None) == fits


def test_a_node_without_npm_is_not_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pretend(tmp_path, "node", "v24.1.0")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert node_packages.machine_node() is None


@pytest.mark.timeout(600)
@pytest.mark.xdist_group("lint-spec")
@pytest.mark.parametrize(
    "changes",
    [
        # Each run takes seconds: mistakes that do not hide others share a run.
        pytest.param(
            [
                ("operationId: list_pools", "operationId: listPools", "snake_case"),
                ("the caller's pools,", "the eval( caller's pools,", "no-eval-in-markdown"),
                ("  /v1/queue/status:\n", "  /v1/queue/status/:\n", "trailing"),
            ],
            marks=pytest.mark.system,
            id="style",
        ),
        pytest.param(
            [("        maximum: 1000\n        default: 100", "        maximum: many", "many")],
            id="schema",
        ),
    ],
)
def test_a_worse_spec_does_not_pass(tmp_path: Path, changes: list[tuple[str, str, str]]) -> None:
    text = (REPO / "openapi.yaml").read_text(encoding="utf-8")
    for before, after, _ in changes:
        assert before in text
        text = text.replace(before, after, 1)
    spec = tmp_path / "openapi.yaml"
    spec.write_text(text, encoding="utf-8")
    completed = subprocess.run(
        [sys.executable, str(REPO / "codegen/lint_spec.py"), str(spec)],
        cwd=tmp_path,
        env={**os.environ},
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )
    assert completed.returncode == 1
    for *_, message in changes:
        assert message in completed.stderr


def test_the_lock_pins_by_content_and_names_no_place() -> None:
    lock = (REPO / "codegen/node/package-lock.json").read_text()
    assert '"integrity"' in lock
    assert '"resolved"' not in lock
