"""Faults that the backend had, or might have: planted back, the simulation detects them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from synth_pools.backend import services
from synth_pools.backend.domain import clock
from synth_pools.backend.storage import claims
from synth_pools.backend.storage.database import Row
from synth_pools.backend.storage.postgres import membership
from synth_pools.backend.storage.postgres.connection import SessionError, StatementError
from synth_pools.backend.storage.postgres.membership import Membership, Renewal
from synth_pools.backend.storage.postgres.writer import Writer
from synth_pools.backend.storage.retention import RetentionClock

Plant = Callable[[pytest.MonkeyPatch], None]

# The planner may run the inner query again for each row.
_UNBOUNDED_CLAIM = (
    "UPDATE queue SET owner = ?1 FROM (SELECT rollout_seq FROM queue"
    " WHERE pool_id = ?2 AND owner IS NULL ORDER BY rollout_seq LIMIT ?4 FOR UPDATE SKIP LOCKED)"
    " AS oldest WHERE queue.pool_id = ?3 AND queue.rollout_seq = oldest.rollout_seq"
    " RETURNING queue.rollout_seq, queue.rollout_id"
)
# Classes of errors that were taken for outages.
_OUTAGES = ("08", "53", "57", "58", "F0", "XX")
_OTHER_OUTAGES = ("25006", "25P03")
_LEASE = "renewed_at < clock_timestamp() - interval '4.5 seconds'"
_PLACES_OF_OURS = claims._PLACES.replace("queue.owner IS NOT NULL", "queue.owner < 0")


def claim_without_limit(patch: pytest.MonkeyPatch) -> None:
    """Let a claim take as many rollouts as the plan of its statement returns."""
    patch.setattr(claims, "_CLAIM", _UNBOUNDED_CLAIM)


def claim_beside_claims(patch: pytest.MonkeyPatch) -> None:
    """Let a claim forget the rollouts that other backends have claimed."""
    patch.setattr(claims, "_PLACES", _PLACES_OF_OURS)


def few_outages(patch: pytest.MonkeyPatch) -> None:
    """Wait out some errors of the database only, and look for nothing that is left behind."""
    former = StatementError.__init__

    def classify(self: StatementError, cause: BaseException) -> None:
        former(self, cause)
        state: str = getattr(cause, "sqlstate", None) or "08000"
        self.is_lost = state[:2] in ("08", "57") or state == "25P03"
        self.is_outage = state[:2] in _OUTAGES or state in _OTHER_OUTAGES
        self.is_servers = self.is_outage

    async def look_for_nothing(*_: object) -> None:
        await asyncio.Event().wait()

    patch.setattr(StatementError, "__init__", classify)
    patch.setattr(services, "resume_forgotten", look_for_nothing)


def closed_is_no_outage(patch: pytest.MonkeyPatch) -> None:
    """Take a server that lets nobody in for a mistake of the statement."""
    former = SessionError.__init__

    def classify(self: SessionError, cause: BaseException) -> None:
        former(self, cause)
        state: str = getattr(cause, "sqlstate", None) or "08000"
        self.is_outage = state[:2] in _OUTAGES

    patch.setattr(SessionError, "__init__", classify)


def lease_by_one_clock(patch: pytest.MonkeyPatch) -> None:
    """Take a backend for dead by the server's clock alone."""

    def dead_of(self: Membership, others: Sequence[Row], now: float) -> list[Renewal]:
        return [Renewal(row["number"], row["renewals"]) for row in others if row["is_old"]]

    patch.setattr(Membership, "_dead_of", dead_of)


def lease_in_the_future(patch: pytest.MonkeyPatch) -> None:
    """Keep a lease whose renewal is in the future, after the server's clock was set back."""
    patch.setattr(membership, "_RENEW", membership._RENEW.replace(membership._IS_OLD, _LEASE))


def retention_by_own_clock(patch: pytest.MonkeyPatch) -> None:
    """Delete what is old by the clock of the oldest backend."""
    patch.setattr(RetentionClock, "read", lambda *_: clock.unix_time())


def forget_lost_commits(patch: pytest.MonkeyPatch) -> None:
    """Take a commit whose answer is lost for none."""

    async def was_committed(*_: object) -> bool:
        return False

    patch.setattr(Writer, "_was_committed", was_committed)


def believe_lost_commits(patch: pytest.MonkeyPatch) -> None:
    """Take a commit whose answer is lost for one."""

    async def was_committed(*_: object) -> bool:
        return True

    patch.setattr(Writer, "_was_committed", was_committed)


def send_again(patch: pytest.MonkeyPatch) -> None:
    """Send a rollout again that was taken over."""
    patch.setattr("synth_pools.backend.rollouts.transitions.is_lost", lambda *_: True)


PLANTS: Sequence[Plant] = (
    claim_without_limit,
    claim_beside_claims,
    few_outages,
    closed_is_no_outage,
    lease_by_one_clock,
    lease_in_the_future,
    retention_by_own_clock,
    forget_lost_commits,
    believe_lost_commits,
    send_again,
)
