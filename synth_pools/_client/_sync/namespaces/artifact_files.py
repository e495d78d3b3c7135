# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/namespaces/artifact_files.py

"""Artifacts of rollouts, as bytes or as files, with or without naming their pool."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from synth_pools._client._sync.facade.agent_rollouts import AgentRolloutOperations
from synth_pools._client._sync.facade.base import Namespace
from synth_pools._client._sync.facade.rollouts import RolloutOperations
from synth_pools._client.http.content import OnProgress
from synth_pools_api.types import Id


class ArtifactFiles(Namespace):
    """Artifacts of a rollout, as bytes or as files.

    Methods that write a file return its path. ``to`` is a file or an existing folder; in a folder
    the file has the name from the service, without path components. Until the file is complete it
    has another name in the same folder; then it replaces an earlier one. A link is followed, and a
    device or a pipe written through once the content is complete. A failed download leaves nothing
    behind, and does not change an existing file. A download resumes after a broken connection, with
    up to ``max_retries`` further requests. ``on_progress`` is called with the number of bytes so
    far and in total, None for an unknown total; an error that it raises ends the download.

    Apart from the errors of `Operations` the methods raise:
        NotFoundError: There is no such rollout or artifact, or its content was deleted (``code``
            is ``artifact_expired``).
        ContentMismatchError: The download differs from the announced SHA-256.
        OSError: The file cannot be written.
    """

    def __init__(self, client: AgentRolloutOperations) -> None:
        self._client = client

    def download_artifact(
        self,
        rollout_id: Id,
        path: str,
        to: str | os.PathLike[str],
        *,
        on_progress: OnProgress | None = None,
    ) -> Path:
        """Write an artifact to a file.

        Args:
            rollout_id: Id of the rollout.
            path: The artifact's ``path``, or its ``artifact_id``.
            to: The file, or the folder for it.
            on_progress: Called as bytes arrive.
        """
        call = self._client._artifact_call(rollout_id, path)
        return self._client._save(*call, to, path, on_progress)

    def download_artifacts_zip(
        self, rollout_id: Id, to: str | os.PathLike[str], *, on_progress: OnProgress | None = None
    ) -> Path:
        """Write a ZIP archive of all artifacts of a rollout to a file.

        Args:
            rollout_id: Id of the rollout.
            to: The file, or the folder for ``<rollout_id>-artifacts.zip``.
            on_progress: Called as bytes arrive.
        """
        call, name = self._client._archive_call(rollout_id), f"{rollout_id}-artifacts.zip"
        return self._client._save(*call, to, name, on_progress)

    def download_support_bundle(
        self, rollout_id: Id, to: str | os.PathLike[str], *, on_progress: OnProgress | None = None
    ) -> Path:
        """Write all data that the service has about a rollout, without secrets, to a ZIP archive.

        Args:
            rollout_id: Id of the rollout.
            to: The file, or the folder for ``<rollout_id>-support.zip``.
            on_progress: Called as bytes arrive.
        """
        call, name = self._client._bundle_call(rollout_id), f"{rollout_id}-support.zip"
        return self._client._save(*call, to, name, on_progress)


class PoolArtifactFiles(Namespace):
    """Artifacts of a rollout of one pool, like `ArtifactFiles`.

    Downloads of the API do not name a pool. So each method first looks up the rollout under its
    pool: for a rollout of another pool it raises `NotFoundError` and downloads nothing.
    """

    _client: RolloutOperations

    def artifact(self, pool_id: Id, rollout_id: Id, path: str) -> bytes:
        """Get the content of an artifact, checked against its SHA-256.

        Like `agent_rollouts.artifact`, after a look-up of the rollout under its pool.

        Args:
            pool_id: Id of the pool.
            rollout_id: Id of the rollout.
            path: The artifact's ``path``, or its ``artifact_id``.

        Returns:
            The content.

        Raises:
            NotFoundError: The pool has no such rollout, there is no such artifact, or its content
                was deleted (``code`` is ``artifact_expired``).
            ContentMismatchError: The download differs from the stored content.
        """
        operations = self._operations(pool_id, rollout_id)
        return operations.get_global_rollout_artifact(rollout_id, path)

    def artifacts_zip(self, pool_id: Id, rollout_id: Id) -> bytes:
        """Get a ZIP archive of all artifacts of a rollout, each under its ``path``.

        Like `agent_rollouts.artifacts_zip`, after a look-up of the rollout under its pool.

        Args:
            pool_id: Id of the pool.
            rollout_id: Id of the rollout.

        Returns:
            The archive.

        Raises:
            NotFoundError: The pool has no such rollout.
        """
        operations = self._operations(pool_id, rollout_id)
        return operations.get_global_rollout_artifacts_zip(rollout_id)

    def support_bundle(self, pool_id: Id, rollout_id: Id) -> bytes:
        """Get a ZIP archive of all data that the service has about a rollout, without secrets.

        Like `agent_rollouts.support_bundle`, after a look-up of the rollout under its pool.

        Args:
            pool_id: Id of the pool.
            rollout_id: Id of the rollout.

        Returns:
            The archive.

        Raises:
            NotFoundError: The pool has no such rollout.
        """
        operations = self._operations(pool_id, rollout_id)
        return operations.get_global_rollout_support_bundle(rollout_id)

    def trajectory(
        self, pool_id: Id, rollout_id: Id, *, step: int | str | None = None
    ) -> dict[str, Any]:
        """Get what happened in a rollout, step by step, in ATIF.

        Like `agent_rollouts.trajectory`, after a look-up of the rollout under its pool.

        Args:
            pool_id: Id of the pool.
            rollout_id: Id of the rollout.
            step: The number of a step, or the first and last, as ``"3..5"``, ``"3.."`` or
                ``"..5"``; None for all.

        Returns:
            The trajectory.

        Raises:
            NotFoundError: The pool has no such rollout, or it has no trajectory.
            ValidationFailedError: ``step`` is something else.
        """
        operations = self._operations(pool_id, rollout_id)
        return operations.get_global_rollout_trajectory(rollout_id, step=step)

    def download_artifact(
        self,
        pool_id: Id,
        rollout_id: Id,
        path: str,
        to: str | os.PathLike[str],
        *,
        on_progress: OnProgress | None = None,
    ) -> Path:
        """Write an artifact to a file, and return the file's path.

        Args:
            pool_id: Id of the pool.
            rollout_id: Id of the rollout.
            path: The artifact's ``path``, or its ``artifact_id``.
            to: The file, or the folder for it.
            on_progress: Called as bytes arrive.
        """
        files = ArtifactFiles(self._operations(pool_id, rollout_id))
        return files.download_artifact(rollout_id, path, to, on_progress=on_progress)

    def download_artifacts_zip(
        self,
        pool_id: Id,
        rollout_id: Id,
        to: str | os.PathLike[str],
        *,
        on_progress: OnProgress | None = None,
    ) -> Path:
        """Write a ZIP archive of all artifacts of a rollout to a file, and return its path.

        Args:
            pool_id: Id of the pool.
            rollout_id: Id of the rollout.
            to: The file, or the folder for ``<rollout_id>-artifacts.zip``.
            on_progress: Called as bytes arrive.
        """
        files = ArtifactFiles(self._operations(pool_id, rollout_id))
        return files.download_artifacts_zip(rollout_id, to, on_progress=on_progress)

    def download_support_bundle(
        self,
        pool_id: Id,
        rollout_id: Id,
        to: str | os.PathLike[str],
        *,
        on_progress: OnProgress | None = None,
    ) -> Path:
        """Write all data that the service has about a rollout, without secrets, to a ZIP archive.

        Args:
            pool_id: Id of the pool.
            rollout_id: Id of the rollout.
            to: The file, or the folder for ``<rollout_id>-support.zip``.
            on_progress: Called as bytes arrive.
        """
        files = ArtifactFiles(self._operations(pool_id, rollout_id))
        return files.download_support_bundle(rollout_id, to, on_progress=on_progress)

    def _operations(self, pool_id: Id, rollout_id: Id) -> AgentRolloutOperations:
        operations = AgentRolloutOperations._on(self._client._transport)
        operations._first = self._client._summary_call(pool_id, rollout_id)
        return operations
