"""What a client is configured with: the API key, the base URL, the time limit.

Nothing here shows the key: it lives in a `Secret`, and no message names a value that could be one.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any, Final, NoReturn
from urllib.parse import urlsplit

from synth_pools.errors import ConfigurationError

if TYPE_CHECKING:
    from synth_pools._client.hooks import OnRequest, OnResponse

API_KEY_VARIABLE = "SYNTH_API_KEY"
BASE_URL_VARIABLE = "SYNTH_BACKEND_URL"
DEFAULT_BASE_URL = "https://api.usesynth.ai"
DEFAULT_TIMEOUT_SECONDS = 30.0
DEFAULT_MAX_RETRIES = 2
DEFAULT_STREAM_IDLE_TIMEOUT_SECONDS = 60.0

# Far beyond any use, and still small enough for every clock and socket of the platform.
_LONGEST_TIMEOUT_SECONDS = 1e9
# Shorter keys are as likely to be an ordinary word in a server's answer.
_SHORTEST_REDACTED_KEY = 8
_MASK = "**********"
_CUT_FROM_BASE_URL = ("/v1", "/api")


class Keep(Enum):
    """Stands for an option that is left as it is; for some of them None has a meaning."""

    KEEP = "keep"

    def __repr__(self) -> str:
        return "KEEP"


KEEP: Final = Keep.KEEP


class Secret:
    """A value that `repr`, `str`, `vars`, copies and pickles do not give away.

    It is kept in a closure and not in an attribute, so that walking an object graph does not find
    it. Only `reveal` returns it.
    """

    __slots__ = ("_reveal",)
    _reveal: Callable[[], Any]

    def __init__(self, value: Any) -> None:
        # Takes anything and judges nothing: an exception raised while the plain value is in a
        # local variable would carry it in its traceback. `problem` says what is wrong with it.
        self._reveal = lambda: value

    @classmethod
    def of(cls, value: Any) -> Secret | None:
        """Wrap ``value``; None and what is wrapped already stay as they are."""
        return value if value is None or isinstance(value, Secret) else cls(value)

    def reveal(self) -> str:
        """The plain value. Never keep it in a local variable of a function that may raise."""
        value: str = self._reveal()
        return value

    def stripped(self) -> Secret:
        """The same secret without white space around it."""
        return Secret(self.reveal().strip()) if isinstance(self._reveal(), str) else self

    def is_empty(self) -> bool:
        return isinstance(self._reveal(), str) and not self.reveal()

    def problem(self) -> str | None:
        """Why the value cannot be sent in a header, in words that do not contain it."""
        if not isinstance(self._reveal(), str):
            return f"must be a string, not {type(self._reveal()).__name__}"
        if not all(" " <= character <= "~" for character in self.reveal()):
            return "must hold only printable ASCII characters"
        return None

    def redact(self, text: str) -> str:
        """``text`` with the secret blotted out, for words that came from somewhere else."""
        if len(self.reveal()) < _SHORTEST_REDACTED_KEY:
            return text
        return text.replace(self.reveal(), _MASK)

    def redact_bytes(self, data: bytes) -> bytes:
        """Like `redact`, for bytes."""
        if len(self.reveal()) < _SHORTEST_REDACTED_KEY:
            return data
        return data.replace(self.reveal().encode(), _MASK.encode())

    def __repr__(self) -> str:
        return f"Secret('{_MASK}')"

    def __str__(self) -> str:
        return _MASK

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        # Here, since most keys are compared with none.
        import hmac

        return hmac.compare_digest(
            str(self._reveal()).encode("utf-8", "surrogatepass"),
            str(other._reveal()).encode("utf-8", "surrogatepass"),
        )

    def __hash__(self) -> int:
        return hash((Secret, self._reveal()))

    def __copy__(self) -> Secret:
        return self

    def __deepcopy__(self, memo: object) -> Secret:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("an API key is not pickled: configure a client anew where it is needed")


@dataclass(frozen=True, slots=True)
class ClientConfig:
    """The settled configuration of a client; cannot be changed afterwards.

    Attributes:
        api_key: The bearer key.
        base_url: Where the service is, without a trailing slash, ``/v1`` or ``/api``.
        timeout: Time limit in seconds of each of connecting, sending and waiting, per attempt.
        max_retries: How often a request may be repeated.
        deadline: Most seconds that a call lasts, with all its attempts; None for no limit.
        stream_idle_timeout: Most seconds of silence on an event stream.
        headers: Headers of the caller's own.
        idempotency_key: The key of rollouts that are created without one.
        on_request: Called with each attempt before it is sent.
        on_response: Called with how each attempt ended.
    """

    api_key: Secret
    base_url: str
    timeout: float
    max_retries: int
    deadline: float | None = None
    stream_idle_timeout: float = DEFAULT_STREAM_IDLE_TIMEOUT_SECONDS
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    idempotency_key: str | None = None
    on_request: OnRequest | None = None
    on_response: OnResponse | None = None


def configuration_of(client: object) -> object:
    """What a client was configured with; None for None; the class of anything that is no client.

    Like `Secret.of` it judges nothing, since what it is given may be a key in the wrong place.
    """
    if client is None:
        return None
    config = getattr(client, "_config", None)
    return config if isinstance(config, ClientConfig) else type(client)


def resolve_config(
    adopted: object = None,
    /,
    *,
    api_key: Secret | None = None,
    backend_base: str | None = None,
    base_url: str | None = None,
    timeout: float = DEFAULT_TIMEOUT_SECONDS,
    timeout_seconds: float | None = None,
    max_retries: int = DEFAULT_MAX_RETRIES,
    deadline: float | None = None,
    stream_idle_timeout: float = DEFAULT_STREAM_IDLE_TIMEOUT_SECONDS,
    on_request: OnRequest | None = None,
    on_response: OnResponse | None = None,
) -> ClientConfig:
    """Settle arguments, environment and defaults into one configuration.

    Args:
        adopted: The configuration of another client, by `configuration_of`, in the place of all
            other arguments.
        api_key: See `ClientConfig`; else from the environment.
        backend_base: Base URL; else ``base_url``, else from the environment, else the default.
        base_url: Another name of ``backend_base``.
        timeout: Seconds.
        timeout_seconds: Another name of ``timeout``; wins over it.
        max_retries: See `ClientConfig`.
        deadline: See `ClientConfig`.
        stream_idle_timeout: See `ClientConfig`.
        on_request: See `ClientConfig`.
        on_response: See `ClientConfig`.

    Raises:
        ConfigurationError: A value is missing or cannot be used; the message says which and why.
    """
    if adopted is None:
        return ClientConfig(
            api_key=_resolve_api_key(api_key),
            base_url=_resolve_base_url(backend_base, base_url),
            timeout=check_seconds("timeout", timeout)
            if timeout_seconds is None
            else check_seconds("timeout_seconds", timeout_seconds),
            max_retries=check_max_retries(max_retries),
            deadline=None if deadline is None else check_seconds("deadline", deadline),
            stream_idle_timeout=check_seconds("stream_idle_timeout", stream_idle_timeout),
            on_request=_check_hook("on_request", on_request),
            on_response=_check_hook("on_response", on_response),
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


def _resolve_api_key(given: Secret | None) -> Secret:
    name = "api_key"
    if given is None or given.is_empty():
        given = Secret.of(os.environ.get(API_KEY_VARIABLE))
        name = API_KEY_VARIABLE
    secret = given.stripped() if given is not None else None
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
    return DEFAULT_BASE_URL


def _normalise_base_url(name: str, value: str) -> str:
    # The value itself is never shown: keys have been pasted here, and passwords before an `@`.
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


def check_seconds(name: str, value: float) -> float:
    """``value`` if it is a number of seconds that can be waited.

    Raises:
        ConfigurationError: It is not; the message calls it ``name``.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ConfigurationError(f"{name} must be a number of seconds, not {type(value).__name__}")
    # Written so that NaN is refused too.
    if not 0 < value <= _LONGEST_TIMEOUT_SECONDS:
        raise ConfigurationError(
            f"{name} must be a positive, finite number of seconds, at most "
            f"{_LONGEST_TIMEOUT_SECONDS:.0f}"
        )
    return float(value)


def check_max_retries(value: int) -> int:
    """``value`` if it is a number of retries.

    Raises:
        ConfigurationError: It is not.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigurationError(f"max_retries must be an integer, not {type(value).__name__}")
    if value < 0:
        raise ConfigurationError("max_retries must be 0 or more")
    return value


def _check_hook(name: str, value: Callable[..., object] | None) -> Any:
    if value is not None and not callable(value):
        raise ConfigurationError(f"{name} must be callable, not {type(value).__name__}")
    return value
