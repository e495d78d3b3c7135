"""Reading and writing of HTTP archives (HAR 1.2)."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from synth_pools.contract.exceptions import UnjudgeableError
from synth_pools.contract.http.reproduce import masked_headers
from synth_pools.contract.results import Exchange, LongBody

_LARGEST = 1024 * 1024 * 1024
# A longer body is written as its size only.
_LONGEST_BODY = 1024 * 1024


def read_archive(file: Path) -> Iterator[Exchange]:
    """Read the exchanges of an archive, in its order; keys in it are masked.

    Exchanges with an incomplete response body are omitted: browsers and proxies cut long ones.

    Args:
        file: A HAR file of a browser, a proxy, a test tool or the kit.

    Raises:
        UnjudgeableError: The file cannot be read, or is no archive.
    """
    try:
        if file.stat().st_size > _LARGEST:
            raise UnjudgeableError(f"{file} is larger than {_LARGEST >> 20} MiB")
        entries = json.loads(file.read_text(encoding="utf-8-sig"))["log"]["entries"]
        if not isinstance(entries, list):
            raise TypeError("log.entries is no list")
    except OSError as error:
        raise UnjudgeableError(f"{file}: {error.strerror}") from None
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        line = " ".join(str(error).split())[:200]
        raise UnjudgeableError(f"{file} is no HAR file: {line}") from None
    for number, entry in enumerate(entries):
        try:
            exchange = _exchange(entry)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise UnjudgeableError(
                f"{file} is no HAR file: log.entries[{number}]: {type(error).__name__}: {error}"
            ) from None
        if exchange is not None:
            yield exchange


def archive_entry(exchange: Exchange, started: str) -> dict[str, Any]:
    """Return an exchange as an entry of an archive.

    Args:
        exchange: The exchange with a masked key.
        started: The time of its request, ISO 8601.
    """
    body = exchange.request_body
    is_short = len(exchange.response_body) <= _LONGEST_BODY
    request: dict[str, Any] = {
        "method": exchange.method,
        "url": exchange.url,
        "httpVersion": "HTTP/1.1",
        "headers": _pairs(exchange.request_headers),
        "queryString": [],
        "cookies": [],
        "headersSize": -1,
        "bodySize": -1 if body is None else body.size if isinstance(body, LongBody) else len(body),
    }
    if isinstance(body, bytes):
        media_type = dict(exchange.request_headers).get("content-type", "")
        request["postData"] = {"mimeType": media_type, **_content(body)}
    return {
        "startedDateTime": started,
        "time": exchange.elapsed * 1000,
        "request": request,
        "response": {
            "status": exchange.status or 0,
            "statusText": "",
            "httpVersion": "HTTP/1.1",
            "headers": _pairs(exchange.response_headers),
            "cookies": [],
            "content": {
                "size": len(exchange.response_body),
                "mimeType": exchange.header("content-type") or "",
                **(_content(exchange.response_body) if is_short else {}),
            },
            "redirectURL": "",
            "headersSize": -1,
            "bodySize": len(exchange.response_body),
            "_error": exchange.trouble,
        },
        "cache": {},
        "timings": {"send": 0, "wait": exchange.elapsed * 1000, "receive": 0},
    }


def _exchange(entry: Mapping[str, Any]) -> Exchange | None:
    """Read an exchange; None if the body of its response is incomplete."""
    request, response = entry["request"], entry["response"]
    content = response.get("content") or {}
    posted = request.get("postData") or {}
    status = int(response["status"])
    body, size = _body(content), content.get("size")
    if isinstance(size, int) and len(body) < size:
        return None
    return Exchange(
        method=str(request["method"]).upper(),
        url=str(request["url"]),
        request_headers=_headers(request.get("headers") or ()),
        request_body=_body(posted) if "text" in posted else None,
        # A browser writes 0 for no response.
        status=status or None,
        response_headers=_headers(response.get("headers") or ()),
        response_body=body,
        elapsed=float(entry.get("time") or 0) / 1000,
        trouble=response.get("_error") or (None if status else "no response was recorded"),
    )


def _headers(headers: Any) -> tuple[tuple[str, str], ...]:
    pairs = [(str(header["name"]).lower(), str(header["value"])) for header in headers]
    # In HTTP/2 the first line becomes headers, such as ":path".
    return masked_headers(pair for pair in pairs if not pair[0].startswith(":"))


def _body(content: Mapping[str, Any]) -> bytes:
    text = str(content.get("text") or "")
    if content.get("encoding") != "base64":
        return text.encode("utf-8", "surrogatepass")
    try:
        return base64.b64decode(text)
    except binascii.Error as error:
        raise ValueError(f"a body is no base64: {error}") from None


def _content(body: bytes) -> dict[str, str]:
    try:
        return {"text": body.decode("utf-8")}
    except UnicodeDecodeError:
        return {"text": base64.b64encode(body).decode(), "encoding": "base64"}


def _pairs(headers: tuple[tuple[str, str], ...]) -> list[dict[str, str]]:
    return [{"name": name, "value": value} for name, value in headers]
