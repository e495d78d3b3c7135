"""Artifacts of rollouts, as bytes or as files, with or without naming their pool."""

from __future__ import annotations

import os
from pathlib import Path

from synth_pools._client._async.facade.agent_rollouts import AsyncAgentRolloutOperations
from synth_pools._client._async.facade.base import AsyncNamespace
from synth_pools._client._async.facade.rollouts import AsyncRolloutOperations
from synth_pools._client.http.content import OnProgress


class AsyncArtifactFiles(AsyncNamespace):
    """Artifacts of a rollout, as bytes or as files.

    Those that write a file return its path. ``to`` is a file, or a folder that exists, in which the
    file gets the name that it has at the service, without anything in it that would lead elsewhere.
    The file is there only once it is whole: until then it has another name beside it, and where
    the download fails nothing of it is left, and a file that was there before is as it was. A
    connection that breaks is taken up again where it broke, in up to ``max_retries`` further
    requests. ``on_progress`` is called with the number of bytes that are here and the number that
    there will be, None where the service does not say; what it raises ends the download.

    They raise, beside what `AsyncOperations` names:
        NotFoundError: There is no such rollout or artifact, or its content is no longer kept
            (``code`` is ``artifact_expired``).
        ContentMismatchError: What came is not what the service names by its SHA-256.
        OSError: The file cannot be written.
    """

    def __init__(self, client: AsyncAgentRolloutOperations) -> None:
        self._client = client

    async def download_artifact(
        self,
        rollout_id: str,
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
            on_progress: Called as bytes come.
        """
        call = self._client._artifact_call(rollout_id, path)
        return await self._client._save(*call, to, path, on_progress)

    async def download_artifacts_zip(
        self,
        rollout_id: str,
        to: str | os.PathLike[str],
        *,
        on_progress: OnProgress | None = None,
    ) -> Path:
        """Write a ZIP archive of all artifacts of a rollout to a file.

        Args:
            rollout_id: Id of the rollout.
            to: The file, or the folder for ``<rollout_id>-artifacts.zip``.
            on_progress: Called as bytes come.
        """
        call, name = self._client._archive_call(rollout_id), f"{rollout_id}-artifacts.zip"
        return await self._client._save(*call, to, name, on_progress)

    async def download_support_bundle(
        self,
        rollout_id: str,
        to: str | os.PathLike[str],
        *,
        on_progress: OnProgress | None = None,
    ) -> Path:
        """Write all that the service knows of a rollout, without secrets, to a ZIP archive.

        Args:
            rollout_id: Id of the rollout.
            to: The file, or the folder for ``<rollout_id>-support.zip``.
            on_progress: Called as bytes come.
        """
        call, name = self._client._bundle_call(rollout_id), f"{rollout_id}-support.zip"
        return await self._client._save(*call, to, name, on_progress)


class AsyncPoolArtifactFiles(AsyncNamespace):
    """Artifacts of a rollout of one pool, as `AsyncArtifactFiles` has them.

    The API has downloads without pools only. So each of these first asks for the rollout under its
    pool: one of another pool is a `NotFoundError`, and nothing of it is downloaded.
    """

    _client: AsyncRolloutOperations

    async def artifact(self, pool_id: str, rollout_id: str, path: str) -> bytes:
        """Get the content of an artifact, checked against the SHA-256 that the service names.

        It is `agent_rollouts.artifact` of a rollout that is first asked for under its pool.

        Args:
            pool_id: Id of the pool.
            rollout_id: Id of the rollout.
            path: The artifact's ``path``, or its ``artifact_id``.

        Returns:
            The content.

        Raises:
            NotFoundError: The pool has no such rollout, there is no such artifact, or its content
                is no longer kept (``code`` is ``artifact_expired``).
            ContentMismatchError: What came is something else.
        """
        operations = self._operations(pool_id, rollout_id)
        return await operations.get_global_rollout_artifact(rollout_id, path)

    async def artifacts_zip(self, pool_id: str, rollout_id: str) -> bytes:
        """Get a ZIP archive of all artifacts of a rollout, each under its ``path``.

        It is `agent_rollouts.artifacts_zip` of a rollout that is first asked for under its pool.

        Args:
            pool_id: Id of the pool.
            rollout_id: Id of the rollout.

        Returns:
            The archive.

        Raises:
            NotFoundError: The pool has no such rollout.
        """
        operations = self._operations(pool_id, rollout_id)
        return await operations.get_global_rollout_artifacts_zip(rollout_id)

    async def support_bundle(self, pool_id: str, rollout_id: str) -> bytes:
        """Get a ZIP archive of all that the service knows of a rollout, without secrets.

        It is `agent_rollouts.support_bundle` of a rollout that is first asked for under its pool.

        Args:
            pool_id: Id of the pool.
            rollout_id: Id of the rollout.

        Returns:
            The archive.

        Raises:
            NotFoundError: The pool has no such rollout.
        """
        operations = self._operations(pool_id, rollout_id)
        return await operations.get_global_rollout_support_bundle(rollout_id)

    async def download_artifact(
        self,
        pool_id: str,
        rollout_id: str,
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
            on_progress: Called as bytes come.
        """
        files = AsyncArtifactFiles(self._operations(pool_id, rollout_id))
        return await files.download_artifact(rollout_id, path, to, on_progress=on_progress)

    async def download_artifacts_zip(
        self,
        pool_id: str,
        rollout_id: str,
        to: str | os.PathLike[str],
        *,
        on_progress: OnProgress | None = None,
    ) -> Path:
        """Write a ZIP archive of all artifacts of a rollout to a file, and return its path.

        Args:
            pool_id: Id of the pool.
            rollout_id: Id of the rollout.
            to: The file, or the folder for ``<rollout_id>-artifacts.zip``.
            on_progress: Called as bytes come.
        """
        files = AsyncArtifactFiles(self._operations(pool_id, rollout_id))
        return await files.download_artifacts_zip(rollout_id, to, on_progress=on_progress)

    async def download_support_bundle(
        self,
        pool_id: str,
        rollout_id: str,
        to: str | os.PathLike[str],
        *,
        on_progress: OnProgress | None = None,
    ) -> Path:
        """Write all that the service knows of a rollout, without secrets, to a ZIP archive.

        Args:
            pool_id: Id of the pool.
            rollout_id: Id of the rollout.
            to: The file, or the folder for ``<rollout_id>-support.zip``.
            on_progress: Called as bytes come.
        """
        files = AsyncArtifactFiles(self._operations(pool_id, rollout_id))
        return await files.download_support_bundle(rollout_id, to, on_progress=on_progress)

    def _operations(self, pool_id: str, rollout_id: str) -> AsyncAgentRolloutOperations:
        operations = AsyncAgentRolloutOperations._on(self._client._transport)
        operations._first = self._client._summary_call(pool_id, rollout_id)
        return operations
