# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/artifact_files.py

"""The nested spellings of downloads, and those that write a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from synth_pools._client._sync.facade.agent_rollouts import AgentRolloutOperations

if TYPE_CHECKING:
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
