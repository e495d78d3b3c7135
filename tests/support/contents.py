"""Server of one content, whose first answers may be spoilt."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.fault_server import Seen
from tests.support.faults import Fault, cut, message, raw, reset_at

CONTENT = random.Random(7).randbytes(300_000)
HASH = hashlib.sha256(CONTENT).hexdigest()
OCTETS = "application/octet-stream"

Spoil = Callable[[bytes], Fault]


def part(request: Seen, content: bytes = CONTENT, tag: str | None = None) -> bytes:
    """Answer as a good server does."""
    etag = f'"{hashlib.sha256(content).hexdigest()}"' if tag is None else tag
    headers = {"Content-Type": OCTETS, "ETag": etag}
    requested = request.headers.get("range")
    if requested is None or request.headers.get("if-range", etag) != etag:
        return message(content, 200, headers)
    start = int(requested.removeprefix("bytes=").removesuffix("-"))
    headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
    return message(content[start:], 206, headers)


def serving(*spoils: Spoil | None, content: bytes = CONTENT, tag: str | None = None) -> Any:
    """Serve a content after some spoilt answers."""
    remaining = list(spoils)

    def choose(request: Seen) -> Fault:
        spoil = remaining.pop(0) if remaining else None
        data = part(request, content, tag)
        return raw(data) if spoil is None else spoil(data)

    return choose


def after(size: int) -> Spoil:
    """Break the connection off after a number of bytes of the body."""
    return lambda data: cut(data.index(b"\r\n\r\n") + 4 + size, data)


def reset_after(size: int) -> Spoil:
    return lambda data: reset_at(data.index(b"\r\n\r\n") + 4 + size, data)


def instead(fault: Fault) -> Spoil:
    return lambda _: fault


def names(folder: Path) -> list[str]:
    """List the files in the folder of downloads."""
    return [entry.name for entry in folder.iterdir()]
