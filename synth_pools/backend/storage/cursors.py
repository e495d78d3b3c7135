"""Cursors of lists: opaque to clients, and valid only for the list that issued them."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence

from synth_pools.backend.storage.database import Executes

_POSITION_BYTES = 8
_MAC_BYTES = 10


class Cursors:
    """Cursors signed with a secret of the database, so that no other text is valid."""

    def __init__(self, secret: str) -> None:
        self._secret = bytes.fromhex(secret)

    def issue(self, scope: str, position: int) -> str:
        """Return the cursor of a position in a list."""
        packed = position.to_bytes(_POSITION_BYTES, "big")
        return base64.urlsafe_b64encode(packed + self._mac(scope, packed)).decode("ascii")

    def read(self, scope: str, cursor: str) -> int | None:
        """Return the position of a cursor of this list; None for any other text."""
        try:
            token = base64.b64decode(cursor.encode("ascii"), altchars=b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error, ValueError):
            return None
        packed, mac = token[:_POSITION_BYTES], token[_POSITION_BYTES:]
        if len(packed) != _POSITION_BYTES or not hmac.compare_digest(mac, self._mac(scope, packed)):
            return None
        return int.from_bytes(packed, "big")

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
