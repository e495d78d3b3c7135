"""Keys of containers, read from variables of the backend.

A pool names the variable. The person who runs the backend says which ones may be named: otherwise
whoever may define pools could have any variable sent to any container.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ..domain.errors import ApiError
from ..domain.target import TargetError
from ..errors import BadOptionError
from ..settings import Secret, Settings

FORBIDDEN_KEY = "forbidden_container_key"
MISSING_KEY = "container_key_missing"

_ALWAYS_ALLOWED = "ENVIRONMENT_API_KEY"
_ALLOWED_PREFIX = "CONTAINER_API_KEY"

_NAME = re.compile("[A-Za-z_][A-Za-z0-9_]*")

# A shorter text may be found in an answer by chance; taking it out would harm what is meant.
_SHORTEST_HIDDEN = 8
_HIDDEN = b"***"


def variables(option: str, names: Iterable[str]) -> tuple[str, ...]:
    """Check names of variables as people type them; `BadOptionError` for anything else."""
    if isinstance(names, str):
        raise BadOptionError(f"{option} is a list of names of variables, not one text")
    names = tuple(names)
    for name in names:
        # No word of what it was: somebody may have given the key itself.
        if not _NAME.fullmatch(name):
            raise BadOptionError(f"{option} takes names of environment variables")
    return names


def check_container_key(definition: Mapping[str, Any], settings: Settings) -> None:
    """Raise 403 if a pool names a variable that it may not name, or that holds no key."""
    config = definition.get("config")
    name = config.get("container_key_env") if isinstance(config, Mapping) else None
    if name is None:
        return
    if not isinstance(name, str) or not _is_allowed(name, settings):
        raise _forbidden(
            f"config.container_key_env names {str(name)[:100]!r}: allowed are {_ALWAYS_ALLOWED}, "
            f"names that begin with {_ALLOWED_PREFIX}, and those that the backend was started with."
        )
    if (problem := _problem(os.environ.get(name, ""))) is not None:
        raise _forbidden(f"config.container_key_env names {name!r}, which {problem}.")


def container_key(name: str, url: str, settings: Settings) -> Secret:
    """Read the key for the container at an address.

    Args:
        name: The variable.
        url: The container's URL, for the error.
        settings: The options of the backend, which say what may be named.

    Raises:
        ApiError: 403 if the variable may not be named.
        TargetError: The variable holds no key.
    """
    if not _is_allowed(name, settings):
        raise _forbidden(f"The variable {name!r} may not hold the key of containers here.")
    value = os.environ.get(name, "")
    if (problem := _problem(value)) is not None:
        raise TargetError(
            "container_unreachable",
            f"The variable {name!r} with the key of the container {problem}.",
            {"url": url, "cause": MISSING_KEY},
        )
    return Secret(value)


def without(key: Secret | None, raw: bytes) -> bytes:
    """An answer in which the key that was sent does not come back."""
    value = "" if key is None else key.reveal()
    if len(value) < _SHORTEST_HIDDEN:
        return raw
    escaped = json.dumps(value)[1:-1]
    # As it is, and as a JSON text may have it; some write every slash as an escape.
    for form in dict.fromkeys((value, escaped, escaped.replace("/", "\\/"))):
        raw = raw.replace(form.encode(), _HIDDEN)
    return raw


def _is_allowed(name: str, settings: Settings) -> bool:
    return (
        name == _ALWAYS_ALLOWED
        or name.startswith(_ALLOWED_PREFIX)
        or name in settings.container_key_envs
    )


def _problem(value: str) -> str | None:
    if not value:
        return "is not set"
    if not (value.isascii() and value.isprintable()) or value != value.strip():
        return "does not hold what can be sent as a header"
    return None


def _forbidden(message: str) -> ApiError:
    return ApiError(403, FORBIDDEN_KEY, message)
