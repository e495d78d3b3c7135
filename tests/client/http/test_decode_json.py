"""Decoding of answers: what is installed changes how long it takes, and nothing else."""

from __future__ import annotations

import json
import sys
from importlib.util import find_spec
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth_pools._client.http import response_reader
from synth_pools._client.http.response_reader import decode_json
from synth_pools.spec import load_spec

pytestmark = pytest.mark.skipif(find_spec("msgspec") is None, reason="needs msgspec")

VALUES: st.SearchStrategy[Any] = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-(10**40), 10**40)
    | st.floats()
    | st.text(st.characters())
    | st.text('ab\\"/\ud800\udc00\u2028\x7f\x00'),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=40,
)


@pytest.fixture(autouse=True, scope="module")
def _everything_is_large() -> Any:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(response_reader, "_LARGE", 0)
        yield


def same(content: bytes) -> None:
    """Compare both decoders, by what `repr` shows: 1 is not 1.0, and NaN is NaN."""
    try:
        expected = repr(json.loads(content))
    except (ValueError, RecursionError) as error:
        with pytest.raises(type(error)):
            decode_json(content)
    else:
        assert repr(decode_json(content)) == expected


@given(VALUES, st.booleans())
def test_what_can_be_written(value: Any, is_ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii)
    same(text.encode("utf-8", "surrogatepass"))


@given(
    st.lists(
        st.sampled_from([*"0123456789", *'+-.eE \t\n\r\f[]{},:"\\u', "NaN", "Infinity", "true"]),
        max_size=24,
    )
)
def test_what_may_be_no_json(pieces: list[str]) -> None:
    same("".join(pieces).encode())


@given(st.binary(max_size=24))
def test_what_is_hardly_text(content: bytes) -> None:
    same(content)


@pytest.mark.parametrize(
    "text",
    [
        "NaN",
        "-Infinity",
        "1e400",
        "-1e400",
        "1e-400",
        "5e-324",
        "1.7976931348623159e308",
        "0.1000000000000000055511151231257827",
        "9007199254740993.0",
        "18446744073709551616",
        "-9223372036854775809",
        "1" * 4000,
        "1" * 5000,
        "-0",
        "-0.0",
        '"\\ud800"',
        '{"a": 1, "b": 2, "a": 3}',
        "\ufeff{}",
        "[" * 900 + "]" * 900,
        "[" * 100_000,
        "{} {}",
    ],
    ids=lambda text: text[:12],
)
def test_what_decoders_differ_in(text: str) -> None:
    same(text.encode())
    same(text.encode("utf-16"))


def examples(document: Any) -> list[Any]:
    if isinstance(document, list):
        return [each for value in document for each in examples(value)]
    if not isinstance(document, dict):
        return []
    found = [document["example"]] if "example" in document else []
    if isinstance(several := document.get("examples"), dict):
        found += [each["value"] for each in several.values() if "value" in each]
    return found + [each for value in document.values() for each in examples(value)]


def test_every_example_of_the_contract() -> None:
    found = examples(load_spec())
    assert len(found) > 20
    for value in found:
        same(json.dumps(value, default=str).encode())


def test_large_answers_are_decoded_by_it() -> None:
    assert response_reader.fast_decoder() is sys.modules["msgspec.json"].decode
