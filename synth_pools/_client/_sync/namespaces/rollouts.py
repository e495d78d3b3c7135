# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/namespaces/rollouts.py

"""Methods on rollouts that take more than one operation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synth_pools._client._sync.facade.agent_rollouts import AgentRolloutOperations
from synth_pools._client._sync.fleet.runs import AgentRolloutRunner, RolloutRunner
from synth_pools._client._sync.namespaces.artifact_files import ArtifactFiles, PoolArtifactFiles
from synth_pools._client._sync.waiters import wait_for_rollout
from synth_pools._client.arguments import (
    batch_of_pool,
    check_flag,
    check_idempotency_key,
    check_limit,
    path_segment,
    request_of_pool,
)
from synth_pools_api.types import Id

if TYPE_CHECKING:
    from synth_pools_api.requests import PlainRequest, RolloutBatchRequestDict, RolloutRequestDict


class GlobalRollouts(AgentRolloutRunner, ArtifactFiles):
    """Rollouts without naming their pool."""

    def wait(
        self, rollout_id: Id, *, timeout: float | None = None, cancel_on_timeout: bool = False
    ) -> dict[str, Any]:
        """Wait until a rollout has ended, without naming its pool.

        Args:
            rollout_id: Id of the rollout.
            timeout: Seconds; None for no limit.
            cancel_on_timeout: Cancel the rollout when the time is over; else it goes on.

        Returns:
            The rollout.

        Raises:
            WaitTimeoutError: It has not ended in time; ``last`` is its last known state.
            NotFoundError: There is no such rollout.
        """
        check_limit(timeout, "timeout")
        check_flag(cancel_on_timeout, "cancel_on_timeout")
        return wait_for_rollout(
            self._client._transport,
            self._client._global_path(rollout_id),
            timeout=timeout,
            cancel_on_timeout=cancel_on_timeout,
        )


class PoolRollouts(RolloutRunner, PoolArtifactFiles):
    """Rollouts of one pool."""

    def validate(self, pool_id: Id, request: RolloutRequestDict | PlainRequest) -> dict[str, Any]:
        """Check a request as `create_rollout` would; nothing is created.

        Like `agent_rollouts.validate`, with this ``pool_id`` in the request.

        Args:
            pool_id: Id of the pool.
            request: Any mapping; the service checks all of it, including its keys.

        Returns:
            ``{"valid": ..., "errors": [...], "pool_id": ...}``: each error with ``loc``, ``msg``
            and ``type``; ``pool_id`` is None if the pool would not run the rollout.

        Raises:
            RequestValidationError: ``request`` names another pool; nothing was sent.
        """
        body = request_of_pool(path_segment(pool_id, "pool_id"), request, context="validate")
        return self._all_pools().validate_rollout(body)

    def create_batch(
        self,
        pool_id: Id,
        request: RolloutBatchRequestDict | PlainRequest,
        *,
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """Start many rollouts on a pool, independently: a refused one does not stop the others.

        Like `agent_rollouts.create_batch`, with this ``pool_id`` in the batch.

        Args:
            pool_id: Id of the pool.
            request: ``{"rollouts": [...]}``: up to 1000 requests as `create_rollout` takes them.
            idempotency_key: 1 to 255 visible ASCII characters. A repeated call with the same key
                returns the rollouts of the first one, and retries only refused ones.

        Returns:
            ``{"items": [...], "admitted": ..., "refused": ...}``: for each request, in order, its
            ``index``, the ``status`` of its own creation, and its ``rollout`` or, if that is
            None, its ``error``.

        Raises:
            RequestValidationError: ``request`` is not of this shape, or it or one of its rollouts
                names another pool; nothing was sent.
            ConflictError: The key belongs to another batch.
        """
        batch = batch_of_pool(path_segment(pool_id, "pool_id"), request)
        return self._all_pools().create_rollout_batch(batch, idempotency_key=idempotency_key)

    def replay(
        self, pool_id: Id, rollout_id: Id, *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Start a rollout with the request, task and pool of an earlier one in any state.

        Like `agent_rollouts.replay`, after a look-up of the rollout under its pool.

        Args:
            pool_id: Id of the pool.
            rollout_id: The earlier rollout.
            idempotency_key: 1 to 255 visible ASCII characters. A repeated call with the same key
                returns the rollout of the first one.

        Returns:
            The new rollout, which names the earlier one in ``replay_of``; finished if the request
            has ``"mode": "sync"``.

        Raises:
            NotFoundError: The pool has no such rollout, or its task was removed.
            ConflictError: The pool is not active.
        """
        key = check_idempotency_key(idempotency_key)
        lookup = self._client._summary_call(pool_id, rollout_id)
        transport = self._client._transport.after(*lookup)
        operations = AgentRolloutOperations._on(transport)
        return operations.replay_rollout(rollout_id, idempotency_key=key)

    def _all_pools(self) -> AgentRolloutOperations:
        return AgentRolloutOperations._on(self._client._transport)
