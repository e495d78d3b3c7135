"""Imports inside functions."""

from __future__ import annotations

import ast
from collections.abc import Iterator

import pytest

from tests.house.tree import Module, modules

# Parsing the whole tree takes seconds: once.
pytestmark = pytest.mark.xdist_group("house")

_Import = ast.Import | ast.ImportFrom


def inner_imports(node: ast.AST, *, inside: bool = False) -> Iterator[tuple[_Import, ast.stmt]]:
    """Yield each run of imports in a function: its first import, and the statement it opens."""
    inside = inside or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    for _, value in ast.iter_fields(node):
        body = (
            [item for item in value if isinstance(item, ast.AST)] if isinstance(value, list) else []
        )
        before: ast.AST | None = None
        for child in body:
            if inside and isinstance(child, _Import) and not isinstance(before, _Import):
                opens = isinstance(node, ast.Try) and before is None
                yield child, node if opens and isinstance(node, ast.Try) else child
            yield from inner_imports(child, inside=inside)
            before = child


def has_reason(module: Module, first_import: _Import, statement: ast.stmt) -> bool:
    """Tell whether a comment is on the line of the import, or above it or its `try`."""
    lines = module.lines
    above = [lines[first_import.lineno - 2], lines[statement.lineno - 2]]
    return "  # " in lines[first_import.lineno - 1] or any(
        line.strip().startswith("#") for line in above
    )


def test_an_import_inside_a_function_has_its_reason() -> None:
    results = [
        (module, *pair) for module in modules("synth_pools") for pair in inner_imports(module.tree)
    ]
    # The doors to the client, the extras, and what makes the first call slow.
    assert len(results) > 10
    bare = [
        f"{module.name}:{item.lineno}"
        for module, item, by in results
        if not has_reason(module, item, by)
    ]
    assert bare == []
