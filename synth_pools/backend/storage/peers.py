"""Backends that share a database: what each of them is told, and asked to do.

A database tells the one peer that it has of what others have changed, from its own connection to
the server; nothing of that is in the way of those who read and write.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from synth_pools.backend.storage.transactions import Notice, Transaction


class FencedError(Exception):
    """A write came from a backend that has lost the rollout to another one: nothing is written."""

    def __init__(self, rollout_id: str) -> None:
        super().__init__(f"rollout {rollout_id} is run by another backend by now")


class Peer(Protocol):
    """Backend as its database sees it.

    Its methods are called in the event loop, and wait for nothing.
    """

    def receive(self, notices: Iterable[Notice]) -> None:
        """Take notice of what other backends have committed."""
        ...

    def look_again(self) -> None:
        """Look at everything again: notices may have been missed."""
        ...

    def take_over(self, tx: Transaction) -> None:
        """Take over what is of backends that are gone, in a transaction in which they are."""
        ...

    def give_up(self) -> None:
        """Give up all that runs here: others have taken it over."""
        ...
