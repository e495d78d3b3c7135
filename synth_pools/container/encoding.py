"""JSON of any value: what JSON lacks is replaced, and never an error."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import mimetypes
import re
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path, PurePath
from typing import Any

# Deeper values are written as a text.
_DEEPEST = 100
# A pool reads no answer of more levels than 500; that of a rollout adds a few.
_DEEPEST_READ = 400
_STRING = re.compile(r'"(?:[^"\\]|\\.)*"')
_NO_BRACKET = re.compile(r"[^\[\]{}]+")


def write_json(value: Any) -> str:
    """Write a value as ASCII JSON.

    Arrays and scalars of numpy and torch become lists and numbers, dataclasses and pydantic models
    objects, NaN and infinity null, and anything else its `repr`.
    """
    try:
        text = json.dumps(value, default=_plain, allow_nan=False, separators=(",", ":"))
        if not _is_deep(text):
            return text
    # Keys other than texts, NaN, a circle, or a dictionary that another thread changes.
    except (TypeError, ValueError, RuntimeError):
        pass
    return json.dumps(_clean(value, ()), separators=(",", ":"))


def _is_deep(text: str) -> bool:
    """Return True for more levels than are read; how many Python writes depends on its release."""
    if text.count("[") + text.count("{") <= _DEEPEST_READ:
        return False
    brackets = _NO_BRACKET.sub("", _STRING.sub("", text)).replace("{", "[").replace("}", "]")
    for _ in range(_DEEPEST_READ):
        if not brackets:
            return False
        brackets = brackets.replace("[]", "")
    return bool(brackets)


def write_artifact(name: str, content: Any, **fields: Any) -> str:
    """Write an artifact as containers answer with it; the arguments are those of `Rollout`."""
    fields = {key: value for key, value in fields.items() if value is not None}
    kind = "text/plain"
    if isinstance(content, PurePath):
        content = Path(content).read_bytes()
    if isinstance(content, bytes | bytearray | memoryview):
        content, kind = base64.b64encode(content).decode(), "application/octet-stream"
        fields["content_encoding"] = "base64"
    elif not isinstance(content, str):
        content, kind = write_json(content), "application/json"
    kind = mimetypes.guess_type(name)[0] or kind
    return write_json({"artifact_name": name, "content_type": kind, **fields, "content": content})


def _plain(value: Any) -> Any:
    """Replace a value that JSON lacks by one that it has, or nearly so."""
    try:
        for method in ("tolist", "model_dump"):
            if callable(function := getattr(type(value), method, None)):
                return function(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {item.name: getattr(value, item.name) for item in dataclasses.fields(value)}
        if isinstance(value, Mapping):
            return dict(value)
        if isinstance(value, AbstractSet):
            return list(value)
        return str(value) if isinstance(value, PurePath) else repr(value)
    except Exception:  # noqa: BLE001 - code of others
        return f"<{type(value).__name__}>"


def _clean(value: Any, parents: tuple[int, ...]) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        # Longer ones cannot be written in decimal digits.
        return value if value.bit_length() < 4096 else hex(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if id(value) in parents or len(parents) > _DEEPEST:
        return f"<{type(value).__name__}>"
    parents = (*parents, id(value))
    if isinstance(value, dict):
        return {str(key): _clean(item, parents) for key, item in list(value.items())}
    if isinstance(value, list | tuple):
        return [_clean(item, parents) for item in list(value)]
    return _clean(_plain(value), parents)
