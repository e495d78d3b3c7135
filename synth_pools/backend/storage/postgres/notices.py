"""Notices between the backends of a database, many in one short payload of NOTIFY.

A payload has the number of its sender, and a line for each notice: its kind, pool and rollout.
Unknown kinds, which a later version may send, are ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast, get_args

from synth_pools.backend.storage.transactions import Notice, NoticeKind

CHANNEL = "synth_pools"

# The server accepts less than 8000 bytes.
_MOST_BYTES = 7_900
_KINDS = frozenset(get_args(NoticeKind))


def payloads(sender: int, notices: Iterable[Notice]) -> Iterator[str]:
    """Yield payloads with these notices, whose ids are ASCII without white space."""
    lines: list[str] = []
    size = 0
    for notice in notices:
        line = " ".join((notice.kind, notice.pool_id, notice.rollout_id))
        if lines and size + len(line) > _MOST_BYTES:
            yield "\n".join((str(sender), *lines))
            lines, size = [], 0
        lines.append(line)
        size += len(line) + 1
    if lines:
        yield "\n".join((str(sender), *lines))


def telling(sender: int, notices: Iterable[Notice]) -> str:
    """Return the statements that notify other backends when their transaction commits."""
    return "".join(
        f"NOTIFY {CHANNEL}, {literal(payload)};" for payload in payloads(sender, notices)
    )


def read_payload(payload: str) -> tuple[int, list[Notice]]:
    """Return the sender and the notices of a payload; 0 and nothing for an invalid one."""
    sender, *lines = payload.split("\n")
    if not sender.isdecimal():
        return 0, []
    notices = []
    for line in lines:
        kind, _, rest = line.partition(" ")
        pool_id, _, rollout_id = rest.partition(" ")
        if kind in _KINDS:
            notices.append(Notice(cast("NoticeKind", kind), pool_id, rollout_id))
    return int(sender), notices


def literal(text: str) -> str:
    """Return a text as a literal of SQL."""
    quoted = text.replace("'", "''")
    return f"'{quoted}'"
