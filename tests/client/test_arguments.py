"""Arguments that are refused before anything is sent."""

from __future__ import annotations

import datetime
import logging
import math
from types import MappingProxyType
from typing import Any

import pytest

from synth_pools import (
    CANONICAL_ROLLOUT_REQUEST_KEYS,
    PoolTarget,
    RequestValidationError,
    validate_pool_rollout_request,
)
from synth_pools._client.arguments import (
    check_idempotency_key,
    definition_body,
    edit_distance,
    encode_json,
    format_seconds,
    path_segment,
    query_int,
    query_text,
    request_body,
)
from synth_pools._client.typed import check_arguments
from synth_pools_api.operations import OPERATIONS


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (600, "600"),
        (6.71234, "6.7"),
        (2.0, "2"),
        (0.25, "0.25"),
        (0.123456, "0.12"),
        (1e9, "1000000000"),
        (86_400.04, "86400"),
    ],
)
def test_seconds_in_messages(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text


def test_there_are_twenty_three_canonical_keys() -> None:
    # Three came with 1.3.0: labels, priority and run.
    assert len(CANONICAL_ROLLOUT_REQUEST_KEYS) == 23
    assert isinstance(CANONICAL_ROLLOUT_REQUEST_KEYS, frozenset)
    validate_pool_rollout_request(dict.fromkeys(CANONICAL_ROLLOUT_REQUEST_KEYS))
    validate_pool_rollout_request({}, context="anything")


def test_unsupported_keys_are_listed_sorted() -> None:
    request = {"zebra": 1, "seed": 1, "apple": 2, "Mango": 3}
    with pytest.raises(ValueError, match=r"pools\.x.*: Mango, apple, zebra ") as caught:
        validate_pool_rollout_request(request, context="pools.x")
    assert isinstance(caught.value, RequestValidationError)


def test_keys_that_are_no_strings_are_listed_too() -> None:
    request: Any = {1: "x", None: "y", ("a", "b"): "z"}
    with pytest.raises(ValueError, match=r"\('a', 'b'\), 1, None"):
        validate_pool_rollout_request(request)


@pytest.mark.parametrize("request_", [None, "seed", ["seed"], 7, [("seed", 1)]])
def test_what_is_no_mapping_is_refused(request_: Any) -> None:
    with pytest.raises(RequestValidationError, match="must be a mapping"):
        validate_pool_rollout_request(request_)
    with pytest.raises(RequestValidationError, match="request must be a mapping"):
        request_body(request_)


def test_a_body_is_the_callers_own_object() -> None:
    request = {"b": 1, "a": None}
    assert request_body(request).to_dict() is request
    assert request_body(MappingProxyType(request)).to_dict() == request


@pytest.mark.parametrize("value", ["", " ", "\t\n", "\u00a0", ".", ".."])
def test_ids_that_would_change_the_url_are_refused(value: str) -> None:
    with pytest.raises(ValueError, match="pool_id must not be"):
        path_segment(value, "pool_id")


@pytest.mark.parametrize("value", [None, 7, b"pool", ["pool"], object()])
def test_ids_that_are_no_strings_are_refused(value: Any) -> None:
    with pytest.raises(RequestValidationError, match="task_id must be a string"):
        path_segment(value, "task_id")


@pytest.mark.parametrize("value", ["a", "...", "a/../b", "a b", "%2e%2e", "ü", "~", " a "])
def test_other_ids_are_taken_as_they_are(value: str) -> None:
    assert path_segment(value, "pool_id") == value


def test_an_enumeration_stands_for_its_value() -> None:
    assert path_segment(PoolTarget.HARBOR, "pool_id") == "harbor"
    assert query_text(PoolTarget.HARBOR, "state") == "harbor"
    assert encode_json({"target": PoolTarget.HARBOR}) == b'{"target":"harbor"}'


def test_half_a_surrogate_pair_is_refused_where_it_stands() -> None:
    with pytest.raises(RequestValidationError, match="pool_id"):
        path_segment("a\ud800", "pool_id")
    with pytest.raises(RequestValidationError, match="cursor"):
        query_text("\udfff", "cursor")
    with pytest.raises(RequestValidationError, match=r"request\.env\.x"):
        encode_json({"env": {"x": "\ud800"}})


@pytest.mark.parametrize("value", [True, 1.0, "1", [1]])
def test_what_is_no_integer_is_refused(value: Any) -> None:
    with pytest.raises(RequestValidationError, match="limit must be an integer"):
        query_int(value, "limit")


def test_a_parameter_may_be_none() -> None:
    assert query_int(None, "limit") is None
    assert query_text(None, "state") is None
    assert check_idempotency_key(None) is None


@pytest.mark.parametrize("value", ["", "a b", "a\n", "é", "x" * 256, 7])
def test_what_is_no_idempotency_key_is_refused(value: Any) -> None:
    with pytest.raises(RequestValidationError, match="idempotency_key"):
        check_idempotency_key(value)


def test_idempotency_keys_are_taken_as_they_are() -> None:
    assert check_idempotency_key("x" * 255) == "x" * 255
    assert check_idempotency_key("x") == "x"
    assert check_idempotency_key("a-B_1:~!") == "a-B_1:~!"


def test_json_is_compact_utf8_in_the_callers_order() -> None:
    body = {"b": 1.0, "a": [None, True, 2**70, 1e-9], "ü": {"": "\u2028"}}
    encoded = encode_json(body)
    assert (
        encoded
        == '{"b":1.0,"a":[null,true,1180591620717411303424,1e-09],"ü":{"":"\u2028"}}'.encode()
    )


@pytest.mark.parametrize(
    ("body", "where"),
    [
        ({"env": {"reward": math.nan}}, r"request\.env\.reward .*"),
        ({"messages": [{"a": 1}, {"b": math.inf}]}, r"request\.messages\[1\]\.b "),
        ({"seed": {1, 2}}, r"request\.seed .*set"),
        ({"at": datetime.date(2026, 1, 1)}, r"request\.at .*date"),
        ({"raw": (1, b"x")}, r"request\.raw\[1\] .*bytes"),
        ({("a", 1): 1}, r"request cannot"),
        ({"a": {("a", 1): 1}}, r"request\.a cannot"),
    ],
)
def test_what_json_has_no_word_for_is_refused_where_it_stands(body: Any, where: str) -> None:
    with pytest.raises(ValueError, match=where) as caught:
        encode_json(body)
    assert isinstance(caught.value, RequestValidationError)


def test_what_has_no_end_is_refused() -> None:
    circle: dict[str, Any] = {}
    circle["self"] = circle
    with pytest.raises(RequestValidationError, match="cannot be sent as JSON"):
        encode_json(circle)
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    with pytest.raises(RequestValidationError, match="nested too deeply"):
        encode_json({"deep": deep})


@pytest.mark.parametrize(
    ("first", "second", "letters"),
    [
        ("", "", 0),
        ("", "abc", 3),
        ("task", "task", 0),
        ("task", "tasks", 1),
        ("task", "tusk", 1),
        # Two swapped letters are one mistake, also at the beginning.
        ("ab", "ba", 1),
        ("atsk", "task", 1),
        ("taks", "task", 1),
        ("abc", "cab", 2),
        ("kitten", "sitting", 3),
    ],
)
def test_how_far_two_words_are_apart(first: str, second: str, letters: int) -> None:
    assert edit_distance(first, second) == letters
    assert edit_distance(second, first) == letters


POOL_KEYS = OPERATIONS["create_pool"].body_keys


def misspelt(caplog: pytest.LogCaptureFixture, *keys: str) -> dict[str, str]:
    """Return the suggestions that are logged for misspelt keys of a pool."""
    caplog.clear()
    with caplog.at_level(logging.WARNING, logger="synth_pools"):
        definition_body(dict.fromkeys(keys), POOL_KEYS)
    lines = [record.getMessage().rstrip("?").split(" ") for record in caplog.records]
    return {line[0]: line[-2] for line in lines}


@pytest.mark.parametrize("key", sorted(name for name in POOL_KEYS if len(name) > 3))
def test_each_slip_of_a_finger_in_a_known_key_is_logged(
    caplog: pytest.LogCaptureFixture, key: str
) -> None:
    places = range(len(key) - 1)
    swapped = [key[:i] + key[i + 1] + key[i] + key[i + 2 :] for i in places]
    doubled = [key[:i] + key[i] + key[i:] for i in places]
    longer = [key + "s", key.upper(), key.title(), key.replace("_", "-")]
    shorter = [key[:i] + key[i + 1 :] for i in places]
    slips = [slip for slip in (*swapped, *doubled, *longer, *shorter) if slip not in POOL_KEYS]
    suggestions = misspelt(caplog, *slips)
    assert suggestions.keys() == set(slips)
    # `container_urs` has two similar names.
    assert all(edit_distance(slip.casefold(), suggestions[slip]) <= 1 for slip in slips)


def test_a_short_key_of_its_own_is_no_misspelt_one(caplog: pytest.LogCaptureFixture) -> None:
    keys = (
        "api", "code", "cpu", "di", "env", "gpu", "host", "idx", "ids", "image", "job", "kind",
        "key", "label", "labels", "mode", "note", "org", "owner", "pid", "port", "ram",
        "region", "run", "seed", "size", "tag", "tags", "team", "type", "uid", "uri", "url",
        "user", "version", "x", "",
    )  # fmt: skip
    assert misspelt(caplog, *keys) == {}
    assert misspelt(caplog, "ID", "nam", "nmae", "names", "task") == {
        "ID": "id",
        "nam": "name",
        "nmae": "name",
        "names": "name",
        "task": "tasks",
    }


def test_a_typed_argument_is_of_its_type() -> None:
    arguments = {"force": (bool, True), "deep": (bool, None), "limit": (int, 3)}
    assert check_arguments({}, arguments, {}) == {"force": True, "deep": None, "limit": 3}
    with pytest.raises(RequestValidationError, match="^force must be a bool, not str$"):
        check_arguments({}, {"force": (bool, "yes")}, {})
