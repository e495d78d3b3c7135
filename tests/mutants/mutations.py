"""Mutants of a module: one small change of the source each."""

from __future__ import annotations

import ast
import itertools
import re
import textwrap
from collections.abc import Iterator
from dataclasses import dataclass, replace

_OPERATORS: dict[type[ast.AST], tuple[str, str]] = {
    ast.Eq: ("==", "!="), ast.NotEq: ("!=", "=="), ast.Lt: ("<", "<="), ast.LtE: ("<=", "<"),
    ast.Gt: (">", ">="), ast.GtE: (">=", ">"), ast.Is: ("is", "is not"),
    ast.IsNot: ("is not", "is"), ast.In: ("in", "not in"), ast.NotIn: ("not in", "in"),
    ast.And: ("and", "or"), ast.Or: ("or", "and"), ast.Add: ("+", "-"), ast.Sub: ("-", "+"),
    ast.Mult: ("*", "+"), ast.Div: ("/", "*"), ast.FloorDiv: ("//", "*"), ast.Mod: ("%", "+"),
}  # fmt: skip
# The greatest status of HTTP. Greater numbers are sizes and limits, which no test has to hold.
_GREATEST_NUMBER = 599
# Names of sizes and limits, and of methods whose number is the most that they read, or a length.
_SIZE = re.compile(
    r"^_?(MOST|LONGEST|LARGEST|DEEPEST|SHORTEST|LEAST|LARGE|[KMG]IB)(_|$)|_(SECONDS|BYTES)$|^pause$"
    r"|^(recv|read1|readline|token|token_hex|url_safe_token|setsockopt)$"
)
# Values of a clock, or what is compared with one.
_INSTANT = re.compile(
    r"(^|_)(now|until|deadline|remaining|give_up|clock|monotonic|time)$|_at$|_SECONDS$"
)
_NOT_RUN = {"annotation", "returns", "decorator_list", "type_params", "bases"}


@dataclass(frozen=True)
class Mutant:
    """Change of the bytes from `start` to `end`; `rule` says why no test has to see it, if so."""

    line: int
    start: int
    end: int
    new: bytes
    rule: str = ""

    def apply(self, source: bytes) -> bytes:
        return source[: self.start] + self.new + source[self.end :]

    def describe(self, source: bytes) -> str:
        """Show the change on one line."""
        texts = (source[self.start : self.end].decode(), self.new.decode())
        return "  ->  ".join(textwrap.shorten(text, 60, placeholder="...") for text in texts)


def mutants_of(source: bytes, lines: set[int] | None = None) -> list[Mutant]:
    """List the mutants of a module or of some of its lines, also mutants that need no test."""
    mutants = set(_Finder(source).mutants(ast.parse(source)))
    chosen = (mutant for mutant in mutants if lines is None or mutant.line in lines)
    return sorted(chosen, key=lambda mutant: (mutant.start, mutant.end, mutant.new))


