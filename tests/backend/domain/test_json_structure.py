"""Counting values and levels before parsing: never fewer than there are, whatever hides them."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest

from synth_pools.backend.domain import json_text
from synth_pools.backend.domain.json_text import BrokenJsonError, TooLargeJsonError, require_within

HIDING = ['"', "\\", '\\"', "[", "]", "{", "}", ",", ":", "\\\\", "é", "\ud83d", "a"]


def values_of(value: Any) -> int:
    inner = list(value.values()) if isinstance(value, dict) else value
    return 1 + sum(map(values_of, inner)) if isinstance(inner, list) else 1


def depth_of(value: Any) -> int:
    inner = list(value.values()) if isinstance(value, dict) else value
    return 1 + max(map(depth_of, inner), default=0) if isinstance(inner, list) else 0


def some_value(chance: random.Random, level: int = 0) -> Any:
    kind = chance.randrange(6 if level < 5 else 3)
    text = "".join(chance.choices(HIDING, k=chance.randrange(6)))
    if kind == 3:
        return [some_value(chance, level + 1) for _ in range(chance.randrange(5))]
    if kind > 3:
        return {text + str(n): some_value(chance, level + 1) for n in range(chance.randrange(5))}
    return text if kind else chance.choice([None, True, -1.5e-7, 12])


@pytest.fixture(params=[2, 3, 64 * 1024])
def parts(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scan a few bytes at a time, so that every text is cut at every place."""
    monkeypatch.setattr(json_text, "_SCANNED_AT_ONCE", request.param)


@pytest.mark.usefixtures("parts")
@pytest.mark.parametrize("seed", range(40))
def test_the_bounds_are_exact_to_the_value_and_the_level(seed: int) -> None:
    value = [some_value(random.Random(seed))]
    number, depth = values_of(value), depth_of(value)
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        raw = text.encode("utf-8", "surrogatepass")
        require_within(raw, number + _empty(value), depth)
        with pytest.raises(TooLargeJsonError):
            require_within(raw, number - 1, 500)
        with pytest.raises(BrokenJsonError, match="nested more than"):
            require_within(raw, number + _empty(value), depth - 1)


def _empty(value: Any) -> int:
    """Count the containers without a value, whose brackets count as if they had one."""
    inner = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(inner, list):
        return 0
    return sum(map(_empty, inner)) if inner else 1


@pytest.mark.parametrize(
    "text",
    [
        '["' + ",[{" * 5000 + '"]',
        '["' + '\\"' * 5000 + '"]',
        '["' + "\\\\" * 40_000 + '"]',
        '["' + "\\\\" * 40_000 + '\\",,,,"]',
        '{"' + "[" * 5000 + '":1}',
    ],
)
def test_a_text_is_one_value_whatever_it_says(text: str) -> None:
    require_within(text.encode(), 10, 5)


@pytest.mark.parametrize("opening", ["[", '{"a":', '["\\\\",[', '["\\"",['])
def test_depth_is_refused_before_it_is_parsed(opening: str) -> None:
    with pytest.raises(json_text.BrokenJsonError, match="500 levels deep"):
        json_text.loads(opening.encode() * 100_000)


def test_too_many_values_are_refused_before_they_are_parsed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    raw = b'{"a":[' + b"[]," * 1000 + b"1]}"
    assert len(json_text.loads(raw, most_values=3000)["a"]) == 1001
    monkeypatch.setattr(json_text, "_DECODER", None)
    with pytest.raises(json_text.TooLargeJsonError, match="more than 1000 JSON values"):
        json_text.loads(raw, most_values=1000)
