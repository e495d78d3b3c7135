"""Docstrings of the short names: those of the methods that they pass their calls on to.

A short name's documentation has to stand in the source, where editors look for it, and is written
once, in the facade. So the methods of the async tree that do nothing but return a call of another
operation get their docstring from here, with the names of their own parameters.
"""

from __future__ import annotations

import ast
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from codegen import CodegenError

_Method = ast.FunctionDef | ast.AsyncFunctionDef


class _Passing(NamedTuple):
    """Call of another operation that a method consists of.

    Attributes:
        name: The other one.
        call: What it is given.
    """

    name: str
    call: ast.Call


def fill_tree(source: Path, output: Path, *, label: str) -> None:
    """Copy a tree to `output`, which must not exist, with the docstrings of its short names."""
    shutil.copytree(source, output, ignore=shutil.ignore_patterns("__pycache__"))
    files = {path: path.read_text(encoding="utf-8") for path in sorted(output.rglob("*.py"))}
    documented = {
        method.name: (method, _source(text, docstring))
        for text in files.values()
        for method in _methods(text)
        if _passed_on(method) is None and (docstring := _docstring(method)) is not None
    }
    for path, text in files.items():
        filled = _fill(text, documented, f"{label}/{path.relative_to(output).as_posix()}")
        if filled != text:
            path.write_text(filled, encoding="utf-8", newline="\n")


def _passed_on(method: _Method) -> _Passing | None:
    """Return the operation that gets a method's arguments; None if it does anything else."""
    body = method.body[_docstring(method) is not None :]
    if len(body) != 1 or not isinstance(body[0], ast.Return):
        return None
    call = body[0].value.value if isinstance(body[0].value, ast.Await) else body[0].value
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return None
    is_ours = ast.unparse(call.func.value) in ("self", "self._client")
    given = {ast.unparse(value) for value in (*call.args, *(word.value for word in call.keywords))}
    own = {argument.arg for argument in (*method.args.args[1:], *method.args.kwonlyargs)}
    name = call.func.attr
    return _Passing(name, call) if is_ours and given == own and not name.startswith("_") else None


def _fill(text: str, documented: dict[str, tuple[_Method, str]], origin: str) -> str:
    lines = text.splitlines(keepends=True)
    # From the end, so that the line numbers of those before it stay true.
    for method in sorted(_methods(text), key=lambda one: one.lineno, reverse=True):
        passing = _passed_on(method)
        if passing is None or method.name.startswith("_"):
            continue
        if passing.name not in documented:
            raise CodegenError(f"{origin}: {method.name}: no docstring of {passing.name}")
        long, docstring = documented[passing.name]
        for theirs, own in _renamed(passing.call, long):
            docstring = re.sub(rf"\b{theirs}\b", own, docstring)
        first, old = method.body[0], _docstring(method)
        end = first.lineno - 1 if old is None else old.end_lineno
        indent = " " * first.col_offset
        lines[first.lineno - 1 : end] = [f"{indent}{docstring}\n"]
    return "".join(lines)


def _renamed(call: ast.Call, long: _Method) -> Iterator[tuple[str, str]]:
    """Iterate over the parameters that a short name calls otherwise: (long name's, its own)."""
    theirs = [argument.arg for argument in long.args.args[1:]]
    given = [*zip(theirs, call.args, strict=False), *((k.arg, k.value) for k in call.keywords)]
    for name, value in given:
        if name is not None and isinstance(value, ast.Name) and value.id != name:
            yield name, value.id


def _methods(text: str) -> Iterator[_Method]:
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef):
            for member in node.body:
                if isinstance(member, _Method):
                    yield member


def _docstring(method: _Method) -> ast.Constant | None:
    first = method.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant):
        return first.value if isinstance(first.value.value, str) else None
    return None


def _source(text: str, docstring: ast.Constant) -> str:
    return ast.get_source_segment(text, docstring) or ""
