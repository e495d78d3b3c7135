"""Rules for one exchange: documented status, media type, schema and headers.

They judge every recorded exchange, whichever layer sent it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import urljoin, urlsplit

from synth_pools.contract.document import Document, DocumentedResponse, Operation, schema_name
from synth_pools.contract.results import Clause, Column, Exchange
from synth_pools.contract.rules.verdict import (
    NotJsonError,
    RuleResult,
    excerpt,
    media_type,
    response_json,
    show,
)

_ERRORS = Clause(
    "Errors",
    "every answer of 400 or more has a JSON body, an ErrorBody, and the header x-request-id",
)
# Answers to a wrong method and to a long head, and of a server that lacks the operation. The
# document's table of codes lists them for all operations.
_EVERYWHERE = frozenset({405, 431, 501})
_RETRY = Clause("Errors", "429 and 503 carry Retry-After")
_WARMING = Clause(ids="Pools: states#6441")
_CODES = Clause("Errors", "error.code has the status of its row, and retryable is what it says")
_LOCATION = Clause("headers Location", "where what was created can be read")
_CODED = Clause("Errors", "every body of an error has error, with a code")
_ORIGINS = Clause("Errors", "no answer allows other origins to read it")
_ALLOW = Clause("Errors", "a method that a path does not have is 405 with Allow")


def check_conformance(
    document: Document, operation: Operation | None, exchange: Exchange
) -> Iterator[RuleResult]:
    """Judge an exchange by the document.

    Args:
        document: The document.
        operation: The operation; None if the request addresses none; then only the rules for
            all responses apply.
        exchange: The exchange.

    Yields:
        The result of each rule.
    """
    status = exchange.status
    if status is None:
        return
    if document.describes_errors:
        yield _origins(exchange)
        if status >= 400:
            yield from _error_rules(document, exchange, status)
    if operation is None or (status in _EVERYWHERE and not document.is_foreign):
        return
    response = operation.response(status)
    yield _status(operation, exchange, status, response)
    if response is None:
        return
    yield from _headers(document, operation, exchange, response)
    if not document.is_foreign and "Location" in response.headers:
        yield from _location(exchange)
    if exchange.method == "HEAD" or (status >= 400 and not document.is_foreign):
        # The rules for all errors have judged the body, which is the same everywhere.
        return
    yield _media_type(operation, exchange, response)
    schema = response.schema(media_type(exchange))
    if schema is not None and _is_json(exchange) and schema.get("format") != "binary":
        yield from _schema(document, operation, exchange, schema, status)


def _is_json(exchange: Exchange) -> bool:
    return media_type(exchange).endswith(("/json", "+json"))


def _origins(exchange: Exchange) -> RuleResult:
    origins = exchange.header("access-control-allow-origin")
    return RuleResult(
        "schema.origins",
        Column.SCHEMA,
        _ORIGINS,
        "no header access-control-allow-origin",
        None if origins is None else f"access-control-allow-origin: {origins}",
        "schema.origins",
    )


def _status(
    operation: Operation, exchange: Exchange, status: int, response: DocumentedResponse | None
) -> RuleResult:
    statuses = ", ".join(operation.responses)
    return RuleResult(
        "schema.status",
        Column.STATUS,
        Clause(operation.route, "answers with a status that is listed"),
        f"one of {statuses}",
        None if response is not None else excerpt(exchange),
        f"schema.status|{status}",
    )


def _media_type(
    operation: Operation, exchange: Exchange, response: DocumentedResponse
) -> RuleResult:
    actual = media_type(exchange)
    return RuleResult(
        "schema.content_type",
        Column.SCHEMA,
        Clause(operation.route, f"{response.status} has the media type that is listed"),
        " or ".join(response.content) or "any",
        None
        if response.schema(actual) is not None or not response.content
        else f"{actual or 'no content type'}: {excerpt(exchange)}",
        f"schema.content_type|{response.status}|{actual}",
    )


def _headers(
    document: Document, operation: Operation, exchange: Exchange, response: DocumentedResponse
) -> Iterator[RuleResult]:
    for name, schema in response.headers.items():
        text = exchange.header(name)
        if text is None:
            judged = document.describes_errors and _is_judged_by_error_rules(exchange, name)
            if name in response.required_headers and not judged:
                yield RuleResult(
                    "schema.headers",
                    Column.SCHEMA,
                    Clause(operation.route, f"{response.status} has the header {name}"),
                    f"the header {name}",
                    f"no {name}: {excerpt(exchange)}",
                    f"schema.headers|{operation.id}|no {name}",
                    f"schema.headers|no {name}",
                )
            continue
        value: Any = text
        if schema.get("type") == "integer" and re.fullmatch(r"-?\d+", text):
            value = int(text)
        complaints = document.errors_by(schema, value)
        yield RuleResult(
            "schema.headers",
            Column.SCHEMA,
            Clause(operation.route, f"the header {name} is of its schema"),
            show(schema),
            f"{name}: {text}" if complaints else None,
            f"schema.headers|{name}",
        )


def _location(exchange: Exchange) -> Iterator[RuleResult]:
    location = exchange.header("location")
    if location is None:
        return
    below = f"{urlsplit(exchange.url)._replace(query='').geturl().rstrip('/')}/"
    yield RuleResult(
        "schema.location",
        Column.SCHEMA,
        _LOCATION,
        "Location, a path below the address that was called",
        None if urljoin(exchange.url, location).startswith(below) else f"Location: {location}",
        "schema.location",
    )


def _is_judged_by_error_rules(exchange: Exchange, name: str) -> bool:
    return (exchange.status or 0) >= 400 and name.lower() in ("x-request-id", "retry-after")


def _schema(
    document: Document,
    operation: Operation,
    exchange: Exchange,
    schema: Mapping[str, Any],
    status: int,
) -> Iterator[RuleResult]:
    name = schema_name(schema) or "the schema in place"
    clause = Clause(operation.route, f"{status} has a body of the schema {name}")
    try:
        flaws = document.flaws(schema, response_json(exchange))
    except NotJsonError as error:
        got = f"no JSON ({error}): {excerpt(exchange)}"
        cause = "schema.body|no JSON"
        yield RuleResult("schema.body", Column.SCHEMA, clause, f"JSON, {name}", got, cause)
        return
    rule = RuleResult("schema.body", Column.SCHEMA, clause, name, None)
    yield from _each_flaw(rule, flaws, f"schema.body|{name}")


def _each_flaw(rule: RuleResult, flaws: Mapping[str, str], cause: str) -> Iterator[RuleResult]:
    """Yield a result for each flaw; one that held if there is none."""
    if not flaws:
        yield rule
    for flaw, complaint in flaws.items():
        yield replace(rule, got=complaint, cause=f"{cause}|{flaw}")


def _error_rules(document: Document, exchange: Exchange, status: int) -> Iterator[RuleResult]:
    if exchange.method == "HEAD":
        return
    flaws = _error_flaws(document, exchange)
    expected = "application/json, ErrorBody"
    rule = RuleResult("schema.error_body", Column.ERRORS, _ERRORS, expected, None)
    yield from _each_flaw(rule, flaws, "schema.error_body")
    if not flaws:
        yield from _code_rules(document, exchange, status)
    yield _required("schema.request_id", "x-request-id", _ERRORS, exchange)
    if status in (429, 503):
        result = _required("schema.retry_after", "Retry-After", _RETRY, exchange)
        yield replace(result, cause=f"schema.retry_after|{status}")
    if status == 405:
        yield _required("schema.allow", "Allow", _ALLOW, exchange)


def _required(check: str, header: str, clause: Clause, exchange: Exchange) -> RuleResult:
    got = None if exchange.header(header) else f"no {header}: {excerpt(exchange)}"
    return RuleResult(check, Column.ERRORS, clause, f"the header {header}", got, check)


def _code_rules(document: Document, exchange: Exchange, status: int) -> Iterator[RuleResult]:
    body = response_json(exchange)
    envelope = body.get("error") if isinstance(body, dict) else None
    code = envelope.get("code") if isinstance(envelope, dict) else None
    yield RuleResult(
        "schema.coded",
        Column.ERRORS,
        _CODED,
        "a code, in error.code",
        None if isinstance(code, str) else excerpt(exchange),
        "schema.coded",
    )
    if not isinstance(code, str) or code not in document.error_codes:
        return
    expected, retryable = document.error_codes[code]
    yield RuleResult(
        "schema.code",
        Column.ERRORS,
        _CODES,
        f"{expected} with the code {code}",
        None if status == expected else excerpt(exchange),
        f"schema.code|{code}",
    )
    actual = envelope.get("retryable") if isinstance(envelope, dict) else None
    if code == "pool_not_active" and actual is True:
        result = _required("schema.retry_after", "Retry-After", _WARMING, exchange)
        yield replace(result, cause="schema.retry_after|409")
    if retryable is not None and isinstance(actual, bool):
        yield RuleResult(
            "schema.retryable",
            Column.ERRORS,
            _CODES,
            f"retryable {str(retryable).lower()} with the code {code}",
            None if actual is retryable else f"{str(actual).lower()}: {excerpt(exchange)}",
            f"schema.retryable|{code}",
        )


def _error_flaws(document: Document, exchange: Exchange) -> dict[str, str]:
    """Return a complaint about the body of an error for each of its flaws."""
    text = excerpt(exchange)
    if media_type(exchange) != "application/json":
        actual = media_type(exchange) or "no content type"
        return {actual: f"{actual}: {text}"}
    try:
        value = response_json(exchange)
    except NotJsonError as error:
        return {"no JSON": f"no JSON ({error}): {text}"}
    flaws = document.flaws({"$ref": "#/components/schemas/ErrorBody"}, value)
    return {flaw: f"{complaint}: {text}" for flaw, complaint in flaws.items()}
