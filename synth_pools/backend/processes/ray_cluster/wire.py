"""The connections between a backend and the supervisor of a container on another machine.

Whoever connects proves that it knows the supervisor's token, and the supervisor proves the same,
without either sending it: a port of a supervisor that has ended may be another program's by now.
A connection is for a call of the container, or the one over which it is supervised; that one
carries frames.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import Mapping
from enum import Enum
from typing import Any

from synth_pools.backend.domain import clock

_NONCE_BYTES = 32
_PROOF_BYTES = 32

# A frame holds a piece of output, or a few words.
_LONGEST_FRAME = 1024 * 1024

# A supervisor whose backend is silent for so long ends its container, at once. Later the backend,
# which hears nothing either, takes the container for lost and has its rollouts moved.
SUPERVISOR_LEASE_SECONDS = 6.0
BACKEND_LEASE_SECONDS = 8.0
# One whose backend has hung up waits no longer for it to be back: what runs on a backend that was
# killed is taken over when its lease of the database is over, and is not to run twice then.
HUNG_UP_SECONDS = 3.0
BEAT_SECONDS = 1.0

HANDSHAKE_SECONDS = 5.0


class Purpose(bytes, Enum):
    """The purpose of a connection."""

    CALL = b"C"
    SUPERVISION = b"S"


class Frame(bytes, Enum):
    """The kind of a frame: from the backend its beats and END, the others from the supervisor."""

    BEAT = b"B"
    END = b"E"
    OUTPUT = b"O"
    STARTED = b"S"
    FAILED = b"F"
    EXITED = b"X"
    ENDED = b"D"


class WireError(OSError):
    """The other side is not the one that is meant, or does not speak as it does."""


async def greet(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: bytes, purpose: Purpose
) -> None:
    """Prove to a supervisor that we know its token, and have it prove the same.

    Raises:
        WireError: It is another one.
    """
    ours = bytes.fromhex(clock.token(_NONCE_BYTES))
    writer.write(purpose.value + ours)
    answer = await _exactly(reader, _NONCE_BYTES + _PROOF_BYTES)
    said = purpose.value + ours + answer[:_NONCE_BYTES]
    if not hmac.compare_digest(answer[_NONCE_BYTES:], _proof(token, b"supervisor", said)):
        raise WireError("another program listens there")
    writer.write(_proof(token, b"backend", said))


async def receive(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: bytes
) -> Purpose:
    """Make sure that whoever has connected knows the token, and return what it wants.

    Raises:
        WireError: It does not know the token.
    """
    asked = await _exactly(reader, 1 + _NONCE_BYTES)
    ours = bytes.fromhex(clock.token(_NONCE_BYTES))
    said = asked + ours
    writer.write(ours + _proof(token, b"supervisor", said))
    proof = await _exactly(reader, _PROOF_BYTES)
    if not hmac.compare_digest(proof, _proof(token, b"backend", said)):
        raise WireError("the caller does not know the token")
    try:
        return Purpose(asked[:1])
    except ValueError:
        raise WireError("the caller wants what there is not") from None


def write_frame(writer: asyncio.StreamWriter, kind: Frame, data: bytes = b"") -> None:
    """Write a frame."""
    writer.write(kind.value + len(data).to_bytes(4, "big") + data)


def write_document(writer: asyncio.StreamWriter, kind: Frame, document: Mapping[str, Any]) -> None:
    """Write a frame that holds a JSON object."""
    write_frame(writer, kind, json.dumps(document).encode())


async def read_frame(reader: asyncio.StreamReader) -> tuple[Frame, bytes]:
    """Read the next frame.

    Raises:
        WireError: The connection has ended, or this is no frame.
    """
    head = await _exactly(reader, 5)
    size = int.from_bytes(head[1:], "big")
    if size > _LONGEST_FRAME:
        raise WireError("a frame is too long")
    try:
        kind = Frame(head[:1])
    except ValueError:
        raise WireError("a frame is of no known kind") from None
    return kind, await _exactly(reader, size)


def _proof(token: bytes, who: bytes, said: bytes) -> bytes:
    return hmac.digest(token, who + said, hashlib.sha256)


async def _exactly(reader: asyncio.StreamReader, size: int) -> bytes:
    try:
        return await reader.readexactly(size)
    except asyncio.IncompleteReadError:
        raise WireError("the connection has ended") from None
