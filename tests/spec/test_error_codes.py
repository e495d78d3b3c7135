"""Tables of error codes, compared with the source of the backend."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

import synth_pools.backend
from tests.support.document import SCHEMAS, SPEC

_BACKEND = Path(synth_pools.backend.__file__).parent
# Functions that pass on the code of another error.
_HANDED_ON = {"_as_api_error": {(504, "container_timeout"), (502, "container_unreachable")}}


class Raised(NamedTuple):
    """Error in the source of the backend."""

    status: int
    code: str
    retryable: bool | None


@cache
def sources() -> tuple[ast.Module, ...]:
    """Parse the backend, which takes a second; not while tests are collected."""
    return tuple(ast.parse(path.read_text()) for path in sorted(_BACKEND.rglob("*.py")))


@pytest.fixture(scope="module", autouse=True)
def forget_sources() -> Iterator[None]:
    """Free the trees, which would slow down the garbage collector in later tests."""
    yield
    sources.cache_clear()


def table(heading: str) -> list[list[str]]:
    """Return the cells of the table of codes below a heading."""
    texts = [SPEC["info"]["description"], *(tag["description"] for tag in SPEC["tags"])]
    (text,) = (candidate for candidate in texts if f"## {heading}\n" in candidate)
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line.strip("| ").split(" | ") for line in section.splitlines() if line[:2] == "| "]
    start = next(number for number, row in enumerate(rows) if row[0] == "code")
    return [row for row in rows[start + 1 :] if re.fullmatch(r"`[a-z_]+`", row[0])]


_ERRORS = {row[0].strip("`"): (int(row[1]), row[2]) for row in table("Errors")}
_FAILURES = [row[0].strip("`") for row in table("Rollouts: states") if len(row) == 2]


@cache
def constants() -> dict[str, object]:
    """Map the constants of all modules to their values; relevant names are unique."""
    values: dict[str, object] = {}
    for tree in sources():
        for node in tree.body:
            if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
                try:
                    values[node.targets[0].id] = ast.literal_eval(node.value)
                except ValueError:
                    continue
    return values


def value_of(node: ast.AST) -> object:
    if isinstance(node, ast.Starred):
        node = node.value
    if isinstance(node, ast.Name):
        return constants().get(node.id)
    return node.value if isinstance(node, ast.Constant) else None


def calls(*names: str) -> Iterator[tuple[str, ast.Call, str]]:
    """Yield each call of these functions: its name, the call, the function or variable it is in."""
    for tree in sources():
        for around in ast.walk(tree):
            is_constant = isinstance(around, ast.Assign) and around in tree.body
            if is_constant or isinstance(around, ast.FunctionDef | ast.AsyncFunctionDef):
                for node in ast.walk(around):
                    name = getattr(node, "func", None)
                    called = getattr(name, "attr", getattr(name, "id", None))
                    if isinstance(node, ast.Call) and called in names:
                        yield called, node, getattr(around, "name", "a constant")


def raised() -> set[Raised]:
    """Find every error of an answer."""
    errors: set[Raised] = set()
    for name, call, around in calls("ApiError", "__init__", "conflict", "too_many", "_full"):
        if name == "__init__" and not (call.args and isinstance(value_of(call.args[0]), int)):
            continue
        retry = {word.arg: value_of(word.value) for word in call.keywords}.get("retryable")
        retryable = retry if isinstance(retry, bool) else None
        if name == "conflict":
            status, code = 409, value_of(call.args[0])
        elif name in ("too_many", "_full"):
            status, code, retryable = 429, value_of(call.args[0]), True
        else:
            argument = value_of(call.args[0])
            assert isinstance(argument, int), f"{around}: a status that cannot be read"
            status, code = argument, value_of(call.args[1])
        # The code may be a pair with the message.
        code = code[0] if isinstance(code, tuple) else code
        if isinstance(code, str):
            errors.add(Raised(status, code, retryable))
        elif around in _HANDED_ON:
            errors |= {Raised(s, c, None) for s, c in _HANDED_ON[around] if s == status}
        else:
            is_builder = around in ("conflict", "too_many", "_full")
            assert is_builder, f"{around} builds an error without a code"
    return errors


def test_every_code_that_the_backend_sends_is_in_the_table_and_no_other() -> None:
    raised_errors = {(error.code, error.status) for error in raised()}
    assert {(code, status) for code, (status, _) in _ERRORS.items()} == raised_errors
    assert list(_ERRORS) == SCHEMAS["ErrorCode"]["enum"]


def test_what_is_worth_a_repetition_is_said_so_in_both() -> None:
    for error in raised():
        retryable = _ERRORS[error.code][1]
        if error.retryable is not None:
            assert retryable == ("yes" if error.retryable else "no") or "while" in retryable, error
    temporary = {code for code, (status, _) in _ERRORS.items() if status in (429, 503)}
    assert all(_ERRORS[code][1] == "yes" for code in temporary)


def test_no_code_is_written_as_json() -> None:
    """Errors alone have codes, so that the tests above see all of them."""
    codes = {
        value.value
        for tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Dict)
        for key, value in zip(node.keys, node.values, strict=True)
        if isinstance(key, ast.Constant) and key.value == "code"
        if isinstance(value, ast.Constant)
    }
    assert codes == set()


def test_every_code_of_a_failed_rollout_is_in_the_table_and_no_other() -> None:
    codes = {value_of(call.args[0]) for _, call, _ in calls("TargetError", "failure")}
    sent_codes = {code for code in codes if isinstance(code, str)}
    assert set(_FAILURES) == sent_codes
    assert SCHEMAS["RolloutErrorCode"]["enum"] == _FAILURES


def test_examples_hold_codes_that_are_sent() -> None:
    codes = {**dict.fromkeys(_ERRORS), **dict.fromkeys(_FAILURES)}
    example_codes = re.findall(r"'code': '(\w+)'", str(SPEC["components"]["examples"]))
    assert len(example_codes) > 5
    assert set(example_codes) <= {*codes, "process_not_healthy"}
