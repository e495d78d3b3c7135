"""What `with_options` changes: a configuration that differs in a few points, checked."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from synth_pools._client.arguments import check_idempotency_key
from synth_pools._client.config import KEEP, ClientConfig, Keep, check_max_retries, check_seconds
from synth_pools.errors import ConfigurationError, RequestValidationError

# What the client says itself, or what decides where a request ends.
_OURS = {
    "accept",
    "authorization",
    "connection",
    "content-encoding",
    "content-length",
    "content-type",
    "host",
    "last-event-id",
    "transfer-encoding",
}


def with_options(
    config: ClientConfig,
    *,
    timeout: float | Keep = KEEP,
    max_retries: int | Keep = KEEP,
    deadline: float | Keep | None = KEEP,
    stream_idle_timeout: float | Keep = KEEP,
    headers: Mapping[str, str] | Keep | None = KEEP,
    idempotency_key: str | Keep | None = KEEP,
) -> ClientConfig:
    """``config`` with some settings changed.

    Raises:
        ConfigurationError: A value cannot be used; the message names the argument.
    """
    changes: dict[str, Any] = {}
    if timeout is not KEEP:
        changes["timeout"] = check_seconds("timeout", timeout)
    if max_retries is not KEEP:
        changes["max_retries"] = check_max_retries(max_retries)
    if deadline is not KEEP:
        changes["deadline"] = None if deadline is None else check_seconds("deadline", deadline)
    if stream_idle_timeout is not KEEP:
        changes["stream_idle_timeout"] = check_seconds("stream_idle_timeout", stream_idle_timeout)
    if headers is not KEEP:
        changes["headers"] = () if headers is None else _merge(config.headers, headers)
    if idempotency_key is not KEEP:
        changes["idempotency_key"] = _check_key(idempotency_key)
    return dataclasses.replace(config, **changes) if changes else config


def _check_key(value: str | None) -> str | None:
    problem = ""
    try:
        return check_idempotency_key(value)
    except RequestValidationError as error:
        problem = str(error)
    raise ConfigurationError(problem)


def _merge(
    present: tuple[tuple[str, str], ...], headers: Mapping[str, str]
) -> tuple[tuple[str, str], ...]:
    if not isinstance(headers, Mapping):
        raise ConfigurationError(f"headers must be a mapping, not {type(headers).__name__}")
    merged = {name.lower(): (name, value) for name, value in present}
    for name, value in headers.items():
        _check_header(name, value)
        merged[name.lower()] = (name, value)
    return tuple(merged.values())


def _check_header(name: object, value: object) -> None:
    # A value may be a secret of the caller's: no message shows one.
    if not isinstance(name, str) or not isinstance(value, str):
        raise ConfigurationError("headers must have strings as names and as values")
    if not name or not all(
        character.isalnum() or character in "-_.!#$%&'*+^`|~" for character in name
    ):
        raise ConfigurationError("headers must have names of letters, digits and hyphens")
    if not name.isascii() or not all(" " <= character <= "~" for character in value):
        raise ConfigurationError(f"headers: {name!r} must hold only printable ASCII characters")
    if name.lower() in _OURS:
        raise ConfigurationError(f"headers must not hold {name!r}: the client sets it itself")
    if name.lower() == "idempotency-key":
        raise ConfigurationError(f"headers must not hold {name!r}: use idempotency_key=...")
