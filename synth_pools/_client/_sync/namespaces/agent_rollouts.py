# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/namespaces/agent_rollouts.py

"""``client.agent_rollouts``: rollouts of all pools and their artifacts, under short names."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synth_pools._client._sync.facade.agent_rollouts import AgentRolloutOperations
from synth_pools._client.arguments import check_flag, check_limit

if TYPE_CHECKING:
    from synth_pools._client._sync.event_stream import EventStream
    from synth_pools._client._sync.pagination import Items
    from synth_pools._client.http.content import OnProgress


class ArtifactFiles:
    """What a rollout left behind, as bytes or as files.

    Those that write a file return its path. ``to`` is a file, or a folder that exists, in which the
    file gets the name that it has at the service, without anything in it that would lead elsewhere.
    The file is there only once it is whole: until then it has another name beside it, and where
    the download fails nothing of it is left, and a file that was there before is as it was. A
    connection that breaks is taken up again where it broke, in up to ``max_retries`` further
    requests. ``on_progress`` is called with the number of bytes that are here and the number that
    there will be, None where the service does not say; what it raises ends the download.

    They raise, beside what `Operations` names:
        NotFoundError: There is no such rollout or artifact, or its content is no longer kept
            (``code`` is ``artifact_expired``).
        ContentMismatchError: What came is not what the service names by its SHA-256.
        OSError: The file cannot be written.
    """

    _client: AgentRolloutOperations

    def artifact(self, rollout_id: str, path: str) -> bytes:
        """Short for `get_global_rollout_artifact`."""
        return self._client.get_global_rollout_artifact(rollout_id, path)

    def artifacts_zip(self, rollout_id: str) -> bytes:
        """Short for `get_global_rollout_artifacts_zip`."""
        return self._client.get_global_rollout_artifacts_zip(rollout_id)

    def support_bundle(self, rollout_id: str) -> bytes:
        """Short for `get_global_rollout_support_bundle`."""
        return self._client.get_global_rollout_support_bundle(rollout_id)

    def download_artifact(
        self,
        rollout_id: str,
        path: str,
        to: str | os.PathLike[str],
        *,
        on_progress: OnProgress | None = None,
    ) -> Path:
        """Write an artifact to a file.

        Args:
            rollout_id: The rollout.
            path: The artifact's ``path``, or its ``artifact_id``.
            to: The file, or the folder for it.
            on_progress: Called as bytes come.
        """
        from synth_pools._client._sync.downloads import save_content

        call = self._client._artifact_call(rollout_id, path)
        return save_content(self._client._transport, *call, to, path, on_progress)

    def download_artifacts_zip(
        self,
        rollout_id: str,
        to: str | os.PathLike[str],
        *,
        on_progress: OnProgress | None = None,
    ) -> Path:
        """Write a ZIP archive of all artifacts of a rollout to a file.

        Args:
            rollout_id: The rollout.
            to: The file, or the folder for ``<rollout_id>-artifacts.zip``.
            on_progress: Called as bytes come.
        """
        from synth_pools._client._sync.downloads import save_content

        call, name = self._client._archive_call(rollout_id), f"{rollout_id}-artifacts.zip"
        return save_content(self._client._transport, *call, to, name, on_progress)

    def download_support_bundle(
        self,
        rollout_id: str,
        to: str | os.PathLike[str],
        *,
        on_progress: OnProgress | None = None,
    ) -> Path:
        """Write all that the service knows of a rollout, without secrets, to a ZIP archive.

        Args:
            rollout_id: The rollout.
            to: The file, or the folder for ``<rollout_id>-support.zip``.
            on_progress: Called as bytes come.
        """
        from synth_pools._client._sync.downloads import save_content

        call, name = self._client._bundle_call(rollout_id), f"{rollout_id}-support.zip"
        return save_content(self._client._transport, *call, to, name, on_progress)


class AgentRolloutsNamespace(ArtifactFiles):
    """``client.agent_rollouts``: rollouts without naming their pool."""

    def __init__(self, client: AgentRolloutOperations) -> None:
        self._client = client

    def iter(
        self,
        *,
        state: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        prefetch: bool = False,
    ) -> Items:
        """Short for `iter_global_rollouts`."""
        return self._client.iter_global_rollouts(
            state=state, limit=limit, cursor=cursor, prefetch=prefetch
        )

    def wait(
        self,
        rollout_id: str,
        *,
        timeout: float | None = None,
        cancel_on_timeout: bool = False,
    ) -> dict[str, Any]:
        """Wait until a rollout has ended, like `wait_rollout`.

        Args:
            rollout_id: The rollout.
            timeout: Seconds; None for no limit.
            cancel_on_timeout: Cancel the rollout when the time is over; else it is left as it is.

        Returns:
            The rollout.

        Raises:
            WaitTimeoutError: It has not ended in time; ``last`` is how it was seen last.
            NotFoundError: There is no such rollout.
        """
        from synth_pools._client._sync.waiters import wait_for_rollout

        check_limit(timeout, "timeout")
        check_flag(cancel_on_timeout, "cancel_on_timeout")
        return wait_for_rollout(
            self._client._transport,
            self._client._global_path(rollout_id),
            timeout=timeout,
            cancel_on_timeout=cancel_on_timeout,
        )

    def create(
        self, request: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Short for `create_global_rollout`."""
        return self._client.create_global_rollout(request, idempotency_key=idempotency_key)

    def validate(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """Short for `validate_rollout`."""
        return self._client.validate_rollout(request)

    def create_batch(
        self, request: Mapping[str, Any], *, idempotency_key: str | None = None
    ) -> dict[str, Any]:
        """Short for `create_rollout_batch`."""
        return self._client.create_rollout_batch(request, idempotency_key=idempotency_key)

    def replay(self, rollout_id: str, *, idempotency_key: str | None = None) -> dict[str, Any]:
        """Short for `replay_rollout`."""
        return self._client.replay_rollout(rollout_id, idempotency_key=idempotency_key)

    def get(self, rollout_id: str) -> dict[str, Any]:
        """Short for `get_global_rollout`."""
        return self._client.get_global_rollout(rollout_id)

    def list(
        self, *, state: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> dict[str, Any]:
        """Short for `list_global_rollouts`."""
        return self._client.list_global_rollouts(state=state, limit=limit, cursor=cursor)

    def cancel(self, rollout_id: str) -> dict[str, Any]:
        """Short for `cancel_global_rollout`."""
        return self._client.cancel_global_rollout(rollout_id)

    def artifacts(self, rollout_id: str) -> dict[str, Any]:
        """Short for `get_global_rollout_artifacts`."""
        return self._client.get_global_rollout_artifacts(rollout_id)

    def usage(self, rollout_id: str) -> dict[str, Any]:
        """Short for `get_global_rollout_usage`."""
        return self._client.get_global_rollout_usage(rollout_id)

    def summary(self, rollout_id: str) -> dict[str, Any]:
        """Short for `get_global_rollout_summary`."""
        return self._client.get_global_rollout_summary(rollout_id)

    def events(self, rollout_id: str, *, cursor: str | None = None) -> EventStream:
        """Short for `stream_global_rollout_events`."""
        return self._client.stream_global_rollout_events(rollout_id, cursor=cursor)
