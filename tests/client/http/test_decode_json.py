"""Decoding of answers: msgspec changes the time that it takes, and nothing else."""

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


def check_same(content: bytes) -> None:
    """Compare the results of both decoders by their `repr`: 1 is not 1.0, and NaN is NaN."""
    try:
        expected = repr(json.loads(content))
    except (ValueError, RecursionError) as error:
        with pytest.raises(type(error)):
            decode_json(content)
    else:
        assert repr(decode_json(content)) == expected


@given(VALUES, st.booleans())
def test_valid_json(value: Any, is_ascii: bool) -> None:
    text = json.dumps(value, ensure_ascii=is_ascii)
    check_same(text.encode("utf-8", "surrogatepass"))


@given(
    st.lists(
        st.sampled_from([*"0123456789", *'+-.eE \t\n\r\f[]{},:"\\u', "NaN", "Infinity", "true"]),
        max_size=24,
    )
)
def test_text_that_may_not_be_json(pieces: list[str]) -> None:
    check_same("".join(pieces).encode())


@given(st.binary(max_size=24))
def test_arbitrary_bytes(content: bytes) -> None:
    check_same(content)


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
def test_values_that_decoders_treat_differently(text: str) -> None:
    check_same(text.encode())
    check_same(text.encode("utf-16"))


def examples(document: Any) -> list[Any]:
    if isinstance(document, list):
        return [example for value in document for example in examples(value)]
    if not isinstance(document, dict):
        return []
    values = [document["example"]] if "example" in document else []
    if isinstance(named_examples := document.get("examples"), dict):
        values += [example["value"] for example in named_examples.values() if "value" in example]
    return values + [example for value in document.values() for example in examples(value)]


def test_every_example_of_the_contract() -> None:
    values = examples(load_spec())
    assert len(values) > 20
    for value in values:
        check_same(json.dumps(value, default=str).encode())


def test_large_answers_are_decoded_by_it() -> None:
    assert response_reader.fast_decoder() is sys.modules["msgspec.json"].decode
