"""Configuration of a client: its API key, base URL, limits and hooks, resolved and checked.

The key is held in a `Secret`, and no message names a value that could be one.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Protocol
from urllib.parse import urlsplit

from synth_pools._client.arguments import (
    LONGEST_SECONDS,
    check_callback,
    check_count,
    check_idempotency_key,
    check_limit,
    check_seconds,
)
from synth_pools._client.secret import Secret
from synth_pools.errors import ConfigurationError

if TYPE_CHECKING:
    from synth_pools._client.hooks import OnRequest, OnResponse

API_KEY_VARIABLE = "SYNTH_API_KEY"
BASE_URL_VARIABLE = "SYNTH_BACKEND_URL"
DEFAULT_BASE_URL = "https://api.usesynth.ai"
# Variables with which published clients choose the service.
_UNREAD_VARIABLES = (
    "SYNTH_API_URL",
    "SYNTH_BACKEND_URL_OVERRIDE",
    "DEV_SYNTH_BACKEND_URL",
    "PROD_SYNTH_BACKEND_URL",
)
DEFAULT_TIMEOUT_SECONDS = 30.0
DEFAULT_MAX_RETRIES = 2
DEFAULT_STREAM_IDLE_TIMEOUT_SECONDS = 60.0

_CUT_FROM_BASE_URL = ("/v1", "/api")

_seconds = partial(check_seconds, error=ConfigurationError)
_limit = partial(check_limit, error=ConfigurationError)
_count = partial(check_count, error=ConfigurationError)
_callback = partial(check_callback, error=ConfigurationError)
_key = partial(check_idempotency_key, error=ConfigurationError)

# Headers that the client sets itself, or that would change the route of a request.
_RESERVED = {
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


# Members of published clients that programs override or replace, and what takes their place.
_OLD_MEMBERS = {
    "_api_key": "api_key=...",
    "_backend_base": "base_url=...",
    "_client": "http_client=...",
    "_headers": "with_options(headers=...)",
    "_request": "on_request=... and on_response=..., or client.operations",
    "_stream": "client.operations",
    "_timeout": "timeout=... or with_options(timeout=...)",
    "_timeout_seconds": "timeout=... or with_options(timeout=...)",
    "api_key": "ContainerPoolsClient(api_key=...)",
    "cast_to": "client.api, whose answers are models",
}


class NotGiven(Enum):
    """Type of `NOT_GIVEN`, for options in which None has a meaning."""

    NOT_GIVEN = "keep"

    def __repr__(self) -> str:
        return "KEEP"


NOT_GIVEN: Final = NotGiven.NOT_GIVEN


class TimeoutLike(Protocol):
    """Time limits of the phases of a request in seconds, None for no limit: an `httpx.Timeout`."""

    @property
    def connect(self) -> float | None: ...
    @property
    def read(self) -> float | None: ...
    @property
    def write(self) -> float | None: ...
    @property
    def pool(self) -> float | None: ...


_PHASES = ("connect", "read", "write", "pool")


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """Resolved configuration of a client; immutable.

    Attributes:
        api_key: The bearer key.
        base_url: URL of the service, without a trailing slash, ``/v1`` or ``/api``.
        timeout: Time limit in seconds for each phase of an attempt (connecting, sending, waiting),
            or an `httpx.Timeout` with a limit for each phase; None for no limit.
        max_retries: Most repetitions of a request.
        deadline: Most seconds that a call lasts, with all its attempts; None for no limit.
        stream_idle_timeout: Most seconds of silence on an event stream.
        headers: Additional headers of the caller.
        idempotency_key: Default key of new rollouts.
        on_request: Called before each attempt.
        on_response: Called after each attempt.
    """

    api_key: Secret
    base_url: str
    timeout: float | TimeoutLike | None
    max_retries: int
    deadline: float | None = None
    stream_idle_timeout: float = DEFAULT_STREAM_IDLE_TIMEOUT_SECONDS
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    idempotency_key: str | None = None
    on_request: OnRequest | None = None
    on_response: OnResponse | None = None

    def limit(self, phase: str) -> float:
        """Return the time limit of a phase; for an unknown phase the limit of reading."""
        phase = phase if phase in _PHASES else "read"
        timeout: Any = self.timeout
        value: float | None = getattr(timeout, phase, timeout)
        return LONGEST_SECONDS if value is None else value


def configuration_of(client: object) -> object:
    """Return a client's configuration; None for None, the class of any other object.

    Like `Secret.of` it raises nothing, since its argument may be a misplaced key.
    """
    if client is None:
        return None
    config = getattr(client, "_config", None)
    return config if isinstance(config, ClientConfig) else type(client)


def check_overrides(kind: type) -> None:
    """Refuse a subclass of a client that overrides a member which only published clients use.

    Raises:
        ConfigurationError: It overrides one; the message names the replacement.
    """
    for name in _OLD_MEMBERS:
        if hasattr(kind, name):
            check_attribute(kind, name)


def check_attribute(kind: type, name: str) -> None:
    """Refuse to set an attribute of a client which only published clients use.

    Raises:
        ConfigurationError: It is one; the message names the replacement.
    """
    if name in _OLD_MEMBERS:
        raise ConfigurationError(
            f"{kind.__name__}.{name} would never be used: use {_OLD_MEMBERS[name]}"
        )


def resolve_config(
    adopted: object = None,
    /,
    *,
    api_key: Secret | None = None,
    backend_base: str | None = None,
    base_url: str | None = None,
    timeout: float | TimeoutLike | None = DEFAULT_TIMEOUT_SECONDS,
    timeout_seconds: float | None = None,
    max_retries: int = DEFAULT_MAX_RETRIES,
    deadline: float | None = None,
    stream_idle_timeout: float = DEFAULT_STREAM_IDLE_TIMEOUT_SECONDS,
    on_request: OnRequest | None = None,
    on_response: OnResponse | None = None,
) -> ClientConfig:
    """Resolve arguments, environment and defaults into one configuration.

    The arguments are those of the client. ``adopted`` is the configuration of another client, from
    `configuration_of`, and replaces all other arguments.

    Raises:
        ConfigurationError: A value is missing or cannot be used; the message says which and why.
    """
    if adopted is None:
        _callback(on_request, "on_request")
        _callback(on_response, "on_response")
        return ClientConfig(
            api_key=_resolve_api_key(api_key),
            base_url=_resolve_base_url(backend_base, base_url),
            timeout=_check_timeout(timeout)
            if timeout_seconds is None
            else _seconds(timeout_seconds, "timeout_seconds"),
            max_retries=_count(max_retries, "max_retries"),
            deadline=_limit(deadline, "deadline"),
            stream_idle_timeout=_seconds(stream_idle_timeout, "stream_idle_timeout"),
            on_request=on_request,
            on_response=on_response,
        )
    if not isinstance(adopted, ClientConfig):
        name = getattr(adopted, "__name__", "object")
        raise ConfigurationError(
            f"the positional argument must be another pools client, not {name}; "
            f"pass everything else by keyword, as in api_key=..."
        )
    unset = (api_key, backend_base, base_url, timeout_seconds, deadline, on_request, on_response)
    if any(value is not None for value in unset) or (
        (timeout, max_retries, stream_idle_timeout)
        != (DEFAULT_TIMEOUT_SECONDS, DEFAULT_MAX_RETRIES, DEFAULT_STREAM_IDLE_TIMEOUT_SECONDS)
    ):
        raise ConfigurationError(
            "give either another client, whose configuration is taken over, or settings, not both"
        )
    return adopted


def _check_timeout(timeout: float | TimeoutLike | None) -> float | TimeoutLike | None:
    if timeout is None or isinstance(timeout, int | float):
        return None if timeout is None else _seconds(timeout, "timeout")
    if not all(hasattr(timeout, phase) for phase in _PHASES):
        raise ConfigurationError(
            f"timeout must be a number of seconds or an httpx.Timeout, not {type(timeout).__name__}"
        )
    for phase in _PHASES:
        _limit(getattr(timeout, phase), f"timeout.{phase}")
    return timeout


def _resolve_api_key(api_key: Secret | None) -> Secret:
    name = "api_key"
    if api_key is None or api_key.is_empty():
        api_key = Secret.of(os.environ.get(API_KEY_VARIABLE))
        name = API_KEY_VARIABLE
    secret = api_key.stripped() if api_key is not None else None
    if secret is None or secret.is_empty():
        raise ConfigurationError(
            f"an API key is needed: pass api_key=... or set the environment variable "
            f"{API_KEY_VARIABLE}"
        )
    problem = secret.problem()
    if problem is not None:
        raise ConfigurationError(f"{name} {problem}")
    return secret


def _resolve_base_url(backend_base: str | None, base_url: str | None) -> str:
    candidates = (
        ("backend_base", backend_base),
        ("base_url", base_url),
        (BASE_URL_VARIABLE, os.environ.get(BASE_URL_VARIABLE)),
    )
    for name, value in candidates:
        if value is None:
            continue
        if not isinstance(value, str):
            raise ConfigurationError(f"{name} must be a string, not {type(value).__name__}")
        if value.strip():
            return _normalise_base_url(name, value.strip())
    for name in _UNREAD_VARIABLES:
        if os.environ.get(name, "").strip():
            raise ConfigurationError(
                f"{name} is set, and not read: name the service by {BASE_URL_VARIABLE} or "
                f"base_url=..., or unset it to call {DEFAULT_BASE_URL}"
            )
    return DEFAULT_BASE_URL


def _normalise_base_url(name: str, value: str) -> str:
    # No message contains the value: users paste keys here, and passwords before an `@`.
    if any(character <= " " or character == "\x7f" for character in value):
        raise ConfigurationError(f"{name} must not hold white space or control characters")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        parts, port = None, None
    if parts is None or port == 0:
        raise ConfigurationError(f"{name} is not a URL: its host or port cannot be read")
    if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
        raise ConfigurationError(
            f"{name} must be a URL that starts with http:// or https:// and names a host, "
            f"for example {DEFAULT_BASE_URL}"
        )
    if "@" in parts.netloc:
        raise ConfigurationError(f"{name} must not hold a user name or password; use api_key")
    if "?" in value or "#" in value:
        raise ConfigurationError(f"{name} must not hold a query or a fragment")
    return f"{parts.scheme.lower()}://{parts.netloc}{_cut_path(parts.path)}"


def _cut_path(path: str) -> str:
    path = path.rstrip("/")
    for ending in _CUT_FROM_BASE_URL:
        if path.endswith(ending):
            return _cut_path(path.removesuffix(ending))
    return path


def with_options(
    config: ClientConfig,
    *,
    timeout: float | TimeoutLike | NotGiven | None = NOT_GIVEN,
    max_retries: int | NotGiven = NOT_GIVEN,
    deadline: float | NotGiven | None = NOT_GIVEN,
    stream_idle_timeout: float | NotGiven = NOT_GIVEN,
    headers: Mapping[str, str] | NotGiven | None = NOT_GIVEN,
    idempotency_key: str | NotGiven | None = NOT_GIVEN,
) -> ClientConfig:
    """Return ``config`` with some settings changed.

    Raises:
        ConfigurationError: A value cannot be used; the message names the argument.
    """
    changes: dict[str, Any] = {}
    if timeout is not NOT_GIVEN:
        changes["timeout"] = _check_timeout(timeout)
    if max_retries is not NOT_GIVEN:
        changes["max_retries"] = _count(max_retries, "max_retries")
    if deadline is not NOT_GIVEN:
        changes["deadline"] = _limit(deadline, "deadline")
    if stream_idle_timeout is not NOT_GIVEN:
        changes["stream_idle_timeout"] = _seconds(stream_idle_timeout, "stream_idle_timeout")
    if headers is not NOT_GIVEN:
        changes["headers"] = () if headers is None else _merge(config.headers, headers)
    if idempotency_key is not NOT_GIVEN:
        changes["idempotency_key"] = _key(idempotency_key)
    return replace(config, **changes) if changes else config


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
    # A value may be a secret of the caller: no message contains it.
    if not isinstance(name, str) or not isinstance(value, str):
        raise ConfigurationError("headers must have strings as names and as values")
    if not name or not all(
        character.isalnum() or character in "-_.!#$%&'*+^`|~" for character in name
    ):
        raise ConfigurationError("headers must have names of letters, digits and hyphens")
    if not name.isascii() or not all(" " <= character <= "~" for character in value):
        raise ConfigurationError(f"headers: {name!r} must hold only printable ASCII characters")
    if name.lower() in _RESERVED:
        raise ConfigurationError(f"headers must not hold {name!r}: the client sets it itself")
    if name.lower() == "idempotency-key":
        raise ConfigurationError(f"headers must not hold {name!r}: use idempotency_key=...")
