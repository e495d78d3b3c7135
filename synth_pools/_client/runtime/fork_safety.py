"""Fork safety: a child process forgets the connections of its parent."""

from __future__ import annotations

import os
import weakref
from typing import Any, Protocol


class Holder(Protocol):
    """Holder of connections."""

    def forget(self) -> Any:
        """Give up all connections without closing them, and return them."""


_holders: weakref.WeakSet[Holder] = weakref.WeakSet()
# Never looked at: closing a connection of the parent's, or its event loop's selector, in the child
# would be noticed by the parent.
_left_to_the_parent: list[Any] = []


def forget_in_children(holder: Holder) -> None:
    """Register ``holder``: it forgets its connections in every process forked from this one."""
    _holders.add(holder)


def _in_child() -> None:
    _left_to_the_parent.extend(holder.forget() for holder in list(_holders))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
