"""Cursors of lists: opaque to clients, and valid only for the list that issued them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
from collections.abc import Sequence
from typing import NamedTuple

from synth_pools.backend.storage.database import Executes

_POSITION_BYTES = 8
_MAC_BYTES = 10


class ListPosition(NamedTuple):
    """ListPosition in a list: an item, and the value by which the list is sorted first, if any."""

    seq: int
    value: float | str | None = None


class Found(NamedTuple):
    """Item of a page.

    Attributes:
        position: Its position in the list.
        size: Its approximate size in an answer.
        document: The item as JSON text; None if it is still to be read.
    """

    position: ListPosition
    size: int
    document: str | None = None


class Cursors:
    """Cursors signed with a secret of the database, so that no other text is valid."""

    def __init__(self, secret: str) -> None:
        self._secret = bytes.fromhex(secret)

    def issue(self, scope: str, position: ListPosition) -> str:
        """Return the cursor of a position in a list."""
        packed = position.seq.to_bytes(_POSITION_BYTES, "big")
        if position.value is not None:
            value = json.dumps(position.value).encode("ascii")
            # Base64 of other lengths has several spellings.
            packed += value.ljust(len(value) + -len(value) % 3)
        return base64.urlsafe_b64encode(packed + self._mac(scope, packed)).decode("ascii")

    def read(self, scope: str, cursor: str) -> ListPosition | None:
        """Return the position of a cursor of this list; None for any other text."""
        try:
            token = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error, ValueError):
            return None
        packed, mac = token[:-_MAC_BYTES], token[-_MAC_BYTES:]
        if not hmac.compare_digest(mac, self._mac(scope, packed)):
            return None
        value = packed[_POSITION_BYTES:]
        seq = int.from_bytes(packed[:_POSITION_BYTES], "big")
        return ListPosition(seq, json.loads(value) if value else None)

    def _mac(self, scope: str, packed: bytes) -> bytes:
        message = scope.encode() + b"\0" + packed
        return hmac.digest(self._secret, message, hashlib.sha256)[:_MAC_BYTES]


def cursor_secret(db: Executes) -> str:
    """Return the secret that signs the cursors of this database."""
    row = db.execute("SELECT value FROM meta WHERE key = 'cursor_secret'").fetchone()
    return str(row["value"])


def page_document(
    items: Sequence[str], next_cursor: str | None, later_name: str | None = None
) -> str:
    """Return the JSON of a page from the JSON texts of its items, under one name or two."""
    cursor = "null" if next_cursor is None else f'"{next_cursor}"'
    array = f"[{','.join(items)}]"
    second = "" if later_name is None else f',"{later_name}":{array}'
    return f'{{"items":{array}{second},"next_cursor":{cursor}}}'
