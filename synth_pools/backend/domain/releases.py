"""Images of pools and tasks that are bound to image releases."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from typing import Any

from synth_pools.backend.domain.definitions import config_of, image_of

_LIMITS = ("memory_mb", "cpus", "pids")


def bound_image(
    base: Mapping[str, Any] | None, release: Mapping[str, Any], reference: str
) -> dict[str, Any]:
    """Return `config.image` for a release: its own fields over those of the pool.

    Args:
        base: `config.image` of the pool, without a release; None if it has none.
        release: The definition of the release.
        reference: The reference of its image.
    """
    image = {**(base or {}), "image": reference}
    if entrypoint := release.get("entrypoint"):
        image["command"] = _words(entrypoint)
    if variables := release.get("env_vars"):
        image["env"] = {**(image.get("env") or {}), **variables}
    limits = release.get("limits") or {}
    image.update((name, limits[name]) for name in _LIMITS if limits.get(name) is not None)
    return image


def current_releases(
    releases: Mapping[str, dict[str, Any]], definition: Mapping[str, Any], task_ids: set[str]
) -> dict[str, dict[str, Any]]:
    """Return the bindings that remain with a definition and the tasks of their pool."""
    image = image_of(definition) or {}
    return {
        task_id: bound
        for task_id, bound in releases.items()
        if task_id in task_ids
        and ("base" not in bound or bound["image"]["image"] == image.get("image"))
    }


def definitions_of_tasks(
    definition: Mapping[str, Any], releases: Mapping[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Return definitions of the tasks that have containers of their own, as of pools."""
    config = {name: value for name, value in config_of(definition).items() if name != "process"}
    return {
        task_id: {"config": {**config, "image": bound["image"]}}
        for task_id, bound in releases.items()
        if "base" not in bound
    }


def place_of(pool_id: str, task_id: str) -> str:
    """Return the name of the place of a task's own containers; no id of a pool has a space."""
    return f"{pool_id} {task_id}"


def pool_of(place: str) -> str:
    """Return the id of the pool that a place belongs to."""
    return place.partition(" ")[0]


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:
        # A quotation mark that is not closed.
        return text.split()
