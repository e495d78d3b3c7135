"""Samples: values at and beside the bounds of a schema, valid and invalid."""

from __future__ import annotations

from typing import Any

from synth_pools.contract.document import Document
from synth_pools.contract.harness.samples import RequestFields, put_at

_INNER = {
    "type": "object",
    "properties": {
        "kind": {"type": "string", "enum": ["a", "b"]},
        "list": {"type": "array", "maxItems": 2, "items": {"type": "object"}},
        "long": {"type": "array", "maxItems": 5_000},
    },
}
_BODY = {
    "type": "object",
    "properties": {
        "count": {"type": "integer", "minimum": 3, "maximum": 9},
        "share": {"anyOf": [{"type": "number", "exclusiveMinimum": 0.5}, {"type": "null"}]},
        "name": {"type": "string", "maxLength": 4},
        "inner": {"$ref": "#/components/schemas/Inner"},
        "either": {"anyOf": [{"type": "string"}, {"type": "integer"}]},
    },
    "required": ["name"],
}
_SPEC: dict[str, Any] = {
    "paths": {
        "/v1/x": {
            "post": {
                "operationId": "x",
                "requestBody": {
                    "content": {
                        "application/json": {"schema": {"$ref": "#/components/schemas/Body"}}
                    }
                },
                "responses": {},
            }
        }
    },
    "components": {"schemas": {"Body": _BODY, "Inner": _INNER}},
}
_DOCUMENT = Document(_SPEC)
_BASE = {"name": "n"}


def _fields() -> RequestFields:
    return RequestFields(_DOCUMENT, _DOCUMENT.operations["x"])


def test_the_fields_are_those_of_the_schema_and_of_the_objects_in_it() -> None:
    fields = _fields()
    assert fields.names == ("count", "share", "name", "inner", "either")
    inner = [("inner", name) for name in ("kind", "list", "long")]
    assert list(fields.paths()) == [
        ("count",), ("share",), ("name",), ("inner",), *inner, ("either",)
    ]  # fmt: skip
    assert fields.resolved({"$ref": "#/components/schemas/Inner"}) == _INNER
    nullable = {"anyOf": [{"type": "null"}, {"$ref": "#/components/schemas/Inner"}]}
    assert fields.resolved(nullable) == _INNER
    # Two schemas are not read as one.
    assert fields.resolved(_BODY["properties"]["either"]) == _BODY["properties"]["either"]  # type: ignore[index]


def test_the_bounds_themselves_are_right_and_what_is_beside_them_wrong() -> None:
    fields = _fields()
    assert fields.right(("count",), _BASE) == [3, 9]
    assert 2 in fields.wrong(("count",), _BASE, 10)
    assert 10 in fields.wrong(("count",), _BASE, 10)
    assert 0.5 in fields.wrong(("share",), _BASE)
    assert fields.right(("name",), _BASE)[0] == "xxxx"
    assert "xxxxx" in fields.wrong(("name",), _BASE)
    assert fields.right(("inner", "kind"), _BASE) == ["a", "b"]
    assert [{}, {}, {}] in fields.wrong(("inner", "list"), _BASE)
    # No sample body gets that long for the sake of a bound.
    lists = [item for item in fields.wrong(("inner", "long"), _BASE, 99) if isinstance(item, list)]
    assert lists == []


def test_there_are_so_many_of_each_type_and_none_twice() -> None:
    fields = _fields()
    for most in (1, 2, 3):
        values = fields.wrong(("inner",), _BASE, most)
        kinds = [type(value).__name__ for value in values]
        assert max(map(kinds.count, kinds)) == most
        assert len(set(map(repr, values))) == len(values)
    assert {type(item) for item in fields.wrong(("inner",), _BASE)} == {str, int, float, bool, list}
    assert fields.allows(("inner", "kind"), "a", _BASE)
    assert not fields.allows(("inner", "kind"), "c", _BASE)
    # The rest of the body counts, too.
    assert not fields.allows(("inner", "kind"), "a", {})


def test_a_value_is_put_into_a_copy() -> None:
    base: dict[str, Any] = {"a": {"b": 1}, "c": [1]}
    assert put_at(base, ("a", "x", "y"), 2) == {"a": {"b": 1, "x": {"y": 2}}, "c": [1]}
    assert put_at(base, ("new", "y"), 2) == {**base, "new": {"y": 2}}
    assert put_at(base, ("a",), 2) == {"a": 2, "c": [1]}
    assert base == {"a": {"b": 1}, "c": [1]}
