"""Mutants of a module: one small change of the source each."""

from __future__ import annotations

import ast
import dataclasses
import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_COMPARISONS: dict[type[ast.cmpop], tuple[str, str]] = {
    ast.Eq: ("==", "!="),
    ast.NotEq: ("!=", "=="),
    ast.Lt: ("<", "<="),
    ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="),
    ast.GtE: (">=", ">"),
    ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"),
    ast.In: ("in", "not in"),
    ast.NotIn: ("not in", "in"),
}
_ARITHMETIC: dict[type[ast.operator], tuple[str, str]] = {
    ast.Add: ("+", "-"),
    ast.Sub: ("-", "+"),
    ast.Mult: ("*", "+"),
    ast.Div: ("/", "*"),
    ast.FloorDiv: ("//", "*"),
    ast.Mod: ("%", "+"),
}
# The greatest status of HTTP. Greater numbers are sizes and limits, which no test has to hold.
_GREATEST_NUMBER = 599
# Methods that read as much as they are told at most, where what reads asks again for the rest.
_READING = {"recv", "read1", "readline"}
_UNIT = re.compile("_?[KMG]IB")
# Names that a module gives to such a number, whatever its size is.
_BOUND = re.compile(r"^_?(MOST|LONGEST|LARGEST|DEEPEST|SHORTEST|LEAST)(_|$)|_(SECONDS|BYTES)$")
_LOG_METHODS = {"debug", "info", "warning", "error", "exception", "log"}
# What makes a random text of so many bytes that nobody has or guesses it: one more is as good.
_RANDOM = {"token", "token_hex", "url_safe_token"}
# The least number of items that is taken for the length of a page.
_PAGE = 10
# From which size on something is done in another way, with the same result.
_LARGE = re.compile(r"_?LARGE(_|$)")
_BOUNDARIES = ast.Lt | ast.LtE | ast.Gt | ast.GtE
# What is read from a clock, or compared with what is.
_INSTANT = re.compile(
    r"(^|_)(now|until|deadline|remaining|give_up|clock|monotonic|time)$|_at$|_SECONDS$"
)


@dataclass(frozen=True)
class Mutant:
    """One change: the bytes from `start` to `end` become `new`.

    Attributes:
        line: The number of the line where it begins.
        rule: Why no test has to see it; empty if one has to.
    """

    line: int
    start: int
    end: int
    new: bytes
    rule: str = ""

    def apply(self, source: bytes) -> bytes:
        return source[: self.start] + self.new + source[self.end :]

    def describe(self, source: bytes) -> str:
        """Show the change on one line."""
        old = source[self.start : self.end].decode()
        return f"{_one_line(old)}  ->  {_one_line(self.new.decode())}"


def mutants_of(source: bytes, lines: Iterable[int] | None = None) -> list[Mutant]:
    """List the mutants of a module, in the order of its lines, those that need no test as well.

    Args:
        source: The text of the module.
        lines: The numbers of the lines to mutate; every line if omitted.
    """
    wanted = None if lines is None else set(lines)
    found = set(_Finder(source).mutants(ast.parse(source)))
    chosen = (one for one in found if wanted is None or one.line in wanted)
    return sorted(chosen, key=lambda one: (one.start, one.end, one.new))


class _Finder:
    def __init__(self, source: bytes) -> None:
        self._source = source
        lengths = (len(line) for line in source.splitlines(keepends=True))
        self._starts = [0, *itertools.accumulate(lengths)]

    def mutants(self, node: ast.AST, rule: str = "") -> Iterator[Mutant]:
        """Walk a piece of code; `rule`: why none of it needs a test."""
        for mutant in self._mutants_of_node(node):
            yield dataclasses.replace(mutant, rule=rule or mutant.rule)
        for name, value in ast.iter_fields(node):
            children = value if isinstance(value, list) else [value]
            for child in children:
                if isinstance(child, ast.AST):
                    yield from self.mutants(child, rule or _rule(node, name, child))

    def _mutants_of_node(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                for op, (before, after) in zip(
                    ops, itertools.pairwise([left, *comparators]), strict=True
                ):
                    rule = _rule_of_boundary(node) if isinstance(op, _BOUNDARIES) else ""
                    for mutant in self._swap(before, after, *_COMPARISONS[type(op)]):
                        yield dataclasses.replace(mutant, rule=rule)
            case ast.BoolOp(op=op, values=values):
                old, new = ("and", "or") if isinstance(op, ast.And) else ("or", "and")
                for before, after in itertools.pairwise(values):
                    yield from self._swap(before, after, old, new)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _ARITHMETIC:
                yield from self._swap(left, right, *_ARITHMETIC[type(op)])
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield self._replace(node, self._text(operand))
            case ast.Constant(value=bool(value)):
                yield self._replace(node, str(not value))
            case ast.Constant(value=int(value)) if value <= _GREATEST_NUMBER:
                yield self._replace(node, str(value + 1))
            case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
                yield from self._negate(test)
            case ast.comprehension(ifs=tests):
                for test in tests:
                    yield from self._negate(test)
            # Of a truth the other one is tried; None is as good as False to who asks for one.
            case ast.Return(value=ast.expr() as value) if not _is_none_or_bool(value):
                # Of a command, whose status 1 is tried: that there is none is as good as 0.
                rule = "status" if isinstance(value, ast.Constant) and value.value == 0 else ""
                yield dataclasses.replace(self._replace(node, "return None"), rule=rule)
            case ast.Delete(targets=targets):
                # An argument that is not used, or a name that keeps nothing from being used.
                rule = "unused" if all(isinstance(one, ast.Name) for one in targets) else ""
                yield dataclasses.replace(self._replace(node, "pass"), rule=rule)
            case ast.Raise() | ast.AugAssign() | ast.Break() | ast.Continue():
                yield self._replace(node, "pass")
            case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]):
                yield self._replace(node, "pass")
            case ast.Expr(value=ast.Call() | ast.Await()):
                yield self._replace(node, "pass")

    def _negate(self, test: ast.expr) -> Iterator[Mutant]:
        # The operators of the others are mutated already.
        if not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Constant):
            yield self._replace(test, f"not ({self._text(test)})")

    def _swap(self, before: ast.expr, after: ast.expr, old: str, new: str) -> Iterator[Mutant]:
        """Change the operator between two operands."""
        _, start = self._span(before)
        end, _ = self._span(after)
        at = self._source.find(old.encode(), start, end)
        if at >= 0:
            yield Mutant(self._line_of(at), at, at + len(old), new.encode())

    def _replace(self, node: ast.stmt | ast.expr, new: str) -> Mutant:
        start, end = self._span(node)
        return Mutant(node.lineno, start, end, new.encode())

    def _text(self, node: ast.expr) -> str:
        start, end = self._span(node)
        return self._source[start:end].decode()

    def _span(self, node: ast.stmt | ast.expr) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self._starts[node.lineno - 1] + node.col_offset
        return start, self._starts[node.end_lineno - 1] + node.end_col_offset

    def _line_of(self, offset: int) -> int:
        return self._source.count(b"\n", 0, offset) + 1


