"""Permission of the operator to start the containers of pools."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from synth_pools.backend.domain.definitions import image_of, process_of
from synth_pools.backend.domain.errors import ApiError, conflict
from synth_pools.backend.errors import BadOptionError
from synth_pools.backend.processes.engine import UNAVAILABLE, installed, missing
from synth_pools.backend.processes.image_spec import ImageSpec, is_placed_by_ray
from synth_pools.backend.processes.spec import RAY
from synth_pools.backend.settings import Settings

# Errors of a pool that may not recur in the next run of the backend, which tries again.
REFUSALS = frozenset(
    {"processes_not_allowed", "images_not_allowed", "ray_not_allowed", UNAVAILABLE}
)


def start_refusal(definition: Mapping[str, Any], settings: Settings) -> ApiError | None:
    """Return an error if the containers of a pool cannot be started.

    Args:
        definition: The pool's definition, or a patch of it.
        settings: The permissions of the operator.
    """
    image = ImageSpec.of(definition)
    if image is not None and process_of(definition) is not None:
        return conflict(
            "config_conflict",
            "config.process and config.image are both given, and a pool starts one of them: set "
            "the other to null.",
        )
    refusal = permission_refusal(definition, settings)
    if refusal is not None or image is None or image.launcher == RAY:
        # The other machine checks its own engines and folders.
        return refusal
    if installed(image.launcher) is None:
        message = f"config.image cannot be started: {missing(image.launcher)}."
        return conflict(UNAVAILABLE, message)
    return mount_refusal(image.mounts, settings.mount_folders)


def permission_refusal(definition: Mapping[str, Any], settings: Settings) -> ApiError | None:
    """Return an error if the operator does not allow the kind of start that a pool asks for."""
    process, image = process_of(definition), image_of(definition)
    on_ray = is_placed_by_ray(process), is_placed_by_ray(image)
    if any(on_ray) and settings.ray is None:
        return ApiError(
            403,
            "ray_not_allowed",
            "`launcher: ray` asks this backend to have containers placed by a Ray cluster, which "
            "it does only where it was started with --ray.",
        )
    if process is not None and not (on_ray[0] or settings.allow_processes):
        return ApiError(
            403,
            "processes_not_allowed",
            "config.process asks this backend to start processes, which it does only where it was "
            "started with --allow-processes.",
        )
    if image is not None and not (on_ray[1] or settings.allow_images):
        return ApiError(
            403,
            "images_not_allowed",
            "config.image asks this backend to start containers of an image, which it does only "
            "where it was started with --allow-images.",
        )
    return None


def mount_refusal(mounts: Iterable[tuple[str, str]], folders: Sequence[Path]) -> ApiError | None:
    """Return an error for the first path that may not be mounted, with its links resolved.

    Args:
        mounts: Paths of this machine and of the container.
        folders: The real paths of the folders that the operator allows.
    """
    for source, _ in mounts:
        real = Path(source).resolve()
        if not any(real.is_relative_to(folder) for folder in folders):
            return ApiError(
                403,
                "images_not_allowed",
                f"config.image.mounts: {source[:255]!r} is in none of the folders that this "
                "backend was started with as --mount-folder.",
            )
    return None


def check_engines(settings: Settings) -> None:
    """Check that images can be started, if the settings allow them.

    Raises:
        BadOptionError: This machine has no engine.
    """
    if settings.allow_images and installed(None) is None:
        raise BadOptionError(f"allow_images: {missing(None)}, or do without the option")
