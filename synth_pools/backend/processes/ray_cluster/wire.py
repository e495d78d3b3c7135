"""Connections between a backend and the supervisor of a container on another machine.

Both sides prove that they know the supervisor's token, and neither sends it: the port of an ended
supervisor may belong to another program by now. A connection carries a call of the container, or
the frames of its supervision.
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

# A frame carries a piece of output, or a short message.
_LONGEST_FRAME = 1024 * 1024

# A supervisor ends its container if its backend is silent for this lease. The backend takes the
# container for lost after its own, longer lease, and moves the rollouts.
SUPERVISOR_LEASE_SECONDS = 6.0
BACKEND_LEASE_SECONDS = 8.0
# If the backend has hung up, the supervisor waits for a shorter time: other backends take over the
# rollouts of a killed backend after its lease, and no rollout may run twice.
HUNG_UP_SECONDS = 3.0
BEAT_SECONDS = 1.0

HANDSHAKE_SECONDS = 5.0


class Purpose(bytes, Enum):
    """Purpose of a connection."""

    CALL = b"C"
    SUPERVISION = b"S"


class Frame(bytes, Enum):
    """Kind of a frame: BEAT and END come from the backend, all others from the supervisor."""

    BEAT = b"B"
    END = b"E"
    OUTPUT = b"O"
    STARTED = b"S"
    FAILED = b"F"
    EXITED = b"X"
    ENDED = b"D"


class WireError(OSError):
    """The peer is not the expected one, or breaks the protocol."""


async def greet(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: bytes, purpose: Purpose
) -> None:
    """Prove to a supervisor that we know its token, and check that it knows the token too.

    Raises:
        WireError: The peer does not know the token.
    """
    ours = bytes.fromhex(clock.token(_NONCE_BYTES))
    writer.write(purpose.value + ours)
    answer = await _exactly(reader, _NONCE_BYTES + _PROOF_BYTES)
    transcript = purpose.value + ours + answer[:_NONCE_BYTES]
    if not hmac.compare_digest(answer[_NONCE_BYTES:], _proof(token, b"supervisor", transcript)):
        raise WireError("another program listens there")
    writer.write(_proof(token, b"backend", transcript))


async def receive(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, token: bytes
) -> Purpose:
    """Check that a caller knows the token, and return the purpose of the connection.

    Raises:
        WireError: The caller does not know the token.
    """
    request = await _exactly(reader, 1 + _NONCE_BYTES)
    ours = bytes.fromhex(clock.token(_NONCE_BYTES))
    transcript = request + ours
    writer.write(ours + _proof(token, b"supervisor", transcript))
    proof = await _exactly(reader, _PROOF_BYTES)
    if not hmac.compare_digest(proof, _proof(token, b"backend", transcript)):
        raise WireError("the caller does not know the token")
    try:
        return Purpose(request[:1])
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
        WireError: The connection has ended, or the bytes are no frame.
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


def _proof(token: bytes, role: bytes, transcript: bytes) -> bytes:
    return hmac.digest(token, role + transcript, hashlib.sha256)


async def _exactly(reader: asyncio.StreamReader, size: int) -> bytes:
    try:
        return await reader.readexactly(size)
    except asyncio.IncompleteReadError:
        raise WireError("the connection has ended") from None
