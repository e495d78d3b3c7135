"""Pyright: `standard` for the package, `strict` for a program of a user."""

from __future__ import annotations

import json
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.tools.toolbox import HERE, ROOT, node_command, run

PROGRAM = HERE / "programs/strict_user.py"
ANYTHING = "from typing import Any\ndef __getattr__(name: str) -> Any: ...\n"


def pyright(folder: Path, **settings: object) -> None:
    """Check a folder; fail with the output of pyright."""
    paths = [str(ROOT), str(ROOT / "generated")]
    config = folder / "pyrightconfig.json"
    config.write_text(json.dumps({"pythonVersion": "3.11", "extraPaths": paths, **settings}))
    command = [*node_command("pyright/index.js"), "--project", str(config)]
    run([*command, "--pythonpath", sys.executable], folder)


def test_the_package_is_clean_at_standard(tmp_path: Path) -> None:
    # A link, so that the settings of the repository do not apply.
    for name in ("synth_pools", "generated"):
        (tmp_path / name).symlink_to(ROOT / name)
    # Ray is installed in another environment: here it has no types.
    (tmp_path / "ray").mkdir()
    for name in ("__init__", "cloudpickle", "util"):
        (tmp_path / f"ray/{name}.pyi").write_text(ANYTHING)
    pyright(tmp_path, include=["synth_pools", "generated"], typeCheckingMode="standard")


def test_a_program_of_a_user_is_clean_at_strict(tmp_path: Path) -> None:
    shutil.copy(PROGRAM, tmp_path)
    pyright(tmp_path, include=["strict_user.py"], typeCheckingMode="strict")


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("client.get_pool(", "client.get_pol(", 'Cannot access attribute "get_pol"'),
        ("rollout.status", "rollout.statuz", 'Cannot access attribute "statuz"'),
        ('"concurrency": 4', '"concurency": 4', "is not assignable to"),
        ('"mode": "async"', '"mode": "sinc"', "is not assignable to"),
        ('{"seed": 8}', '{"sead": 8}', "is not assignable to"),
        ('({"seed": n}', '({"sead": n}', "is not assignable to"),
        ('{"capacity": 2}', '{"capasity": 2}', '"capasity" is an undefined item'),
        ("patch: PoolPatchDict =", "patch =", "is not assignable to"),
        ("max_retries=3", "max_retrys=3", 'No parameter named "max_retrys"'),
    ],
)
def test_a_mistake_of_a_user_is_seen(tmp_path: Path, before: str, after: str, message: str) -> None:
    text = PROGRAM.read_text()
    assert before in text
    (tmp_path / "strict_user.py").write_text(text.replace(before, after))
    with pytest.raises(AssertionError, match=re.escape(message)):
        pyright(tmp_path, include=["strict_user.py"], typeCheckingMode="strict")