def _rule(parent: ast.AST, field: str, node: ast.AST) -> str:
    """Say why no test has to see a change of a piece of code; empty if one has to.

    Args:
        parent: What it is a part of.
        field: As what it is that part.
        node: The piece of code.
    """
    if field in {"annotation", "returns", "decorator_list", "type_params", "bases"}:
        return "annotation"
    match parent, node:
        # Any number but 0 switches an option of a socket on.
        case ast.Call(func=ast.Attribute(attr="setsockopt")), ast.Constant():
            return "flag"
        case ast.Call(func=ast.Attribute(attr=name)), ast.Constant(value=int(value)) if (
            name in _READING and value >= _PAGE
        ):
            return "size"
        case ast.Call(func=ast.Attribute(attr=name)), ast.Constant() if name in _RANDOM:
            return "size"
        case ast.Assign(targets=[ast.Name(id=name)]), ast.Constant() if _BOUND.search(name):
            return "size"
        # How many items a caller asks for at a time, where it is not one or two.
        case ast.keyword(arg="limit"), ast.Constant(value=int(value)) if value >= _PAGE:
            return "size"
        case ast.Dict(keys=keys, values=values), ast.Constant(value=int(value)) if value >= _PAGE:
            pairs = zip(keys, values, strict=True)
            names = {
                key.value for key, each in pairs if each is node and isinstance(key, ast.Constant)
            }
            return "size" if names == {"limit"} else ""
        # Of a row of a benchmark: how many calls a sample of it makes.
        case ast.Call(func=ast.Name(id="Case")), ast.Constant(value=int()):
            return "size"
    match node:
        case ast.JoinedStr():
            return "text"
        # A size, like 64 * 1024 or 2**31 - 1: a choice that no test has to hold.
        case ast.BinOp() if all(map(_is_part_of_number, ast.walk(node))):
            return "size"
        # How much longer than the last one the pause before another try is: no test sees a time.
        case ast.BinOp(left=ast.Constant(), op=ast.Mult(), right=ast.Name(id="pause")):
            return "size"
        case ast.BinOp(left=ast.Constant(value=int()), op=ast.Mult(), right=ast.Name(id=unit)):
            return "size" if _UNIT.fullmatch(unit) else ""
        # A scale, like the bounds of a histogram.
        case ast.Tuple(elts=numbers) if len(numbers) > 4 and all(map(_is_number, numbers)):
            return "size"
        # What the program promises itself.
        case ast.keyword(arg="strict", value=ast.Constant()) | ast.Assert():
            return "check"
        case ast.Raise(exc=ast.Name(id="AssertionError")):
            return "check"
        case ast.If(test=ast.Name(id="TYPE_CHECKING")):
            return "annotation"
        case ast.Assign(targets=[ast.Name(id="__all__")]):
            return "annotation"
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name), attr=method))):
            return "log" if "log" in name.lower() and method in _LOG_METHODS else ""
    return ""


def _rule_of_boundary(node: ast.Compare) -> str:
    names = [
        each.id if isinstance(each, ast.Name) else each.attr
        for each in ast.walk(node)
        if isinstance(each, ast.Name | ast.Attribute)
    ]
    # No clock shows just the instant of a limit, on whichever side that is.
    if any(map(_INSTANT.search, names)):
        return "instant"
    return "size" if any(map(_LARGE.match, names)) else ""


def _is_part_of_number(node: ast.AST) -> bool:
    return _is_number(node) or isinstance(node, ast.BinOp | ast.operator)


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)


def _is_none_or_bool(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and (node.value is None or isinstance(node.value, bool))


def _one_line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= 60 else f"{text[:57]}..."
