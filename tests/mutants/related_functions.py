"""Functions of other modules that a statement calls, or that use what it sets."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

# A name that more functions have, like `close`, tells nothing.
_MOST_FUNCTIONS = 4
_FUNCTIONS = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Function:
    """A function of a module, by the lines of its body."""

    path: str
    lines: range


@dataclass
class RelatedFunctions:
    """Functions of the modules of a room, by their names, and by the names that they use.

    Attributes:
        named: The functions of a name.
        using: The functions that mention a name.
    """

    named: dict[str, list[Function]] = field(default_factory=lambda: defaultdict(list))
    using: dict[str, list[Function]] = field(default_factory=lambda: defaultdict(list))

    @classmethod
    def of(cls, modules: Mapping[str, str]) -> RelatedFunctions:
        found = cls()
        for path, text in modules.items():
            for node in ast.walk(ast.parse(text)):
                if isinstance(node, _FUNCTIONS):
                    lines = range(node.body[0].lineno, (node.end_lineno or node.lineno) + 1)
                    function = Function(path, lines)
                    found.named[node.name].append(function)
                    for name in set(_names(node)):
                        found.using[name].append(function)
        return found

    def of_statement(self, path: str, source: bytes, line: int) -> list[Function]:
        """List the functions of other modules that a change of a statement may show itself in.

        Args:
            path: The module of the statement.
            source: The text of the module.
            line: A line of the statement.
        """
        statement = _innermost(ast.parse(source), line)
        if statement is None:
            return []
        found: list[Function] = []
        for name in set(_names(statement)):
            found += _few(self.named.get(name, []), path)
        for name in _set_by(statement):
            found += _few(self.using.get(name, []), path)
        return sorted(set(found), key=lambda one: (one.path, one.lines.start))


def _few(functions: list[Function], path: str) -> list[Function]:
    others = [one for one in functions if one.path != path]
    return others if len(others) <= _MOST_FUNCTIONS else []


def _names(node: ast.AST) -> Iterator[str]:
    for each in ast.walk(node):
        if isinstance(each, ast.Name):
            yield each.id
        elif isinstance(each, ast.Attribute):
            yield each.attr


def _set_by(statement: ast.stmt) -> Iterator[str]:
    match statement:
        case ast.Assign(targets=targets):
            yield from (target.attr for target in targets if isinstance(target, ast.Attribute))
        case ast.AnnAssign(target=ast.Attribute(attr=name)):
            yield name
        case ast.AugAssign(target=ast.Attribute(attr=name)):
            yield name
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield name


def _innermost(tree: ast.Module, line: int) -> ast.stmt | None:
    around = [
        node
        for node in ast.walk(tree)
        if isinstance(node, ast.stmt) and node.lineno <= line <= (node.end_lineno or node.lineno)
    ]
    return max(around, key=lambda node: node.lineno, default=None)
