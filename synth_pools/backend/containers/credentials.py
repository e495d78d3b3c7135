"""Keys of containers, read from environment variables of the backend.

A pool names the variable; the operator of the backend lists the allowed ones. Otherwise a client
could have any variable sent to any container.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from synth_pools.backend.domain import json_text
from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.domain.target import TargetError
from synth_pools.backend.settings import Secret, Settings
from synth_pools.serving.masking import HIDDEN, LONGEST_SPELLING, spellings, with_texts

FORBIDDEN_KEY = "forbidden_container_key"
MISSING_KEY = "container_key_missing"

_ALWAYS_ALLOWED = "ENVIRONMENT_API_KEY"
_ALLOWED_PREFIX = "CONTAINER_API_KEY"

# A shorter text may appear in an answer by chance, and so cannot be masked there.
SHORTEST_KEY = 8

# An answer with more values is refused anyway.
_MOST_MASKED = 10_000_000


def check_container_key(definition: Mapping[str, Any], settings: Settings) -> None:
    """Raise 403 if a pool names a variable that is not allowed, or that holds no key."""
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
        settings: The options of the backend, with the allowed variables.

    Raises:
        ApiError: 403 if the variable is not allowed.
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


def mask_key(key: Secret | None, raw: bytes) -> bytes:
    """Mask the key in an answer, in any JSON spelling.

    Args:
        key: The container's key; None if none was sent.
        raw: The answer. JSON is parsed, masked in its names and strings, and serialized again.

    Returns:
        The answer without the key; the same bytes if it does not hold the key.
    """
    if key is None or not holds_key(key, raw):
        return raw
    return mask_text(key.reveal(), raw)


def holds_key(key: Secret, raw: bytes) -> bool:
    """Return True if an answer holds the key, in any JSON spelling."""
    text = key.reveal()
    if b"\\" not in raw and text.encode() not in raw:
        return False
    longest = len(text) * LONGEST_SPELLING
    return _contains(raw, re.compile(spellings(text).encode()), longest)


def mask_text(text: str, raw: bytes) -> bytes:
    """Mask a text in an answer that holds it.

    Args:
        text: The key as plain text, which can be sent to another process.
        raw: The answer.
    """
    spelling = spellings(text)
    try:
        document = json_text.loads(raw, most_values=_MOST_MASKED)
    except json_text.BrokenJsonError:
        return re.sub(spelling.encode(), HIDDEN.encode(), raw)
    hide = partial(re.compile(spelling).sub, HIDDEN)
    return json_text.dumps(with_texts(document, hide)).encode("ascii")


def _contains(raw: bytes, pattern: re.Pattern[bytes], longest: int) -> bool:
    # In parts, since a regular expression holds up every other thread.
    return any(
        pattern.search(raw, begin, begin + json_text.LARGE + longest)
        for begin in range(0, len(raw), json_text.LARGE)
    )


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
    if len(value) < SHORTEST_KEY:
        return f"holds fewer than {SHORTEST_KEY} characters"
    return None


def _forbidden(message: str) -> ApiError:
    return ApiError(403, FORBIDDEN_KEY, message)
