"""Interface of a backend to its shared database, for notices and takeovers.

The database notifies its one peer of changes by other backends. It receives them over a separate
connection, so that reads and writes are not delayed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from synth_pools.backend.storage.transactions import Notice, Transaction


class FencedError(Exception):
    """Another backend owns the rollout, so the write is refused."""

    def __init__(self, rollout_id: str) -> None:
        super().__init__(f"rollout {rollout_id} is run by another backend by now")


class Peer(Protocol):
    """Backend that its shared database calls.

    The methods are called in the event loop, and must not block.
    """

    def receive(self, notices: Iterable[Notice]) -> None:
        """Apply notices of commits of other backends."""
        ...

    def look_again(self) -> None:
        """Read everything again, since notices may have been lost."""
        ...

    def take_over(self, tx: Transaction) -> None:
        """Take over rollouts and pools, in the transaction that removes their backends."""
        ...

    def give_up(self) -> None:
        """Give up all rollouts and pools here, which others have taken over."""
        ...
