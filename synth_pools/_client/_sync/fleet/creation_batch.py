# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/fleet/creation_batch.py

"""Batch of rollouts that a fleet creates together, and its requests."""

from __future__ import annotations

import dataclasses
from typing import Any

from synth_pools._client.fleet.batch_answers import Answer
from synth_pools._client.fleet.journal import BatchRecord
from synth_pools._client.fleet.usage import Usage
from synth_pools._client.runtime.sync_.concurrency import Condition
from synth_pools.errors import SynthPoolsError

# The answer to one request of a batch; None for a request to create alone.
RequestAnswer = Answer | None


@dataclasses.dataclass(slots=True, eq=False)
class CreationBatch:
    """Rollouts that are created together.

    Attributes:
        record: The requests and the key.
        is_stored: True once the journal, if there is one, has the record.
        is_sent: True once it may have been sent.
        mark: Mark from before it was first sent; None if an earlier run may have sent it.
        is_being_sent: True while a worker sends it.
        sender: Index of the request whose worker sends it until it is answered; None for none.
        is_given_up: True once that worker has given up.
        is_being_resolved: True while it is sent after the end of the fleet.
        members: Requests that have not read their answer yet.
        answers: Answer to each request, None for a request to create alone; None before the
            service has answered.
        failures: Number of failed attempts to send it.
        failure: Error of the last failed attempt.
        waiting: Condition of each waiting request, notified on a change.
    """

    record: BatchRecord
    members: set[int]
    is_stored: bool
    is_sent: bool = False
    mark: int | None = None
    is_being_sent: bool = False
    sender: int | None = None
    is_given_up: bool = False
    is_being_resolved: bool = False
    answers: dict[int, RequestAnswer] | None = None
    failures: int = 0
    failure: SynthPoolsError | None = None
    waiting: dict[int, Condition] = dataclasses.field(default_factory=dict)

    def notify(self) -> None:
        """Wake all waiting requests. The lock must be held."""
        for condition in self.waiting.values():
            condition.notify_all()


@dataclasses.dataclass(slots=True)
class InFlight:
    """Request in flight.

    Attributes:
        index: Position among the fleet's requests.
        request: The request.
        group: Index of the caller's request that it repeats.
        sha: Digest of the request.
        key: Idempotency key of the current attempt; empty before the first one.
        rollout_id: Id of its rollout; None while unknown.
        is_alone: True if it is, or may have been, created alone.
        batch: Batch that creates its rollout; None for none.
        attempt: Number of the current attempt, from 0.
        mark: Mark from before its rollout can have been created, for the watch of its pool.
        is_stopped: True if it was stopped at the budget, and a later run starts it again.
        usage: Usage of its ended attempts.
    """

    index: int
    request: Any
    group: int
    sha: str
    key: str = ""
    rollout_id: str | None = None
    is_alone: bool = False
    batch: CreationBatch | None = None
    attempt: int = 0
    mark: int = 0
    is_stopped: bool = False
    usage: Usage = dataclasses.field(default_factory=dict)
