"""The hand-written modules of the tree, parsed."""

from __future__ import annotations

import ast
import functools
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from codegen.unasync import TEST_TREES, TREES

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "synth_pools"
# Written by `make generate`, and tests before they are collected.
TABLE_OF_COMMANDS = "synth_pools/cli/operations/table.py"
SHORT_NAMES = "synth_pools/_client/_async/short_names"
SIBLINGS = "synth_pools/_client/_async/facade/siblings.py"
DERIVED = (TABLE_OF_COMMANDS, SHORT_NAMES, SIBLINGS, *TREES.values(), *TEST_TREES.values())

Definition = ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    path: Path

    @property
    def name(self) -> str:
        """The path from the root of the repo."""
        return self.path.relative_to(ROOT).as_posix()

    @property
    def lines(self) -> list[str]:
        return _text(self.path).splitlines()

    @property
    def tree(self) -> ast.Module:
        return _parsed(self.path)

    def definitions(self) -> Iterator[Definition]:
        """The classes and functions of the module itself."""
        for node in self.tree.body:
            if isinstance(node, Definition):
                yield node


@functools.cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@functools.cache
def _parsed(path: Path) -> ast.Module:
    return ast.parse(_text(path), str(path))


def forget() -> None:
    """Release what was read: whole trees are millions of objects."""
    _parsed.cache_clear()
    _text.cache_clear()


def modules(*folders: str) -> list[Module]:
    """List the hand-written modules under `folders`, which are named from the root of the repo."""
    results = [
        Module(path)
        for folder in folders
        for path in sorted((ROOT / folder).rglob("*.py"))
        if not _is_derived(path)
    ]
    assert results, f"no module under {folders}"
    return results


def _is_derived(path: Path) -> bool:
    return any(path.is_relative_to(ROOT / derived) for derived in DERIVED)
