"""JSON of any value: what JSON lacks is replaced, and never an error."""

from __future__ import annotations

import base64
import dataclasses
import json
import math
import mimetypes
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from pathlib import Path, PurePath
from typing import Any

# Deeper values are written as a text.
_DEEPEST = 100


def write_json(value: Any) -> str:
    """Write a value as ASCII JSON.

    Arrays and scalars of numpy and torch become lists and numbers, dataclasses and pydantic models
    objects, NaN and infinity null, and anything else its `repr`.
    """
    try:
        return json.dumps(value, default=_plain, allow_nan=False, separators=(",", ":"))
    # Keys that are no texts, NaN, a circle, or a dictionary that another thread changes.
    except (TypeError, ValueError, RuntimeError):
        return json.dumps(_clean(value, ()), separators=(",", ":"))


def artifact_json(
    name: str,
    content: Any,
    content_type: str | None = None,
    artifact_type: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> str:
    """Write an artifact as containers answer with it.

    Args:
        name: Its name; may hold folders.
        content: A text, bytes, the path of a file, or any value, which becomes JSON.
        content_type: The media type; None for that of its name or content.
        artifact_type: A word to find it by.
        metadata: Anything else.

    Raises:
        OSError: The file cannot be read.
    """
    kind = mimetypes.guess_type(name)[0]
    fields: dict[str, Any] = {"artifact_name": name}
    if isinstance(content, PurePath):
        content = Path(content).read_bytes()
    if isinstance(content, bytes | bytearray | memoryview):
        fields |= {"content": base64.b64encode(content).decode(), "content_encoding": "base64"}
        kind = kind or "application/octet-stream"
    elif isinstance(content, str):
        fields["content"] = content
        kind = kind or "text/plain"
    else:
        fields["content"] = write_json(content)
        kind = kind or "application/json"
    fields["content_type"] = content_type or kind
    if artifact_type is not None:
        fields["artifact_type"] = artifact_type
    if metadata is not None:
        fields["metadata"] = metadata
    return write_json(fields)


def _plain(value: Any) -> Any:
    """Replace a value that is none of JSON's by one that is, or nearly so."""
    try:
        for method in ("tolist", "model_dump"):
            if callable(function := getattr(type(value), method, None)):
                return function(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        if isinstance(value, Mapping):
            return dict(value)
        if isinstance(value, AbstractSet):
            return list(value)
        return str(value) if isinstance(value, PurePath) else repr(value)
    except Exception:  # noqa: BLE001 - code of others: whatever it raises, there is no such value
        return f"<{type(value).__name__}>"


def _clean(value: Any, parents: tuple[int, ...]) -> Any:
    if value is None or isinstance(value, str | bool):
        return value
    if isinstance(value, int):
        # Longer ones cannot be written in decimal digits.
        return value if value.bit_length() < 4096 else hex(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if id(value) in parents or len(parents) > _DEEPEST:
        return f"<{type(value).__name__}>"
    parents = (*parents, id(value))
    if isinstance(value, dict):
        return {
            key if isinstance(key, str) else str(key): _clean(item, parents)
            for key, item in list(value.items())
        }
    if isinstance(value, list | tuple):
        return [_clean(item, parents) for item in list(value)]
    return _clean(_plain(value), parents)
