"""Artifacts of a finished rollout, as the database has them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import quote

from synth_pools.backend.artifacts.extraction import (
    IN_FILE,
    TRAJECTORY,
    artifacts_of,
    content_bytes,
    plain_bytes,
    trajectory_of,
)
from synth_pools.backend.artifacts.safe_paths import safe_paths
from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.storage.contents.store import ContentStore

# Most existing artifacts that the error for a missing one names.
_MOST_NAMED = 20
# Memory of an artifact that is sent: objects, and its entry in the archive's list.
_HELD_BYTES = 1024


@dataclass(frozen=True, slots=True)
class Artifact:
    """Artifact, and the place of its content."""

    position: int
    # The item of the list, without the URL.
    item: dict[str, Any]
    # True if its content is a file; false if it is in the rollout's result.
    in_file: bool
    # True if retention has removed the content.
    is_gone: bool
    is_trajectory: bool = False
    # Why it is no trajectory in ATIF.
    problem: str | None = None

    @property
    def path(self) -> str:
        return str(self.item["path"])

    @property
    def sha256(self) -> str:
        return str(self.item["sha256"])

    @property
    def size(self) -> int:
        return int(self.item["size_bytes"])

    def listed(self, base_url: str, rollout_id: str) -> dict[str, Any]:
        """Build the item of a list, with its download URL if the content still exists."""
        if self.is_gone:
            return self.item
        place = f"/v1/rollouts/{quote(rollout_id, safe='')}/artifacts/{quote(self.path, safe='')}"
        return {**self.item, "download_url": base_url + place}


def stored_artifacts(text: str, available: Collection[int]) -> list[Artifact]:
    """Read the artifacts of a rollout.

    Args:
        text: The list as JSON text, from the database.
        available: The positions of artifacts whose files still exist.
    """
    items = json.loads(text)
    # Items that were stored before paths were made safe get their path here.
    paths = safe_paths(item["path"] for item in items)
    artifacts = []
    for position, (item, path) in enumerate(zip(items, paths, strict=True)):
        in_file = item.pop(IN_FILE, False)
        is_gone = in_file and position not in available
        marks = (TRAJECTORY in item, item.pop(TRAJECTORY, None))
        artifacts.append(Artifact(position, {**item, "path": path}, in_file, is_gone, *marks))
    return artifacts


def find_artifact(artifacts: Sequence[Artifact], name: str) -> Artifact:
    """Return the artifact with this path, else id; raise 404 if it or its content is missing."""
    for key in ("path", "artifact_id"):
        for artifact in artifacts:
            if artifact.item[key] == name:
                if artifact.is_gone:
                    raise artifact_expired(name)
                return artifact
    paths = [artifact.path for artifact in artifacts[:_MOST_NAMED]]
    others = f" and {len(artifacts) - len(paths)} more" if len(artifacts) > len(paths) else ""
    existing = f"it has {', '.join(map(repr, paths))}{others}" if paths else "it has none"
    raise ApiError(
        404,
        "artifact_not_found",
        f"The rollout has no artifact {name[:255]!r}: {existing}.",
        details={"artifacts": paths},
    )


def find_trajectory(artifacts: Sequence[Artifact]) -> Artifact:
    """Return the trajectory; raise 404 if it is missing, no ATIF, or no longer kept."""
    trajectory = next((artifact for artifact in artifacts if artifact.is_trajectory), None)
    if trajectory is None:
        raise ApiError(404, "artifact_not_found", "The rollout has no trajectory.")
    if trajectory.problem is not None:
        message = (
            f"The trajectory of the rollout is not in ATIF: {trajectory.problem}. Its artifact "
            f"{trajectory.path!r} is as the container wrote it."
        )
        raise ApiError(404, "artifact_not_found", message)
    if trajectory.is_gone:
        raise artifact_expired(trajectory.path)
    return trajectory


def artifact_expired(name: str) -> ApiError:
    return ApiError(
        404, "artifact_expired", f"The content of the artifact {name[:255]!r} is no longer kept."
    )


def contents_in_result(text: str, selection: Sequence[tuple[int, str]]) -> list[bytes]:
    """Read contents from a rollout's result.

    Args:
        text: The result as JSON text.
        selection: The positions of the artifacts, and the hashes of their contents.

    Returns:
        The contents in the order of the selection; they do not refer to the text.
    """
    document = json.loads(text)
    document = document if isinstance(document, dict) else {}
    descriptions = artifacts_of(document)
    if (trajectory := trajectory_of(document)) is not None:
        descriptions.append(trajectory)
    return [
        _content(descriptions[position], sha256) if position < len(descriptions) else b""
        for position, sha256 in selection
    ]


def _content(description: Mapping[str, Any], sha256: str) -> bytes:
    data = content_bytes(description)
    if hashlib.sha256(data).hexdigest() != sha256:
        # Stored by a version that did not decode encodings.
        data = plain_bytes(description.get("content"))
    return data


class Download(NamedTuple):
    """Parts of an artifact in memory while it is sent."""

    path: str
    sha256: str
    size: int
    # None if the content is a file.
    data: bytes | None

    @property
    def held_bytes(self) -> int:
        """Approximate bytes in memory, with the entry in an archive."""
        return _HELD_BYTES + 4 * len(self.path) + len(self.data or b"")

    def pieces(self, store: ContentStore, start: int, end: int) -> Iterator[bytes]:
        """Yield the bytes of the content from `start` to before `end`."""
        if self.data is None:
            yield from store.pieces(self.sha256, self.size, start, end)
        elif start < end:
            yield self.data[start:end]
