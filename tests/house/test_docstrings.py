"""First lines of docstrings: a verb or a noun, not a clause."""

from __future__ import annotations

import ast
import re

import pytest

from tests.house.tree import modules

# Parsing the whole tree takes seconds: once.
pytestmark = pytest.mark.xdist_group("house")

# A line that begins with one of these is a saying about the thing: "What a run prints".
_CLAUSE_WORDS = {
    "As",
    "How",
    "Nobody",
    "Nothing",
    "Of",
    "That",
    "Those",
    "What",
    "When",
    "Where",
    "Whether",
    "Which",
    "Who",
    "Whose",
}


@pytest.mark.parametrize("folder", ["bench", "codegen", "examples", "synth_pools", "tests"])
def test_no_docstring_begins_with_a_clause(folder: str) -> None:
    results = []
    read = 0
    for module in modules(folder):
        for node in ast.walk(module.tree):
            if not isinstance(
                node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef
            ):
                continue
            text = ast.get_docstring(node)
            read += text is not None
            first = re.match(r"\w+", text or "")
            if text is not None and first is not None and first[0] in _CLAUSE_WORDS:
                line = 1 if isinstance(node, ast.Module) else node.lineno
                results.append(f"{module.name}:{line}: {text.splitlines()[0]}")
    assert read > 5
    assert results == []


@pytest.mark.parametrize("folder", ["bench", "codegen", "examples", "synth_pools", "tests"])
def test_every_module_says_what_it_is(folder: str) -> None:
    silent = [
        module.name
        for module in modules(folder)
        if module.tree.body and ast.get_docstring(module.tree) is None
    ]
    assert silent == []
