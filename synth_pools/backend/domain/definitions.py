"""Definitions of pools and tasks: as callers send them, and as answers show them.

The caller's fields are stored under one spelling; defaults and the other spellings are added to
answers. So `null` and PUT can restore a default, even if it has changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from synth_pools.backend.domain import json_text
from synth_pools.backend.domain.errors import ApiError, conflict, id_mismatch

TARGETS = ("harbor", "openenv", "horizons", "horizons_private", "arbitrary")
DEFAULT_TARGET = "arbitrary"
DEFAULT_CAPACITY = 1
DEFAULT_CONCURRENCY = 8
_MOST_STARTS = 1000

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}")

# Maps the other spelling to the stored one, which takes precedence.
_POOL_ALIASES = {"pool_config": "config", "pool_metadata": "metadata"}
_POOL_OWNED = frozenset(
    {"id", "pool_id", "status", "state", "created_at", "updated_at", "archived_at"}
)
_POOL_FIELDS = frozenset(
    {
        "name",
        "target",
        "backend",
        "config",
        "metadata",
        "capacity",
        "concurrency",
        "container_url",
        "container_urls",
    }
)
_TASK_OWNED = frozenset({"id", "task_id", "pool_id", "status", "created_at", "updated_at"})
_TASK_FIELDS = frozenset({"backend", "task_config", "task_metadata", "container_url"})


def can_be_id(text: str) -> bool:
    """Return True for a valid id; SQLite may fail to look up other texts."""
    return _ID.fullmatch(text) is not None


def named_id(body: Mapping[str, Any], *spellings: str) -> str | None:
    """Return the id in a body, in either spelling."""
    ids = [body[spelling] for spelling in spellings if body.get(spelling) is not None]
    if any(other_id != ids[0] for other_id in ids):
        raise id_mismatch(f"{' and '.join(spellings)} are given and differ.")
    return ids[0] if ids else None


def require_same_id(body: Mapping[str, Any], expected: str, *spellings: str) -> None:
    """Refuse a body whose id differs from that of its path."""
    body_id = named_id(body, *spellings)
    if body_id is not None and body_id != expected:
        raise id_mismatch(f"The path says {expected!r}, the body another {spellings[0]}.")


def pool_definition(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields to store of a complete pool body; its tasks are stored separately."""
    return _pool_spelling(_without_nulls(body, _POOL_FIELDS | _POOL_ALIASES.keys()))


