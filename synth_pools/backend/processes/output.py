"""The last lines that a process wrote, however much it writes."""

from __future__ import annotations

_KEPT_BYTES = 16 * 1024
_LINES = 40
_LINE_CHARACTERS = 500


class Tail:
    def __init__(self) -> None:
        self._kept = bytearray()
        self._is_cut = False

    def feed(self, data: bytes) -> None:
        self._kept += data[-_KEPT_BYTES:]
        if len(self._kept) > 2 * _KEPT_BYTES or len(data) > _KEPT_BYTES:
            # Not at every write: moving the kept bytes each time would cost more than they do.
            del self._kept[:-_KEPT_BYTES]
            self._is_cut = True

    def lines(self, secret: str | None = None) -> list[str]:
        """What people may see of it: `secret` is the key that the process was given."""
        text = self._kept.decode("utf-8", "replace")
        if self._is_cut:
            # The rest of a line; it may also be the rest of the secret.
            text = text.partition("\n")[2]
        if secret:
            text = text.replace(secret, "***")
        lines = (_readable(line)[:_LINE_CHARACTERS] for line in text.splitlines())
        return [line for line in lines if line][-_LINES:]


def _readable(line: str) -> str:
    return "".join(c for c in line if c.isprintable() or c == "\t").rstrip()
