"""Conversion of errors to JSON and back, for the journal.

Pickle is not used: a journal file must not be able to run code.
"""

from __future__ import annotations

import json
from typing import Any

from synth_pools import errors
from synth_pools._client.http.error_mapping import status_error
from synth_pools.errors import APIStatusError, SynthPoolsError

# Headers that the error is made from. The others may be private, and are not stored in a file.
_HEADERS = frozenset({"x-request-id", "retry-after", "content-type", "location"})

_CLASSES: dict[str, type[SynthPoolsError]] = {
    name: value
    for name, value in vars(errors).items()
    if isinstance(value, type) and issubclass(value, SynthPoolsError)
}


def to_json(error: Exception) -> dict[str, Any]:
    """Convert an error to JSON."""
    stored: dict[str, Any] = {"type": type(error).__name__, "text": str(error)}
    if isinstance(error, APIStatusError):
        response = error.response
        stored["answer"] = {
            "method": error.method,
            "url": str(response.request.url),
            "path": error.path,
            "status_code": error.status_code,
            "headers": [pair for pair in response.headers.items() if pair[0].lower() in _HEADERS],
            "content": response.content.decode("utf-8", "replace"),
        }
    elif isinstance(error, SynthPoolsError):
        stored["fields"] = _plain(error._fields())
    return stored


def from_json(stored: dict[str, Any]) -> Exception:
    """Convert JSON back to the error; without stored details to a plain `SynthPoolsError`."""
    text, answer, fields = stored.get("text"), stored.get("answer"), stored.get("fields")
    try:
        if isinstance(answer, dict):
            return _status_error(answer)
        if isinstance(fields, dict):
            return _CLASSES[str(stored.get("type"))](str(text), **fields)
    except (KeyError, TypeError, ValueError, AttributeError):
        pass
    return SynthPoolsError(f"{stored.get('type')}: {text}")


def _status_error(answer: dict[str, Any]) -> APIStatusError:
    headers = [(str(name).encode(), str(value).encode()) for name, value in answer["headers"]]
    return status_error(
        method=answer["method"],
        url=answer["url"],
        path=answer["path"],
        status_code=answer["status_code"],
        headers=headers,
        content=answer["content"].encode(),
    )


def _plain(fields: dict[str, Any]) -> Any:
    return json.loads(json.dumps(fields, default=str))
