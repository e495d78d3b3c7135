"""Parameters and forms that other clients write, read by their styles."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest

from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.domain.openapi import Operation
from synth_pools.backend.domain.validation import Contract, read_fields, read_query

ITEMS = {"type": "array", "items": {"type": "integer"}}
TEXTS = {"type": "array", "items": {"type": "string"}}
FILTER = {
    "type": "object",
    "properties": {"depth": {"type": "integer"}},
    "additionalProperties": {"type": "string"},
}
PARAMETERS: list[dict[str, Any]] = [
    {"name": "tags", "in": "query", "explode": False, "schema": TEXTS},
    {"name": "sizes", "in": "query", "style": "pipeDelimited", "schema": ITEMS},
    {"name": "words", "in": "query", "style": "spaceDelimited", "schema": TEXTS},
    {"name": "kinds", "in": "query", "schema": TEXTS},
    {"name": "filter", "in": "query", "style": "deepObject", "schema": FILTER},
    {"name": "bounds", "in": "query", "schema": {"$ref": "#/components/schemas/Bounds"}},
    {"name": "pair", "in": "query", "explode": False, "schema": FILTER},
    {"name": "exact", "in": "query", "schema": {"type": "boolean"}},
    {"name": "ratio", "in": "query", "schema": {"anyOf": [{"type": "number"}, {"type": "null"}]}},
    {"name": "session", "in": "cookie", "schema": {"type": "string"}},
]
FORM = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string"}, "sizes": ITEMS, "count": {"type": "integer"}},
}
CONTRACT = Contract(
    {
        "paths": {
            "/things": {
                "post": {
                    "operationId": "find_things",
                    "parameters": PARAMETERS,
                    "requestBody": {
                        "content": {"application/x-www-form-urlencoded": {"schema": FORM}}
                    },
                    "responses": {"200": {"description": "Fine."}},
                }
            }
        },
        "components": {
            "schemas": {
                "Bounds": {
                    "type": "object",
                    "properties": {"low": {"type": "integer"}, "high": {"type": "integer"}},
                }
            }
        },
    }
)
OPERATION: Operation = CONTRACT.operations["find_things"]


def read(query: str, **headers: str) -> dict[str, Any]:
    return CONTRACT.parameters(OPERATION, {}, query.encode("latin-1"), headers)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {}),
        ("&&", {}),
        ("tags=a,b", {"tags": ["a", "b"]}),
        ("tags=a%2Cb,c+d", {"tags": ["a,b", "c d"]}),
        ("tags=", {"tags": []}),
        ("tags=a,", {"tags": ["a", ""]}),
        ("sizes=1|2", {"sizes": [1, 2]}),
        ("sizes=1%7c2%7C3", {"sizes": [1, 2, 3]}),
        ("words=a+b%20c", {"words": ["a", "b", "c"]}),
        ("kinds=a&kinds=b%26", {"kinds": ["a", "b&"]}),
        ("filter[depth]=2&filter%5Bname%5D=3", {"filter": {"depth": 2, "name": "3"}}),
        ("filter[a][b]=1&filter[]=2", {"filter": {"a][b": "1", "": "2"}}),
        ("filter=1&filter[=1&filters[a]=1", {}),
        ("high=9&other=1", {"bounds": {"high": 9}}),
        ("pair=depth,4,name,n", {"pair": {"depth": 4, "name": "n"}}),
        ("exact=true", {"exact": True}),
        ("ratio=1e-3", {"ratio": 0.001}),
        ("ratio=7", {"ratio": 7.0}),
        ("kinds=%FF", {"kinds": ["\N{REPLACEMENT CHARACTER}"]}),
    ],
)
def test_a_query_is_read_by_its_styles(query: str, expected: dict[str, Any]) -> None:
    assert read(query) == expected


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ("tags=a&tags=b", ["query", "tags"]),
        ("sizes=1|x", ["query", "sizes", 1]),
        ("filter[depth]=x", ["query", "filter", "depth"]),
        ("low=x", ["query", "bounds", "low"]),
        ("exact=yes", ["query", "exact"]),
        ("ratio=1e999", ["query", "ratio"]),
        ("ratio=inf", ["query", "ratio"]),
        (f"ratio={'9' * 400}", ["query", "ratio"]),
    ],
)
def test_what_is_of_another_type_is_refused_with_its_place(query: str, place: list[Any]) -> None:
    with pytest.raises(ApiError) as caught:
        read(query)
    assert caught.value.status == 422
    assert [fault["loc"] for fault in caught.value.document("r")["detail"]] == [place]


@pytest.mark.parametrize(
    ("cookie", "expected"),
    [
        ("session=s", {"session": "s"}),
        ("own=1; session=a%3Bb==; more=2", {"session": "a;b=="}),
        ("sessions=1; =; ;", {}),
    ],
)
def test_a_cookie_is_one_of_several(cookie: str, expected: dict[str, str]) -> None:
    assert read("", cookie=cookie) == expected


def test_a_form_has_the_types_of_its_schema() -> None:
    assert OPERATION.body is not None
    query = read_query(f"name=5&count=2&sizes=1&sizes=2&more={quote('ä&')}".encode())
    expected = {"name": "5", "count": 2, "sizes": [1, 2], "more": "ä&"}
    assert read_fields(query, OPERATION.body.shape) == expected
    CONTRACT.check_body(OPERATION, expected)
    with pytest.raises(ApiError):
        CONTRACT.check_body(OPERATION, read_fields(read_query(b"count=x"), OPERATION.body.shape))
