"""Errors for failed requests, from answers and from failed exchanges. No I/O.

An error replaces the engine's exception and does not refer to it: the
module `secret` says why.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Any, NamedTuple

from synth_pools._client.arguments import format_seconds
from synth_pools._client.http import URL, Request, Response
from synth_pools._client.http.messages import ExchangeError
from synth_pools._client.http.request_builder import redirect_target
from synth_pools._client.http.retry import parse_retry_after
from synth_pools.errors import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    ResponseDecodeError,
    error_class,
)

_LONGEST_MESSAGE = 500
_LONGEST_EXCERPT = 200
_MOST_FIELDS = 10
# The title of a page is near its beginning, and some pages have many megabytes.
_SEARCHED_TEXT = 65_536
# Headers that do not describe the decoded body.
_HEADERS_OF_THE_TRANSFER = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})

_TIMEOUT_WORDS = {
    "ConnectTimeout": "no connection to {origin} within {limit} s",
    "WriteTimeout": "{origin} did not take the request within {limit} s",
    "ReadTimeout": "{origin} sent nothing for {limit} s",
    "PoolTimeout": "all connections of this client stayed in use for {limit} s",
}


class _Report(NamedTuple):
    message: str
    code: str | None = None
    request_id: str | None = None
    retry_after: float | None = None


def status_error(
    *,
    method: str,
    url: str,
    path: str,
    status_code: int,
    headers: Iterable[tuple[bytes, bytes]],
    content: bytes,
) -> APIStatusError:
    """Return the error for an answer whose status is not a success."""
    response = Response(
        status_code,
        headers=[pair for pair in headers if pair[0].lower() not in _HEADERS_OF_THE_TRANSFER],
        content=content,
        request=Request(method, url),
    )
    body = _parse(content)
    report = _report(body)
    if response.has_redirect_location:
        location = response.headers["location"]
        problem = (
            "redirects are not followed, but of GET within one origin, 20 at most (this one"
            if redirect_target(method, url, location) is None
            else "too many redirects: 20 were followed (the next one"
        )
        report = report._replace(message=f"{problem}: {_one_line(location.partition('?')[0])})")
    request_id = response.headers.get("x-request-id") or report.request_id
    retry_after = parse_retry_after(
        response.headers.get("retry-after"), response.headers.get("date")
    )
    text = f"{response.request.method} {path} -> {status_code}"
    label = report.code or response.reason_phrase
    if label:
        text += f" {label}"
    text += f": {report.message}"
    if request_id:
        text += f" (request id {_one_line(request_id)})"
    return error_class(status_code)(
        text,
        message=report.message,
        code=report.code,
        request_id=request_id,
        body=body,
        retry_after=report.retry_after if retry_after is None else retry_after,
        path=path,
        response=response,
    )


def decode_error(
    problem: str,
    *,
    method: str,
    path: str,
    status_code: int,
    request_id: str | None,
    content: bytes,
) -> ResponseDecodeError:
    """Return the error for a successful answer that cannot be read because of ``problem``."""
    excerpt = content[:_LONGEST_EXCERPT].decode("utf-8", "replace")
    text = f"{method} {path} -> {status_code}: {problem}"
    if excerpt:
        text += f"; it begins with {excerpt!r}"
    if request_id:
        text += f" (request id {_one_line(request_id)})"
    return ResponseDecodeError(
        text,
        excerpt=excerpt,
        status_code=status_code,
        method=method,
        path=path,
        request_id=request_id,
    )


def connection_error(
    error: ExchangeError,
    *,
    method: str,
    url: str,
    path: str,
    limit: float,
    problem: str = "no answer from {origin}",
) -> APIConnectionError:
    """Return the error to raise in place of ``error``, outside of the ``except`` block.

    Args:
        error: The failure of the engine.
        method: HTTP method of the request.
        url: Full URL of the request.
        path: Its path, for the text.
        limit: Time limit that was in force, in seconds.
        problem: Description of the failure, for the text.
    """
    cause, sent = error.cause, error.sent
    origin = _origin(url)
    if error.is_timeout:
        words = _TIMEOUT_WORDS.get(cause, "{origin} took longer than {limit} s")
        words = words.format(origin=origin, limit=format_seconds(limit))
        text = f"{method} {path} -> {words} ({cause})"
        return APITimeoutError(text, method=method, url=url, path=path, cause=cause, sent=sent)
    text = f"{method} {path} -> {problem.format(origin=origin)}: {cause}"
    for detail in error.details:
        text += f": {detail}"
    return APIConnectionError(text, method=method, url=url, path=path, cause=cause, sent=sent)


def deadline_error(
    *, method: str, url: str, path: str, deadline: float, attempt: int
) -> APITimeoutError:
    """Return the error for a call that its deadline ended."""
    text = (
        f"{method} {path} -> not answered by {_origin(url)} within the deadline of"
        f" {format_seconds(deadline)} s"
    )
    if attempt > 1:
        text += f", in {attempt} attempts"
    return APITimeoutError(text, method=method, url=url, path=path, cause="DeadlineExceeded")


def _parse(content: bytes) -> Any:
    if not content:
        return None
    try:
        return json.loads(content)
    except (ValueError, RecursionError):
        return content.decode("utf-8", "replace")


def _report(body: Any) -> _Report:
    if body is None:
        return _Report("the answer has no body")
    if isinstance(body, dict):
        return _report_of_object(body)
    if isinstance(body, str):
        return _Report(_line_of_text(body))
    return _Report(_fields_text(body) or _compact(body))


def _report_of_object(body: dict[str, Any]) -> _Report:
    # A body may carry the same error twice, in the newer `detail` and in the older `error`.
    envelope = body.get("error")
    detail = body.get("detail")
    parts = [part for part in (envelope, detail, body) if isinstance(part, dict)]
    fields = _fields_text(detail)
    if not fields and isinstance(envelope, dict):
        fields = _fields_text(envelope.get("details"))
    text = _first_text([detail, *[_message_of(part) for part in parts], envelope])
    return _Report(
        message=fields
        or (
            _one_line(text)
            if text
            else _compact(detail if isinstance(detail, dict) and detail else body)
        ),
        code=_first_text([part.get("code") for part in parts]),
        request_id=_first_text([part.get("request_id") for part in parts]),
        retry_after=_milliseconds([part.get("retry_after_ms") for part in parts]),
    )


def _message_of(part: dict[str, Any]) -> str | None:
    return _first_text([part.get(key) for key in ("message", "detail", "msg", "error", "title")])


def _first_text(values: Iterable[Any]) -> str | None:
    return next((value for value in values if isinstance(value, str) and value.strip()), None)


def _milliseconds(values: Iterable[Any]) -> float | None:
    for value in values:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if number and 0 <= value <= 1e15:
            return float(value) / 1000
    return None


def _fields_text(items: Any) -> str | None:
    """Write ``[{"loc": ["body", "name"], "msg": "is missing"}]`` as ``body.name: is missing``."""
    if not isinstance(items, list) or not items:
        return None
    lines = [_field_text(item) for item in items[:_MOST_FIELDS]]
    if len(items) > _MOST_FIELDS:
        lines.append(f"and {len(items) - _MOST_FIELDS} more")
    return _one_line("; ".join(lines), limit=_LONGEST_MESSAGE * 2)


def _field_text(item: Any) -> str:
    if isinstance(item, str):
        return item
    if not isinstance(item, dict):
        return _compact(item)
    message = _first_text([item.get("msg"), item.get("message")]) or _compact(item)
    location = item.get("loc", item.get("field"))
    if isinstance(location, list):
        location = ".".join(str(step) for step in location)
    return f"{location}: {message}" if isinstance(location, str) and location else message


def _line_of_text(text: str) -> str:
    """Return the first line of a plain text, or the title of a web page."""
    text = text[:_SEARCHED_TEXT]
    if text.lstrip().startswith("<"):
        title = re.search(r"<(title|h1)\b[^>]*>(.*?)</\1", text, re.IGNORECASE | re.DOTALL)
        text = _one_line(title[2]) if title else re.sub(r"<[^>]*>", " ", text)
    line = next((line for line in text.splitlines() if line.strip()), "")
    return _one_line(line) or "the answer says nothing readable"


def _compact(value: Any) -> str:
    try:
        return _one_line(json.dumps(value, ensure_ascii=False))
    except RecursionError:
        return "the answer is nested too deeply to be shown"


def _one_line(text: str, *, limit: int = _LONGEST_MESSAGE) -> str:
    text = "".join(character if character.isprintable() else " " for character in text[: limit * 4])
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _origin(url: str) -> str:
    parts = URL(url)
    return f"{parts.scheme}://{parts.netloc.decode('ascii')}"
