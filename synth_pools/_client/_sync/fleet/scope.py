# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/fleet/scope.py

"""Rollouts of a run, on one pool or on several."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any, Self

from synth_pools._client._sync.attempts import offers_keys
from synth_pools._client._sync.facade.agent_rollouts import AgentRolloutOperations
from synth_pools._client._sync.facade.pools import PoolOperations
from synth_pools._client._sync.facade.rollouts import RolloutOperations
from synth_pools._client._sync.facade.service import ServiceOperations
from synth_pools._client._sync.transport import Transport
from synth_pools._client._sync.waiters import RolloutPath, lost_pool
from synth_pools._client.fleet.error_category import is_paused
from synth_pools._client.fleet.options import completed
from synth_pools._client.http.request_builder import Call
from synth_pools._client.http.retry import has_no_operation, offers, outcome_of
from synth_pools._client.runtime.sync_.io import Function
from synth_pools.errors import ConflictError, NotRepeatedError, SynthPoolsError
from synth_pools_api.operations import OperationId

# Time for which an answer holds. Where most requests break, a question before each repetition would
# let none of them through.
_KEPT_SECONDS = 60.0
_MAY_BECOME_ACTIVE = ("paused", "warming", "building", "uploading", "created")


class RolloutScope:
    """The operations that a run needs, with or without a pool in their paths.

    Args:
        transport: Sender of the calls.
        pool_id: The pool; None if requests name their pools or the service chooses.

    Attributes:
        fields: Fields that all requests are sent with, beside their own.
    """

    def __init__(self, transport: Transport, pool_id: str | None) -> None:
        self.transport = transport
        self.pool_id = pool_id
        self.fields: Mapping[str, Any] = {}
        # Keys of creations that may have had an effect, each with the last error, if it is known.
        self._lost: dict[str, SynthPoolsError | None] = {}
        self._keeps_keys_until = 0.0
        self._of_pool = RolloutOperations._on(transport)
        self._of_all = AgentRolloutOperations._on(transport)

    def by(self, transport: Transport) -> Self:
        """Return the same operations by another sender."""
        scope = type(self)(transport, self.pool_id)
        scope.fields = self.fields
        return scope

    def creation(self, request: Any, idempotency_key: str | None) -> tuple[OperationId, Call]:
        """Return the call that starts a rollout."""
        request = completed(request, self.fields)
        if self.pool_id is None:
            return "create_global_rollout", self._of_all._global_creation(request, idempotency_key)
        return "create_rollout", self._of_pool._creation(self.pool_id, request, idempotency_key)

    def path(self, rollout_id: str) -> RolloutPath:
        """Return the path of a rollout."""
        if self.pool_id is None:
            return self._of_all._global_path(rollout_id)
        return self._of_pool._path(self.pool_id, rollout_id)

    def events(self, rollout_id: str, cursor: str | None) -> tuple[OperationId, Call]:
        """Return the call that streams the events of a rollout."""
        if self.pool_id is None:
            return self._of_all._global_events_call(rollout_id, cursor)
        return self._of_pool._events_call(self.pool_id, rollout_id, cursor)

    def create(self, request: Any, idempotency_key: str) -> dict[str, Any]:
        """Start a rollout.

        Raises:
            PoolFailedError: Its pool has failed or is archived.
            ConflictError: The request is refused; with ``pool_not_active`` if it may succeed later.
            NotRepeatedError: An earlier request may have started it, and the service keeps no keys.
        """
        call = self.creation(request, idempotency_key)
        try:
            return self._send(idempotency_key, lambda: self.transport.request(*call))
        except ConflictError as error:
            failure = error
        raise self.explained(request, failure)

    def has_runs(self) -> bool:
        """Ask whether the service takes names of runs and labels."""
        try:
            answer = ServiceOperations._on(self.transport).get_capabilities()
        except SynthPoolsError as error:
            if not has_no_operation(error):
                raise
            return False
        return offers(answer, "runs")

    def note_lost(self, idempotency_key: str) -> None:
        """Note that an earlier request with this key may have had an effect."""
        self._lost.setdefault(idempotency_key, None)

    def is_lost(self, idempotency_key: str) -> bool:
        """Check that an earlier request with this key may have had an effect."""
        return idempotency_key in self._lost

    def _keeps_keys(self) -> bool:
        """Ask whether the service keeps keys. If it does, that holds for a minute."""
        now = self.transport.clock
        if now() >= self._keeps_keys_until and offers_keys(self.transport.request):
            self._keeps_keys_until = now() + _KEPT_SECONDS
        return now() < self._keeps_keys_until

    def _send(self, idempotency_key: str, send: Function[[], dict[str, Any]]) -> dict[str, Any]:
        """Send a request, but repeat it only to a service that keeps keys."""
        was_lost = self.is_lost(idempotency_key)
        if was_lost and not self._keeps_keys():
            earlier = self._lost.get(idempotency_key)
            raise NotRepeatedError(
                "not sent again, as the service does not offer idempotency_keys and an earlier "
                "request may have started rollouts" + (f": {earlier}" if earlier else "")
            )
        self.note_lost(idempotency_key)
        try:
            answer = send()
        except SynthPoolsError as error:
            outcome = outcome_of(error)
            if outcome.may_pass and (was_lost or not outcome.changed_nothing):
                self._lost[idempotency_key] = copy.copy(error)
            else:
                self._lost.pop(idempotency_key, None)
            raise
        self._lost.pop(idempotency_key, None)
        return answer

    def create_batch(self, requests: Sequence[Any], idempotency_key: str) -> dict[str, Any]:
        """Start rollouts independently: a refused rollout does not stop the others."""
        body: dict[str, Any] = {"rollouts": requests}
        if self.pool_id is not None:
            body["pool_id"] = self.pool_id
        return self._send(
            idempotency_key,
            lambda: self._of_all.create_rollout_batch(body, idempotency_key=idempotency_key),
        )

    def place_of_creation(self) -> tuple[str, str]:
        """Return the URL at which a rollout is created, and its path, for errors."""
        path = self.creation({}, None)[1]["url"]
        return f"{self.transport.config.base_url}{path}", path

    def get(self, rollout_id: str) -> dict[str, Any]:
        """Get a rollout."""
        if self.pool_id is None:
            return self._of_all.get_global_rollout(rollout_id)
        return self._of_pool.get_rollout(self.pool_id, rollout_id)

    def summary(self, rollout_id: str) -> dict[str, Any]:
        """Get the summary of a rollout."""
        if self.pool_id is None:
            return self._of_all.get_global_rollout_summary(rollout_id)
        return self._of_pool.get_rollout_summary(self.pool_id, rollout_id)

    def cancel(self, rollout_id: str) -> None:
        """Cancel a rollout."""
        if self.pool_id is None:
            self._of_all.cancel_global_rollout(rollout_id)
        else:
            self._of_pool.cancel_rollout(self.pool_id, rollout_id)

    def explained(self, request: Any, failure: Exception) -> Exception:
        """Return a failure by its cause: a lost pool, or one that may become active again."""
        if not isinstance(failure, ConflictError):
            return failure
        if not is_paused(failure) and failure.code != "no_active_pool":
            return failure
        pools = PoolOperations._on(self.transport)
        pool_id = request.get("pool_id") if self.pool_id is None else self.pool_id
        if pool_id is not None:
            return lost_pool(pools.get_pool(pool_id), pool_id) or failure
        for state in _MAY_BECOME_ACTIVE:
            if (pools.list_pools(state=state, limit=1)).get("items"):
                # The request waits as if it named one of these pools.
                refusal = copy.copy(failure)
                refusal.code = "pool_not_active"
                return refusal
        return failure
