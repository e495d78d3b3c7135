"""Rollouts of all pools."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synth_pools._client._async.facade.base import or_unset
from synth_pools._client._async.facade.siblings import AsyncGlobalRolloutOperations
from synth_pools._client.arguments import (
    check_idempotency_key,
    path_segment,
    request_body,
    rollout_batch,
    validate_pool_rollout_request,
)
from synth_pools._client.http.request_builder import Call
from synth_pools_api import api
from synth_pools_api.operations import OperationId
from synth_pools_api.types import Id

if TYPE_CHECKING:
    from synth_pools_api.requests import PlainRequest, RolloutBatchRequestDict, RolloutRequestDict


class AsyncAgentRolloutOperations(AsyncGlobalRolloutOperations):
    """The operations on rollouts without naming their pool."""

    async def create_global_rollout(
        self, request: RolloutRequestDict | PlainRequest, *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Start a rollout; without a ``pool_id`` in the request the service chooses the pool.

        Args:
            request: What to run, in the `CANONICAL_ROLLOUT_REQUEST_KEYS`. With
                ``"mode": "sync"`` the call waits until the rollout is finished.
            idempotency_key: 1 to 255 visible ASCII characters. A repeated call with the same key
                returns the rollout of the first one.

        Returns:
            The rollout.

        Raises:
            RequestValidationError: ``request`` has other keys; nothing was sent.
            NotFoundError: There is no such pool or task.
            ConflictError: No active pool can take it, or the key belongs to another request.
            ValidationFailedError: The request is invalid; the message names the fields.
        """
        validate_pool_rollout_request(request, context="create_global_rollout")
        return await self._transport.request(
            "create_global_rollout", self._global_creation(request, idempotency_key)
        )

    async def validate_rollout(self, request: RolloutRequestDict | PlainRequest) -> dict[str, Any]:
        """Check a request as `create_global_rollout` would; nothing is created.

        Args:
            request: Any mapping; the service checks all of it, including its keys.

        Returns:
            ``{"valid": ..., "errors": [...], "pool_id": ...}``: each error with ``loc``, ``msg``
            and ``type``; ``pool_id`` is the pool that would run the rollout, or None.
        """
        return await self._transport.request(
            "validate_rollout",
            api.agent_rollouts.validate_rollout._get_kwargs(body=request_body(request)),
        )

    async def create_rollout_batch(
        self, request: RolloutBatchRequestDict | PlainRequest, *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Start many rollouts in order, independently: a refused rollout does not stop the others.

        The call never waits until the rollouts end, whatever their ``mode``.

        Args:
            request: ``{"rollouts": [...], "pool_id": ...}``: up to 1000 requests as
                `create_global_rollout` takes them, with a pool for requests that name none.
                ``requests`` is an alias of ``rollouts``; its rollouts come last.
            idempotency_key: 1 to 255 visible ASCII characters. A repeated call with the same key
                returns the rollouts of the first one, and retries only refused ones.

        Returns:
            ``{"items": [...], "admitted": ..., "refused": ...}``: for each request, in order, its
            ``index``, the ``status`` of its own creation, and its ``rollout`` or, if that is
            None, its ``error``.

        Raises:
            RequestValidationError: ``request`` is not of this shape; nothing was sent.
            ConflictError: The key belongs to another batch.
        """
        body = rollout_batch(request)
        return await self._transport.request(
            "create_rollout_batch",
            api.agent_rollouts.create_rollout_batch._get_kwargs(
                body=request_body(body),
                idempotency_key=or_unset(check_idempotency_key(idempotency_key)),
            ),
        )

    async def replay_rollout(
        self, rollout_id: Id, *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Start a rollout with the request, task and pool of an earlier one in any state.

        Args:
            rollout_id: The earlier rollout.
            idempotency_key: 1 to 255 visible ASCII characters. A repeated call with the same key
                returns the rollout of the first one.

        Returns:
            The new rollout, which names the earlier one in ``replay_of``; finished if the request
            has ``"mode": "sync"``.

        Raises:
            NotFoundError: There is no such rollout, or its task was removed.
            ConflictError: The pool is not active.
        """
        rollout_id = path_segment(rollout_id, "rollout_id")
        return await self._transport.request(
            "replay_rollout",
            api.agent_rollouts.replay_rollout._get_kwargs(
                rollout_id, idempotency_key=or_unset(check_idempotency_key(idempotency_key))
            ),
        )

    def _global_creation(
        self, request: RolloutRequestDict | PlainRequest, idempotency_key: str | None
    ) -> Call:
        return api.agent_rollouts.create_global_rollout._get_kwargs(
            body=request_body(request),
            idempotency_key=or_unset(check_idempotency_key(idempotency_key)),
        )

    async def get_global_rollout_artifact(self, rollout_id: Id, artifact_path: str) -> bytes:
        """Get the content of an artifact, checked against its SHA-256.

        Like all downloads it resumes after a broken connection, with up to ``max_retries`` further
        requests. To write it to a file, or to follow its progress, use
        ``agent_rollouts.download_artifact``.

        Args:
            rollout_id: Id of the rollout.
            artifact_path: The artifact's ``path``, or its ``artifact_id``.

        Returns:
            The content.

        Raises:
            NotFoundError: There is no such rollout or artifact, or its content was deleted
                (``code`` is ``artifact_expired``).
            ContentMismatchError: The download differs from the stored content.
        """
        return await self._content(*self._artifact_call(rollout_id, artifact_path))

    async def get_global_rollout_artifacts_zip(self, rollout_id: Id) -> bytes:
        """Get a ZIP archive of all artifacts of a rollout, each under its ``path``.

        Args:
            rollout_id: Id of the rollout.

        Returns:
            The archive.

        Raises:
            NotFoundError: There is no such rollout.
        """
        return await self._content(*self._archive_call(rollout_id))

    async def get_global_rollout_support_bundle(self, rollout_id: Id) -> bytes:
        """Get a ZIP archive of all data that the service has about a rollout, without secrets.

        Args:
            rollout_id: Id of the rollout.

        Returns:
            The archive.

        Raises:
            NotFoundError: There is no such rollout.
        """
        return await self._content(*self._bundle_call(rollout_id))

    async def get_global_rollout_trajectory(
        self, rollout_id: Id, *, step: int | str | None = None
    ) -> dict[str, Any]:
        """Get what happened in a rollout, step by step, in ATIF.

        Args:
            rollout_id: Id of the rollout.
            step: The number of a step, or the first and last, as ``"3..5"``, ``"3.."`` or
                ``"..5"``; None for all.

        Returns:
            The trajectory.

        Raises:
            NotFoundError: There is no such rollout, or it has no trajectory.
            ValidationFailedError: ``step`` is something else.
        """
        rollout_id = path_segment(rollout_id, "rollout_id")
        build = api.agent_rollouts.get_global_rollout_trajectory._get_kwargs
        call = build(rollout_id, step=or_unset(None if step is None else str(step)))
        return await self._transport.request("get_global_rollout_trajectory", call)

    def _artifact_call(self, rollout_id: Id, artifact_path: str) -> tuple[OperationId, Call]:
        rollout_id = path_segment(rollout_id, "rollout_id")
        artifact_path = path_segment(artifact_path, "artifact_path")
        build = api.agent_rollouts.get_global_rollout_artifact._get_kwargs
        return "get_global_rollout_artifact", build(rollout_id, artifact_path)

    def _archive_call(self, rollout_id: Id) -> tuple[OperationId, Call]:
        rollout_id = path_segment(rollout_id, "rollout_id")
        build = api.agent_rollouts.get_global_rollout_artifacts_zip._get_kwargs
        return "get_global_rollout_artifacts_zip", build(rollout_id)

    def _bundle_call(self, rollout_id: Id) -> tuple[OperationId, Call]:
        rollout_id = path_segment(rollout_id, "rollout_id")
        build = api.agent_rollouts.get_global_rollout_support_bundle._get_kwargs
        return "get_global_rollout_support_bundle", build(rollout_id)
