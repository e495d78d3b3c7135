"""Runtimes of the client: asyncio and threads under one interface.

The client is written once, as async, and its sync variant is derived. The parts that differ too
much for that are written twice, in two packages with the same interface. A package is imported with
the first client of its variant, since asyncio takes longer to import than the client.

In a forked process the client drops the connections and files of its parent.
"""

from __future__ import annotations

import os
import weakref
from typing import Any, Protocol


class Holder(Protocol):
    """Holder of connections or files."""

    def drop_after_fork(self) -> Any:
        """Give up all connections without closing them, and return them."""


_holders: weakref.WeakSet[Holder] = weakref.WeakSet()
# Kept and never used: the parent would notice if the child closed one of its connections, or the
# selector of its event loop.
_dropped: list[Any] = []


def register_for_forks(holder: Holder) -> None:
    """Have `holder` drop its connections in every process that is forked from this one."""
    _holders.add(holder)


def _in_child() -> None:
    _dropped.extend(holder.drop_after_fork() for holder in list(_holders))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
