"""Connections belong to one process: two that write into the same connection garble it."""

from __future__ import annotations

import os
import weakref
from typing import Any, Protocol


class Holder(Protocol):
    """What holds connections."""

    def forget(self) -> Any:
        """Give up all connections without closing them, and return them."""


_holders: weakref.WeakSet[Holder] = weakref.WeakSet()
# Never looked at: closing a connection of the parent's, or its event loop's selector, in the child
# would be noticed by the parent.
_left_to_the_parent: list[Any] = []


def forget_in_children(holder: Holder) -> None:
    """Have ``holder`` forget its connections in every process that is forked from this one."""
    _holders.add(holder)


def _in_child() -> None:
    _left_to_the_parent.extend(holder.forget() for holder in list(_holders))


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_in_child)
