"""Translation of the engine's checks, and the failures that the document excuses."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from synth_pools.contract.document import Document
from synth_pools.contract.fuzzing.engine import CheckedExchange, FailedCheck
from synth_pools.contract.results import Clause, Column, Departure, Exchange, Layer, shorten
from synth_pools.contract.rules.verdict import excerpt


@dataclass(frozen=True, slots=True)
class EngineCheck:
    """One check of the engine in the kit's report.

    Attributes:
        id: The id of the check.
        column: The column of the table.
        clause: The clause of the document.
        expected: The demand.
        cause: The check that reports the same defect, or "".
    """

    id: str
    column: Column
    clause: Clause
    expected: str
    cause: str = ""


# Media types, bodies and headers are judged by the kit's own rules, in every layer.
CHECKS: dict[str, EngineCheck] = {
    "not_a_server_error": EngineCheck(
        "schema.server_error",
        Column.STATUS,
        Clause("Errors", "no request makes the server fail"),
        "a status below 500",
    ),
    "positive_data_acceptance": EngineCheck(
        "schema.valid_accepted",
        Column.STATUS,
        Clause("Errors", "a request that the document calls valid is never answered 400 or 422"),
        "2xx, 403, 404 or 409",
    ),
    "negative_data_rejection": EngineCheck(
        "schema.invalid_refused",
        Column.ERRORS,
        Clause("Errors", "a request that does not match the document is refused"),
        "4xx",
    ),
    "unsupported_method": EngineCheck(
        "schema.method",
        Column.ERRORS,
        Clause("Errors", "a method that a path does not have is 405 with Allow"),
        "405 with Allow",
    ),
    "allow_header_conformance": EngineCheck(
        "schema.allow_names",
        Column.ERRORS,
        Clause("Errors", "Allow names the methods that the path has"),
        "Allow with the documented methods",
    ),
    "ignored_auth": EngineCheck(
        "schema.auth",
        Column.AUTH,
        Clause("Authentication", "a missing or wrong key is 401"),
        "401",
        "auth.refused",
    ),
    "use_after_free": EngineCheck(
        "schema.gone",
        Column.BEHAVIOUR,
        Clause("Tasks: states", "every operation on a deleted task is 404"),
        "404",
    ),
    "ensure_resource_availability": EngineCheck(
        "schema.there",
        Column.BEHAVIOUR,
        Clause("Rollouts: the two families", "what was created is found"),
        "what was just created",
    ),
}

# Checks by the document of another API, which promises nothing else of generated requests.
FOREIGN_CHECKS = ("not_a_server_error", "negative_data_rejection")

# Checks whose failures have separate causes in different operations.
_EACH = ("schema.valid_accepted", "schema.invalid_refused", "schema.gone", "schema.there")

# Documented errors of a container, which are not failures of the server.
_CONTAINER = re.compile(r"container_(unreachable|timeout|error)")


def is_excused(
    document: Document, checked: CheckedExchange, failed: FailedCheck, *, reads_keys: bool = True
) -> bool:
    """Return True if the document allows this failure of the engine.

    Args:
        document: The document.
        checked: The exchange.
        failed: The failure.
        reads_keys: Whether the server offers ``idempotency_keys``; without it no key is refused.
    """
    exchange = _shown(checked, failed)
    if document.is_absent(exchange.method, exchange.url):
        return True
    if failed.check == "not_a_server_error":
        return _may_fail(document, checked.operation, exchange)
    if failed.check == "negative_data_rejection" and not document.is_foreign:
        # The checks of keys judge a request without a key.
        unread = () if reads_keys else ("parameter `Idempotency-Key`",)
        operation = document.operations.get(checked.operation)
        if operation is not None and operation.request is None:
            # A form and bytes have no types that they could depart from.
            unread = (*unread, "in body")
        return any(text in failed.message for text in ("Missing `Authorization`", *unread))
    if failed.check == "positive_data_acceptance":
        # No pattern can say that a range ends after it begins.
        [step] = parse_qs(urlsplit(exchange.url).query).get("step", [""])[:1]
        first, _, last = step.partition("..")
        is_reversed = first.isdecimal() and last.isdecimal() and int(last) < int(first)
        return checked.operation == "get_global_rollout_trajectory" and is_reversed
    if failed.check == "use_after_free":
        # An archived pool stays readable; only a deleted task is unknown.
        deleted = [step for step in failed.related if step.method == "DELETE"]
        return not any("/tasks/" in step.url for step in deleted)
    if failed.check == "ensure_resource_availability":
        # Replacing a pool may remove a task, and a 404 may come from a container or from another id
        # in the body of a write.
        return (
            exchange.method != "GET" or "/tasks/" in exchange.url or "/container/" in exchange.url
        )
    return False


def departure_of(document: Document, checked: CheckedExchange, failed: FailedCheck) -> Departure:
    """Build the departure of a check that an exchange did not pass."""
    check = CHECKS[failed.check]
    exchange = _shown(checked, failed)
    before = tuple(step for step in failed.related if step is not exchange)
    operation = document.operations.get(checked.operation)
    section = f"{check.clause.section}, {operation.route}" if operation else check.clause.section
    gist = re.sub(r"[0-9]+", "*", failed.title)
    reason = shorten(" ".join(failed.message.split()), 300)
    cause = f"{check.id}|{checked.operation if check.id in _EACH else exchange.status}|{gist}"
    return Departure(
        check.id,
        checked.operation,
        Clause(section, check.clause.demand),
        check.expected,
        f"{excerpt(exchange)} ({failed.title}{f': {reason}' if reason else ''})",
        exchange,
        Layer.SCHEMA,
        check.column,
        before,
        cause=f"{check.cause}|{exchange.status}" if check.cause else cause,
    )


def _shown(checked: CheckedExchange, failed: FailedCheck) -> Exchange:
    """Return the request that shows a failure: the check's extra one, if there is one."""
    return failed.related[-1] if failed.related else checked.exchange


def _may_fail(document: Document, operation: str, exchange: Exchange) -> bool:
    # 501: not offered. 503 with Retry-After: busy or shutting down.
    if exchange.status == 501 or (exchange.status == 503 and exchange.header("retry-after")):
        return True
    described = document.operations.get(operation)
    if exchange.status not in (502, 504) or described is None or described.tag != "containers":
        return False
    try:
        body = json.loads(exchange.response_body)
    except (ValueError, RecursionError):
        return False
    envelope = body.get("error") if isinstance(body, dict) else None
    code = envelope.get("code") if isinstance(envelope, dict) else None
    return code is None or (isinstance(code, str) and bool(_CONTAINER.fullmatch(code)))
