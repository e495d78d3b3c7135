"""Names of local variables, and the English of docstrings and comments."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator

import pytest

from tests.house.tree import Module, modules

# Parsing the whole tree takes seconds: once.
pytestmark = pytest.mark.xdist_group("house")

FOLDERS = ["bench", "codegen", "examples", "synth_pools", "tests"]
# Participles and pronouns, which say nothing of a value: `expected`, `created` or its noun does.
BARE_NAMES = re.compile(
    "apart|asked|asking|begun|came|each|ended|found|given|gone|good|heard|held|kept|known|left|made"
    "|named|near|one|other|own|said|seen|settled|shown|stands|taken|told|wanted|what|whole|worked"
    "|wrote"
)
# Each makes a sentence that has to be read twice.
ODD_PHRASES = re.compile(
    r"""
    ^(?:Of|By|Who|Whose|What|Whether)\s
    | (?<![Tt]here)\ (?:is|are|was|were)\ none\b(?!\ of)
    | \b[Ww]hoever\b
    | \b[Ss]o\ (?:many|much|long)\b(?!\ as\b)
    | \b[Tt]hose\ (?:that|who|which)\b
    | \bnone\ of\ which\b
    | \b(?:anew|hence|thereof|thereby)\b
    """,
    re.VERBOSE,
)


def bare_names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Find the variables and arguments named like one of `BARE_NAMES`, with their lines."""
    operands: set[ast.AST] = set()
    for node in ast.walk(tree):
        match node:
            # The data model of Python names the right operand so.
            case ast.FunctionDef(name="__eq__" | "__add__", args=ast.arguments(args=[_, operand])):
                operands.add(operand)
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                if BARE_NAMES.fullmatch(name) and node not in operands:
                    yield node.lineno, name


def odd_sentences(tree: ast.AST, text: str) -> Iterator[tuple[int, str]]:
    """Find the docstrings and comments that have one of `ODD_PHRASES`, with their lines."""
    for line, prose in (*_docstrings(tree), *_comments(text)):
        if ODD_PHRASES.search(prose):
            yield line, prose


def _docstrings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        # The docstring of an attribute is a statement of its own, too.
        match node:
            case ast.Expr(value=ast.Constant(value=str(prose))):
                yield node.lineno, " ".join(prose.split())


def _comments(text: str) -> Iterator[tuple[int, str]]:
    block: list[str] = []
    begin = previous = 0
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type != tokenize.COMMENT:
            continue
        line = token.start[0]
        # A comment after code is a sentence of its own; comments on successive lines are one.
        if block and (line != previous + 1 or token.line.strip() != token.string):
            yield begin, " ".join(block)
            block = []
        if not block:
            begin = line
        block.append(token.string.lstrip("#: "))
        previous = line
    if block:
        yield begin, " ".join(block)


def offences(module: Module) -> list[str]:
    text = "\n".join(module.lines) + "\n"
    places = sorted([*bare_names(module.tree), *odd_sentences(module.tree, text)])
    return [f"{module.name}:{line}: {offence[:90]}" for line, offence in places]


@pytest.mark.parametrize("folder", FOLDERS)
def test_names_and_sentences_need_no_second_reading(folder: str) -> None:
    checked = modules(folder)
    assert len(checked) > 3
    assert [line for module in checked for line in offences(module)] == []


def test_the_check_sees_names_and_phrases() -> None:
    text = (
        '"""Wait for whoever asked."""\n'
        "def read(made: int) -> None:\n"
        "    # What comes first\n"
        "    # is read.\n"
        "    one = 1  # Enough.\n"
        "    created = [each for each in ()]\n"
    )
    assert sorted(name for _, name in bare_names(ast.parse(text))) == ["each", "made", "one"]
    assert sorted(odd_sentences(ast.parse(text), text)) == [
        (1, "Wait for whoever asked."),
        (3, "What comes first is read."),
    ]