class _Finder:
    def __init__(self, source: bytes) -> None:
        self._source = source
        lengths = (len(line) for line in source.splitlines(keepends=True))
        self._starts = [0, *itertools.accumulate(lengths)]

    def mutants(self, node: ast.AST, rule: str = "") -> Iterator[Mutant]:
        """Yield the mutants of a piece of code; `rule` says why none of them needs a test."""
        for mutant in self._mutants_of_node(node):
            yield replace(mutant, rule=rule or mutant.rule)
        for name, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    yield from self.mutants(child, rule or _rule(node, name, child))

    def _mutants_of_node(self, node: ast.AST) -> Iterator[Mutant]:
        match node:
            case ast.Compare(left=left, ops=ops, comparators=comparators):
                for op, pair in zip(ops, itertools.pairwise([left, *comparators]), strict=True):
                    yield from self._swap(*pair, op, _rule_of_boundary(node, op))
            case ast.BoolOp(op=op, values=values):
                for pair in itertools.pairwise(values):
                    yield from self._swap(*pair, op)
            case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATORS:
                yield from self._swap(left, right, op)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield self._replace(node, ast.unparse(operand))
            case ast.Constant(value=bool(value)):
                yield self._replace(node, str(not value))
            case ast.Constant(value=int(value)) if value <= _GREATEST_NUMBER:
                yield self._replace(node, str(value + 1))
            case ast.If(test=test) | ast.While(test=test) | ast.IfExp(test=test):
                yield from self._negate(test)
            case ast.comprehension(ifs=tests):
                for test in tests:
                    yield from self._negate(test)
            # A bool has its opposite; None is as good as False to a caller.
            case ast.Return(value=ast.Constant(value=None | bool())):
                return
            case ast.Return(value=ast.expr() as value):
                # The status 0 of a command, for which None is as good.
                rule = "status" if isinstance(value, ast.Constant) and value.value == 0 else ""
                yield self._replace(node, "return None", rule)
            case ast.Delete(targets=targets):
                # An unused argument, or a name that keeps nothing from being used.
                rule = "unused" if all(isinstance(target, ast.Name) for target in targets) else ""
                yield self._replace(node, "pass", rule)
            case (
                ast.Raise()
                | ast.AugAssign()
                | ast.Break()
                | ast.Continue()
                | ast.Assign(targets=[ast.Attribute() | ast.Subscript()])
                | ast.Expr(value=ast.Call() | ast.Await())
            ):
                yield self._replace(node, "pass")

    def _negate(self, test: ast.expr) -> Iterator[Mutant]:
        # The operators of the others are mutated already.
        if not isinstance(test, ast.Compare | ast.BoolOp | ast.UnaryOp | ast.Constant):
            yield self._replace(test, f"not ({ast.unparse(test)})")

    def _swap(
        self, before: ast.expr, after: ast.expr, op: ast.AST, rule: str = ""
    ) -> Iterator[Mutant]:
        """Change the operator between two operands."""
        old, new = _OPERATORS[type(op)]
        at = self._source.find(old.encode(), self._span(before)[1], self._span(after)[0])
        if at >= 0:
            line = self._source.count(b"\n", 0, at) + 1
            yield Mutant(line, at, at + len(old), new.encode(), rule)

    def _replace(self, node: ast.stmt | ast.expr, new: str, rule: str = "") -> Mutant:
        return Mutant(node.lineno, *self._span(node), new.encode(), rule)

    def _span(self, node: ast.stmt | ast.expr) -> tuple[int, int]:
        assert node.end_lineno is not None
        assert node.end_col_offset is not None
        start = self._starts[node.lineno - 1] + node.col_offset
        return start, self._starts[node.end_lineno - 1] + node.end_col_offset


def _rule(parent: ast.AST, field: str, node: ast.AST) -> str:
    """Say why no test has to see a change of `node`, the `field` of `parent`; empty if one has."""
    if field in _NOT_RUN:
        return "annotation"
    match parent, node:
        case (
            ast.Call(ast.Attribute(attr=name))
            | ast.Assign([ast.Name(name)])
            | ast.keyword(str(name)),
            ast.Constant(value=int()),
        ) if _SIZE.search(name):
            return "size"
        # A length of pages.
        case (
            ast.keyword(arg="limit") | ast.Dict(keys=[ast.Constant(value="limit")]),
            ast.Constant(value=int(value)),
        ) if value > 9:
            return "size"
    match node:
        case ast.JoinedStr():
            return "text"
        # A size, like 64 * 1024, or a scale, like the bounds of a histogram.
        case ast.BinOp() if all(
            _is_number(part) or isinstance(part, ast.BinOp | ast.operator)
            for part in ast.walk(node)
        ):
            return "size"
        case ast.BinOp(ast.Constant(), ast.Mult(), ast.Name(name)) if _SIZE.search(name):
            return "size"
        case ast.Tuple(elts=numbers) if len(numbers) > 4 and all(map(_is_number, numbers)):
            return "size"
        # Promises of the program to itself.
        case (
            ast.keyword(arg="strict", value=ast.Constant())
            | ast.Assert()
            | ast.Raise(exc=ast.Name(id="AssertionError"))
        ):
            return "check"
        case ast.If(test=ast.Name(id="TYPE_CHECKING")) | ast.Assign([ast.Name(id="__all__")]):
            return "annotation"
        case ast.Expr(value=ast.Call(func=ast.Attribute(value=ast.Name(id=name)))):
            return "log" if "log" in name.lower() else ""
    return ""


def _rule_of_boundary(node: ast.Compare, op: ast.cmpop) -> str:
    if not isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE):
        return ""
    names = names_in(node)
    # No clock shows just the instant of a limit, on either side of it.
    if any(map(_INSTANT.search, names)):
        return "instant"
    return "size" if any("LARGE" in name for name in names) else ""


def names_in(node: ast.AST) -> set[str]:
    """Return the names of variables and attributes in a piece of code."""
    return {getattr(part, "id", getattr(part, "attr", "")) for part in ast.walk(node)} - {""}


def _is_number(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, int | float)
