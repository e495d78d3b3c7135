"""Mypy and pyright: `standard` for the package, `strict` for programs of users."""

from __future__ import annotations

import ast
import json
import shutil
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from tests.tools.toolbox import HERE, ROOT, node_command, run

PROGRAMS = HERE / "programs"
ANYTHING = "from typing import Any\ndef __getattr__(name: str) -> Any: ...\n"
# Mistakes of a user: a correct text, the wrong one, and what both type checkers name.
MISTAKES = (
    ("client.get_pool(", "client.get_pol(", "get_pol"),
    ("rollout.status", "rollout.statuz", "statuz"),
    ('"concurrency": 4', '"concurency": 4', "concurency"),
    ('"mode": "async"', '"mode": "sinc"', "sinc"),
    ('{"seed": 8}', '{"sead": 8}', "sead"),
    ('{"seed": seed,', '{"sede": seed,', "sede"),
    ('{"capacity": 2}', '{"capasity": 2}', "capasity"),
    ("max_retries=3", "max_retrys=3", "max_retrys"),
)
# The number of a line, and what is wrong there.
Problems = list[tuple[int, str]]


def pyright(folder: Path, mode: str, **settings: object) -> Problems:
    """Check a folder, and return the errors."""
    paths = [str(ROOT), str(ROOT / "generated")]
    config = folder / "pyrightconfig.json"
    settings |= {"pythonVersion": "3.11", "extraPaths": paths, "typeCheckingMode": mode}
    config.write_text(json.dumps(settings))
    command = [*node_command("pyright/index.js"), "--project", str(config), "--outputjson"]
    output = json.loads(run([*command, "--pythonpath", sys.executable], folder, status=None))
    return [
        (problem["range"]["start"]["line"] + 1, f"{problem['file']}: {problem['message']}")
        for problem in output["generalDiagnostics"]
        if problem["severity"] == "error"
    ]


def mypy_strict(folder: Path) -> Problems:
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--output=json"]
    output = run([*command, f"--cache-dir={folder / 'cache'}", "."], folder, status=None)
    lines = [line for line in output.splitlines() if line.startswith("{")]
    problems: list[dict[str, Any]] = [json.loads(line) for line in lines]
    return [(problem["line"], problem["message"]) for problem in problems]


def pyright_strict(folder: Path) -> Problems:
    return pyright(folder, "strict")


def pyright_standard(folder: Path) -> Problems:
    return pyright(folder, "standard")


def modules_elsewhere() -> set[str]:
    """Return the modules that the package imports and that only other environments have."""
    imported = set()
    for path in (ROOT / "synth_pools").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                imported |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module)
    return {name for name in imported if find_spec(name.partition(".")[0]) is None}


checkers = pytest.mark.parametrize("check", [mypy_strict, pyright_strict, pyright_standard])


def test_the_package_is_clean_at_standard(tmp_path: Path) -> None:
    # A link, so that the settings of the repository do not apply.
    for name in ("synth_pools", "generated"):
        (tmp_path / name).symlink_to(ROOT / name)
    # They have no types here.
    for module in modules_elsewhere():
        folder = tmp_path
        for name in module.split("."):
            folder /= name
            folder.mkdir(exist_ok=True)
            (folder / "__init__.pyi").write_text(ANYTHING)
    assert pyright(tmp_path, "standard", include=["synth_pools", "generated"]) == []


@checkers
def test_programs_with_plain_and_with_annotated_dictionaries_are_clean(
    tmp_path: Path, check: Callable[[Path], Problems]
) -> None:
    for name in ("migrated_user", "strict_user"):
        shutil.copy(PROGRAMS / f"{name}.py", tmp_path)
    assert check(tmp_path) == []


@checkers
def test_each_mistake_of_a_user_is_seen_in_its_line_and_named(
    tmp_path: Path, check: Callable[[Path], Problems]
) -> None:
    text = (PROGRAMS / "strict_user.py").read_text()
    expected = {}
    for right, wrong, name in MISTAKES:
        assert text.count(right) == 1
        expected[text[: text.index(right)].count("\n") + 1] = name
        text = text.replace(right, wrong)
    (tmp_path / "strict_user.py").write_text(text)
    problems = check(tmp_path)
    assert {line for line, _ in problems} == expected.keys()
    for line, name in expected.items():
        assert any(name in message for number, message in problems if number == line), (line, name)
