"""Which container of a pool gets the next rollout."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from .members import Member


def choose(
    members: Iterable[Member], tried: Collection[str] = (), *, is_retry: bool = False
) -> Member | None:
    """The one that runs least among the healthy ones; of equals the one least recently used.

    An address that is not healthy is taken only where none is healthy, one that was `tried` only
    where no other is as healthy. A retry also avoids those whose last check failed: it is worth
    more than an even load. None where nothing may be given to any of them.
    """
    return min(
        (member for member in members if member.takes_rollouts),
        key=lambda member: (
            member.container.health.state != "healthy",
            member.url in tried,
            is_retry and member.container.health.failures > 0,
            member.container.load,
            member.last_turn,
        ),
        default=None,
    )