def patched_pool(definition: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored pool definition with a patch applied."""
    merged: dict[str, Any] = merge_patch(definition, _pool_spelling(patch))
    return merged


def task_definition(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields to store of a complete task body."""
    fields = {key: value for key, value in body.items() if key not in _TASK_OWNED}
    return _without_nulls(fields, _TASK_FIELDS)


def patched_task(definition: Mapping[str, Any], patch: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored task definition with a patch applied."""
    fields = {key: value for key, value in patch.items() if key not in _TASK_OWNED}
    merged: dict[str, Any] = merge_patch(definition, fields)
    return merged


def named_tasks(bodies: Iterable[Mapping[str, Any]]) -> list[tuple[str | None, dict[str, Any]]]:
    """Return the ids, if given, and the definitions of the tasks in a pool body."""
    tasks: list[tuple[str | None, dict[str, Any]]] = []
    task_ids: set[str] = set()
    for body in bodies:
        task_id = named_id(body, "task_id", "id")
        if task_id is not None and task_id in task_ids:
            raise task_exists(task_id)
        if task_id is not None:
            task_ids.add(task_id)
        tasks.append((task_id, task_definition(body)))
    return tasks


def task_exists(task_id: str) -> ApiError:
    """Build the error 409 `task_exists`."""
    return conflict("task_exists", f"Task {task_id!r} exists already.")


def pool_view(definition: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored pool definition with every default and both spellings."""
    target = definition.get("target")
    backend = definition.get("backend")
    if target is None:
        target = backend if backend in TARGETS else DEFAULT_TARGET
    config = definition.get("config", {})
    metadata = definition.get("metadata", {})
    view = {
        # The caller puts the id, unknown here, in place of a missing name.
        "name": definition.get("name"),
        "target": target,
        "backend": target if backend is None else backend,
        "config": config,
        "pool_config": config,
        "metadata": metadata,
        "pool_metadata": metadata,
        "capacity": definition.get("capacity", DEFAULT_CAPACITY),
        "concurrency": definition.get("concurrency", DEFAULT_CONCURRENCY),
        "container_url": definition.get("container_url"),
        "container_urls": _listed_urls(definition),
    }
    view.update((key, value) for key, value in definition.items() if key not in view)
    return view


class StartRate(NamedTuple):
    """Rate of starts: the largest number of them in any period of this length."""

    number: int
    seconds: float


def start_rate(definition: Mapping[str, Any]) -> StartRate | None:
    """Return the rate at which rollouts of a pool may start; None if it has no limit."""
    most = config_of(definition).get("max_starts_per_second")
    # Databases may be older than this field, and hold anything under its name.
    if not json_text.is_number(most) or not 0 < most <= _MOST_STARTS:
        return None
    return StartRate(int(most), 1.0) if most >= 1 else StartRate(1, 1 / most)


def container_urls(definition: Mapping[str, Any]) -> list[str]:
    """Return the distinct addresses of a pool's containers; empty if it names none."""
    first = definition.get("container_url")
    listed = _listed_urls(definition)
    return list(dict.fromkeys(listed if first is None else [first, *listed]))


def lacks_containers(definition: Mapping[str, Any]) -> bool:
    """Return True if a pool has a target of its own, and names nothing that would run there."""
    has_target = pool_view(definition)["target"] != DEFAULT_TARGET
    return has_target and not container_urls(definition) and not starts_containers(definition)


def container_key_env(definition: Mapping[str, Any]) -> str | None:
    """Return the environment variable with the key of a pool's containers."""
    name = config_of(definition).get("container_key_env")
    return name if isinstance(name, str) else None


def submits_asynchronously(definition: Mapping[str, Any]) -> bool:
    """Return True if the pool's containers are polled for the end of a rollout."""
    return config_of(definition).get("submission_mode") == "async"


def telemetry_of(definition: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the telemetry settings that a pool's containers get with each rollout."""
    telemetry = config_of(definition).get("telemetry")
    return telemetry if isinstance(telemetry, dict) else None


def starts_containers(definition: Mapping[str, Any]) -> bool:
    """Return True if the backend starts the containers of a pool."""
    return process_of(definition) is not None or image_of(definition) is not None


def process_of(definition: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the command that starts a container of a pool."""
    process = config_of(definition).get("process")
    if not isinstance(process, dict):
        return None
    # Databases may be older than this field, and hold anything under its name.
    argv, env = process.get("argv"), process.get("env")
    is_ours = isinstance(argv, list) and argv and all(isinstance(text, str) for text in argv)
    return process if is_ours and (env is None or isinstance(env, Mapping)) else None


def image_of(definition: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the image of a pool's containers."""
    image = config_of(definition).get("image")
    # Databases may be older than this field, and hold anything under its name.
    is_ours = isinstance(image, dict) and isinstance(image.get("image"), str)
    return image if is_ours else None


def task_view(definition: Mapping[str, Any], pool: Mapping[str, Any]) -> dict[str, Any]:
    """Return a stored task definition with every default; `pool` is the view of its pool."""
    view = {
        "backend": definition.get("backend", pool["backend"]),
        "task_config": definition.get("task_config", {}),
        "task_metadata": definition.get("task_metadata", {}),
        "container_url": definition.get("container_url"),
    }
    view.update((key, value) for key, value in definition.items() if key not in view)
    return view


def merge_patch(target: Any, patch: Any) -> Any:
    """Apply a JSON merge patch (RFC 7396); neither argument is changed."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def _pool_spelling(body: Mapping[str, Any]) -> dict[str, Any]:
    fields = {
        key: value
        for key, value in body.items()
        if key not in _POOL_OWNED and key != "tasks" and key not in _POOL_ALIASES
    }
    for alias, spelling in _POOL_ALIASES.items():
        if alias in body and spelling not in body:
            fields[spelling] = body[alias]
    return fields


def _without_nulls(body: Mapping[str, Any], fields: frozenset[str]) -> dict[str, Any]:
    # Null means that a known field is not given; unknown fields are kept as they were sent.
    return {key: value for key, value in body.items() if value is not None or key not in fields}


def _listed_urls(definition: Mapping[str, Any]) -> list[str]:
    # Databases may be older than this field, and hold anything under its name.
    urls = definition.get("container_urls")
    return [url for url in urls if isinstance(url, str)] if isinstance(urls, list) else []


def config_of(definition: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings of a pool; empty if it has none."""
    config = definition.get("config")
    return config if isinstance(config, dict) else {}
