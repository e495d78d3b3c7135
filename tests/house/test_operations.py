"""Lists of operations are computed from openapi.yaml: one that is kept by hand drifts."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

import pytest

from synth_pools.spec import load_spec
from tests.house.tree import modules

# Parsing the whole tree takes seconds: once.
pytestmark = pytest.mark.xdist_group("house")

# As many as a script of calls may name without being a list of them.
_MOST = 5
_OPERATIONS = frozenset(
    operation["operationId"]
    for item in load_spec()["paths"].values()
    for operation in item.values()
    if isinstance(operation, dict)
)


def _texts(nodes: Iterable[ast.AST | None]) -> set[str]:
    """Return the literal texts among nodes."""
    literals = (node.value for node in nodes if isinstance(node, ast.Constant))
    return {literal for literal in literals if isinstance(literal, str)}


def _is_code(node: ast.expr) -> bool:
    """Return True for a value that is no data: what a table of handlers or of answers holds."""
    return isinstance(node, ast.Attribute | ast.Call | ast.Name)


def _lists(tree: ast.AST) -> Iterator[tuple[int, set[str]]]:
    """Yield the line and the ids of each list, of whatever type."""
    for node in ast.walk(tree):
        if isinstance(node, ast.List | ast.Tuple | ast.Set):
            yield node.lineno, _texts(node.elts) & _OPERATIONS
        elif isinstance(node, ast.Dict) and not all(map(_is_code, node.values)):
            yield node.lineno, _texts(node.keys) & _OPERATIONS
        elif isinstance(node, ast.FunctionDef):
            # A scenario may name the operations that it calls itself.
            called = _texts(ast.walk(ast.Module(node.body, [])))
            for decorator in node.decorator_list:
                if isinstance(decorator, ast.Call):
                    yield decorator.lineno, (_texts(decorator.args) & _OPERATIONS) - called


@pytest.mark.parametrize("folder", ["synth_pools", "codegen", "tests", "bench", "examples"])
def test_no_list_of_operations_is_kept_by_hand(folder: str) -> None:
    values = {
        f"{module.name}:{line}": sorted(ids)
        for module in modules(folder)
        for line, ids in _lists(module.tree)
        if len(ids) > _MOST
    }
    assert values == {}, "compute it from the document: see synth_pools/contract/selections.py"
