"""Tools of the rules: comparing and showing JSON."""

from __future__ import annotations

from typing import Any

import pytest

from synth_pools.contract.results import Exchange
from synth_pools.contract.rules.verdict import (
    NotJsonError,
    excerpt,
    media_type,
    request_json,
    response_json,
    same_json,
    show,
)


@pytest.mark.parametrize(
    ("first", "second", "same"),
    [
        (1, 1.0, True),
        (True, 1, False),
        (0, False, False),
        (True, True, True),
        (None, None, True),
        (None, 0, False),
        ([1, {"a": 1}], [1.0, {"a": 1}], True),
        ([1], [True], False),
        ([1], [1, 2], False),
        ([], {}, False),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": 1, "b": 2}, {"a": 1, "b": True}, False),
        ({"a": None}, {}, False),
        ({}, {"a": None}, False),
    ],
)
def test_values_are_compared_as_json(first: Any, second: Any, same: bool) -> None:
    assert same_json(first, second) is same
    assert same_json(second, first) is same


def test_a_body_that_is_no_json() -> None:
    for body in (b"{", b"NaN", b"[-Infinity]", b"\xff", b""):
        with pytest.raises(NotJsonError):
            response_json(Exchange("GET", "x", response_body=body))
    with pytest.raises(NotJsonError, match="NaN is no JSON"):
        response_json(Exchange("GET", "x", response_body=b"NaN"))
    assert response_json(Exchange("GET", "x", response_body=b"[" * 100_000)) is None
    assert response_json(Exchange("GET", "x", response_body=b"[1]")) == [1]


@pytest.mark.parametrize(
    ("body", "expected"),
    [(None, None), (b"", None), (b"{", None), (b"[" * 100_000, None), (b"[1]", [1]), (b"0", 0)],
)
def test_a_request_is_read_where_it_can_be(body: bytes | None, expected: Any) -> None:
    assert request_json(Exchange("PUT", "x", request_body=body)) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, ""),
        ("Application/JSON ; charset=utf-8; a=b", "application/json"),
        ("text/html", "text/html"),
    ],
)
def test_a_media_type_has_no_parameters(value: str | None, expected: str) -> None:
    headers = () if value is None else (("Content-Type", value),)
    assert media_type(Exchange("GET", "x", response_headers=headers)) == expected


def test_an_answer_is_shown_in_one_line() -> None:
    assert excerpt(Exchange("GET", "x")) == "no answer"
    assert excerpt(Exchange("GET", "x", trouble="silence")) == "silence"
    assert excerpt(Exchange("GET", "x", status=204)) == "204"
    lines = Exchange("GET", "x", status=200, response_body=b"a\n  b\xff")
    assert excerpt(lines) == "200 a b\ufffd"
    long = Exchange("GET", "x", status=200, response_body="🌍".encode() * 50)
    assert excerpt(long, 3) == "200 🌍🌍🌍"
    short = Exchange("GET", "x", status=200, response_body=b"abcdef")
    assert excerpt(short, 3) == "200 ab…"


def test_a_value_is_shown_in_one_line() -> None:
    assert show({"a": ["ü", None]}) == '{"a": ["ü", null]}'
    assert show({1, 2}) == "<class 'set'>"
    assert show("x" * 118) == f'"{"x" * 118}"'
    assert show("x" * 119) == f'"{"x" * 118}…'
