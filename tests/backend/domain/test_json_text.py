"""The parts that only compute: merge patch, cursors, JSON."""

from __future__ import annotations

import json
from typing import Any

import pytest

from synth_pools.backend.domain import json_text
from synth_pools.backend.domain.definitions import merge_patch
from synth_pools.backend.storage.cursors import Cursors, ListPosition


@pytest.mark.parametrize(
    ("target", "patch", "result"),
    [
        # The test cases of RFC 7396, appendix A.
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        (["a", "b"], ["c", "d"], ["c", "d"]),
        ({"a": "b"}, ["c"], ["c"]),
        ({"a": "foo"}, None, None),
        ({"a": "foo"}, "bar", "bar"),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_patch(target: Any, patch: Any, result: Any) -> None:
    before = json.dumps([target, patch])
    assert merge_patch(target, patch) == result
    assert json.dumps([target, patch]) == before


def test_cursors_are_good_for_their_own_list_only() -> None:
    cursors = Cursors("00" * 32)
    for position in (
        *(ListPosition(seq) for seq in (0, 1, 2**63 - 1)),
        *(ListPosition(7, value) for value in (0.1, 1e300, "2026-11-20T09:30:00.000000Z")),
    ):
        cursor = cursors.issue("pools", position)
        assert len(cursor) <= 64
        assert cursors.read("pools", cursor) == position
        assert cursors.read("rollouts", cursor) is None
        assert Cursors("01" * 32).read("pools", cursor) is None
        for place in range(len(cursor)):
            changed = "A" if cursor[place] != "A" else "B"
            forged = cursor[:place] + changed + cursor[place + 1 :]
            assert cursors.read("pools", forged) is None


@pytest.mark.parametrize(
    "value",
    [
        None,
        [1.0, 1, -0.0, 1e-7, 1e300, 2**200, 0.1],
        "\u0000\udc00\ud800 \udfff ä \u2028 \U0001f600 \x7f",
        {"": {"": [[]]}, "ä": True, "\ud800": False},
    ],
)
def test_json_comes_back_as_it_went_in(value: Any) -> None:
    text = json_text.dumps(value)
    assert text.isascii()
    assert "\n" not in text
    again = json_text.loads(text.encode())
    assert again == value
    assert repr(again) == repr(value)


def test_equal_bodies_have_one_canonical_text() -> None:
    same = [
        '{"a":1,"b":[2.50,true]}',
        ' {"b" : [2.5, true], "a" : 1.0 }',
        '{"a":1e0,"b":[25e-1,true]}',
    ]
    assert len({json_text.canonical(json_text.loads(text.encode())) for text in same}) == 1
    different = ["1", "true", '"1"', "[1]", "1.5", "null", '{"a":1}', '{"a":true}']
    assert len({json_text.canonical(json_text.loads(text.encode())) for text in different}) == 8


@pytest.mark.parametrize("depth", [1, 100, 499, 500])
def test_depth_is_counted_in_containers(depth: int) -> None:
    fits = "[" * depth + "1" + "]" * depth
    assert json_text.loads(fits.encode())
    with pytest.raises(json_text.BrokenJsonError, match="deep"):
        json_text.loads(b'{"a":' * 250 + b"[" * 251 + b"]" * 251 + b"}" * 250)


def test_many_brackets_side_by_side_are_not_deep() -> None:
    assert len(json_text.loads(b"[" + b",".join([b"[{}]"] * 2000) + b"]")) == 2000
