"""Failures that the engine counts and the document excuses."""

from __future__ import annotations

import json

import pytest

from synth_pools.contract.fuzzing.checks import is_excused
from synth_pools.contract.fuzzing.engine import CheckedExchange, FailedCheck
from synth_pools.contract.results import Exchange
from tests.contract.harness.sessions import DOCUMENT

HOST = "http://h/v1"
POOL, TASK = f"{HOST}/pools/p", f"{HOST}/pools/p/tasks/t"
CONTAINER = f"{HOST}/pools/p/container/info"


def excused(
    check: str,
    *steps: Exchange,
    operation: str = "get_pool",
    message: str = "",
    reads_keys: bool = True,
) -> bool:
    """Judge a failure that the last of some requests shows."""
    failed = FailedCheck(check, "a title", message, steps)
    checked = CheckedExchange(operation, "fuzzing", steps[-1], (), ())
    return is_excused(DOCUMENT, checked, failed, reads_keys=reads_keys)


def failing(status: int, body: bytes = b"{}", **headers: str) -> Exchange:
    fields = tuple((name.replace("_", "-"), value) for name, value in headers.items())
    return Exchange("GET", POOL, status=status, response_headers=fields, response_body=body)


def error(code: object) -> bytes:
    return json.dumps({"error": {"code": code}}).encode()


@pytest.mark.parametrize(
    ("exchange", "expected"),
    [
        (failing(500), False),
        (failing(501), True),
        (failing(502), False),
        (failing(503), False),
        (failing(503, Retry_After="1"), True),
        (failing(502, Retry_After="1"), False),
    ],
)
def test_a_server_may_be_busy_or_not_offer_something(exchange: Exchange, expected: bool) -> None:
    assert excused("not_a_server_error", exchange) is expected
    # Operations outside the document are excused, too.
    assert excused("not_a_server_error", exchange, operation="no_such") is expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (error("container_unreachable"), True),
        (error("container_timeout"), True),
        (error("container_on_fire"), False),
        (error("internal_error"), False),
        (error(["container_timeout"]), False),
        # An error object with a code is demanded separately.
        (b'{"error": 1}', True),
        (b"[]", True),
        (b"<html>", False),
        (b"[" * 100_000, False),
    ],
)
def test_a_container_may_fail(body: bytes, expected: bool) -> None:
    name = "get_pool_container_info"
    for status in (502, 504):
        exchange = failing(status, body)
        assert excused("not_a_server_error", exchange, operation=name) is expected
        assert not excused("not_a_server_error", exchange)
    assert not excused("not_a_server_error", failing(500, body), operation=name)


def test_of_what_was_deleted_only_tasks_have_to_be_gone() -> None:
    read = Exchange("GET", POOL, status=200)
    assert excused("use_after_free", Exchange("DELETE", POOL), read)
    assert not excused("use_after_free", Exchange("DELETE", TASK), read)
    assert excused("use_after_free", Exchange("PUT", TASK), read)


def test_what_was_made_has_to_be_found_but_for_tasks_and_containers() -> None:
    check = "ensure_resource_availability"
    assert not excused(check, Exchange("GET", POOL, status=404))
    assert excused(check, Exchange("PATCH", POOL, status=404))
    assert excused(check, Exchange("GET", TASK, status=404))
    assert excused(check, Exchange("GET", CONTAINER, status=404))


def test_a_request_without_a_key_is_judged_elsewhere() -> None:
    check, read = "negative_data_rejection", Exchange("GET", POOL, status=200)
    assert excused(check, read, message="Missing `Authorization` header")
    assert not excused(check, read, message="Missing `limit`")


def test_an_invalid_key_is_refused_only_where_keys_are_read() -> None:
    check, created = "negative_data_rejection", Exchange("POST", f"{POOL}/rollouts", status=202)
    message = "Invalid component: parameter `Idempotency-Key` in header"
    assert not excused(check, created, message=message)
    assert excused(check, created, message=message, reads_keys=False)
    assert not excused(check, created, message="parameter `limit` in query", reads_keys=False)


def test_a_body_without_types_departs_from_none() -> None:
    check, message = "negative_data_rejection", "Invalid component: in body - a: Incorrect type"
    created = Exchange("POST", f"{HOST}/pools", status=201)
    assert not excused(check, created, operation="create_pool", message=message)
    # Without a body in JSON, as with a form.
    assert excused(check, created, operation="pause_pool", message=message)


def test_a_range_of_steps_may_be_refused_if_it_is_reversed() -> None:
    def is_excused(query: str, operation: str = "get_global_rollout_trajectory") -> bool:
        read = Exchange("GET", f"{HOST}/rollouts/r/trajectory{query}", status=422)
        return excused("positive_data_acceptance", read, operation=operation)

    assert is_excused("?step=10..9")
    assert not any(map(is_excused, ("", "?step=9..10", "?step=3..", "?step=3", "?step=..3")))
    assert not is_excused("?step=10..9", "get_global_rollout")


@pytest.mark.parametrize("check", ["positive_data_acceptance", "unsupported_method"])
def test_nothing_else_is_excused(check: str) -> None:
    assert not excused(check, Exchange("GET", POOL, status=422))
    # The departure shows the check's own request, not the one before it.
    assert excused("not_a_server_error", failing(500), failing(501))
