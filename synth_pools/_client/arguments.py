"""What is refused before anything is sent, and how bodies reach the generated request builders."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from synth_pools.errors import RequestValidationError

CANONICAL_ROLLOUT_REQUEST_KEYS: frozenset[str] = frozenset(
    {
        "context_overrides",
        "env",
        "inference_url",
        "instance_id",
        "limits",
        "messages",
        "metadata",
        "mode",
        "ops",
        "override_bundle_id",
        "params",
        "policy",
        "policy_config",
        "pool_id",
        "record",
        "safety",
        "seed",
        "task_contract",
        "task_id",
        "trace_correlation_id",
    }
)

_LONGEST_IDEMPOTENCY_KEY = 255
_BATCH_LISTS = ("rollouts", "requests")
_LARGEST_BATCH = 1000


class JSONBody:
    """Carries a caller's own mapping through a generated request builder, unread and unchanged."""

    __slots__ = ("_body",)

    def __init__(self, body: dict[Any, Any]) -> None:
        self._body = body

    def to_dict(self) -> dict[Any, Any]:
        return self._body


def validate_pool_rollout_request(
    request: Mapping[str, Any], *, context: str = "rollout request"
) -> None:
    """Refuse a rollout request with keys that the service does not know.

    Args:
        request: The request; its values are not looked at.
        context: What is being done, for the message.

    Raises:
        RequestValidationError: ``request`` is not a mapping, or has other keys than
            `CANONICAL_ROLLOUT_REQUEST_KEYS`; the message lists them, sorted. It is also a
            `ValueError`.
    """
    _check_mapping(request, f"{context}: request")
    unsupported = sorted(str(key) for key in request if key not in CANONICAL_ROLLOUT_REQUEST_KEYS)
    if unsupported:
        raise RequestValidationError(
            f"{context}: unsupported keys: {', '.join(unsupported)} (supported are: "
            f"{', '.join(sorted(CANONICAL_ROLLOUT_REQUEST_KEYS))})"
        )


def path_segment(value: str, name: str) -> str:
    """An id that can stand in a path, as a plain string.

    Raises:
        RequestValidationError: It is not a string, is empty or blank, or is ``.`` or ``..``, which
            would make the URL mean something else. ``name`` is what the message calls it.
    """
    text = _plain_text(value, name)
    if not text.strip():
        raise RequestValidationError(f"{name} must not be empty or blank")
    if text in (".", ".."):
        raise RequestValidationError(f"{name} must not be {text!r}: the URL would mean another one")
    return text


def query_text(value: str | None, name: str) -> str | None:
    """A query parameter's text, or None for one that is not sent.

    Raises:
        RequestValidationError: It is neither a string nor None.
    """
    return None if value is None else _plain_text(value, name)


def query_int(value: int | None, name: str) -> int | None:
    """A query parameter's number, or None for one that is not sent.

    Raises:
        RequestValidationError: It is neither an integer nor None.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise RequestValidationError(f"{name} must be an integer, not {type(value).__name__}")
    return value


def check_idempotency_key(value: str | None) -> str | None:
    """The value of an ``Idempotency-Key`` header, or None for none.

    Raises:
        RequestValidationError: It is not 1 to 255 visible ASCII characters.
    """
    if value is None:
        return None
    text = _plain_text(value, "idempotency_key")
    visible = all("!" <= character <= "~" for character in text)
    if not 1 <= len(text) <= _LONGEST_IDEMPOTENCY_KEY or not visible:
        raise RequestValidationError(
            f"idempotency_key must be 1 to {_LONGEST_IDEMPOTENCY_KEY} visible ASCII characters"
        )
    return text


def rollout_batch(request: Mapping[str, Any]) -> dict[str, Any]:
    """A batch of rollouts as it is sent; what is in the rollouts is for the service to judge.

    Raises:
        RequestValidationError: ``request`` is not a mapping, has neither ``rollouts`` nor
            ``requests``, or one of these is no list of at most 1000 mappings.
    """
    context = "create_rollout_batch: "
    _check_mapping(request, f"{context}request")
    lists = {name: request[name] for name in _BATCH_LISTS if request.get(name) is not None}
    if not lists and not any(name in request for name in _BATCH_LISTS):
        # The service would take it for an empty one, whatever was misspelt.
        raise RequestValidationError(f"{context}request has neither {' nor '.join(_BATCH_LISTS)}")
    body = dict(request)
    for name, rollouts in lists.items():
        if not isinstance(rollouts, list | tuple):
            kind = type(rollouts).__name__
            raise RequestValidationError(f"{context}{name} must be a list, not {kind}")
        if len(rollouts) > _LARGEST_BATCH:
            raise RequestValidationError(
                f"{context}{name} must have at most {_LARGEST_BATCH} items, not {len(rollouts)}"
            )
        for index, rollout in enumerate(rollouts):
            _check_mapping(rollout, f"{context}{name}[{index}]")
        body[name] = [one if isinstance(one, dict) else dict(one) for one in rollouts]
    return body


def json_body(request: Mapping[str, Any]) -> Any:
    """``request`` in the shape that generated request builders take, whatever their model is.

    Raises:
        RequestValidationError: It is not a mapping.
    """
    _check_mapping(request, "request")
    return JSONBody(request if isinstance(request, dict) else dict(request))


def encode_json(body: Any) -> bytes:
    """``body`` as compact UTF-8 JSON.

    Raises:
        RequestValidationError: JSON has no word for a value in it (NaN, infinity, a set, a date);
            the message says where it stands.
    """
    try:
        return _dumps(body)
    except RecursionError:
        where, problem = "request", "it is nested too deeply"
    except (TypeError, ValueError) as error:
        where, problem = _find_unencodable(body, _problem(error))
    raise RequestValidationError(f"{where} cannot be sent as JSON: {problem}")


def _dumps(body: Any) -> bytes:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8")


def _problem(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "it holds half of a surrogate pair"
    return str(error)


def _find_unencodable(body: Any, problem: str) -> tuple[str, str]:
    """Where the first value stands that cannot be encoded on its own, and why it cannot."""
    where, value, passed = "request", body, set[int]()
    while isinstance(value, dict | list | tuple) and id(value) not in passed:
        passed.add(id(value))
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            found = _why_not(inner)
            if found is not None:
                step = f".{key}" if isinstance(value, dict) else f"[{key}]"
                where, value, problem = where + step, inner, found
                break
        else:
            break
    return where, problem


def _why_not(value: Any) -> str | None:
    try:
        _dumps(value)
    except (TypeError, ValueError) as error:
        return _problem(error)
    return None


def _check_mapping(request: object, name: str) -> None:
    if not isinstance(request, Mapping):
        raise RequestValidationError(f"{name} must be a mapping, not {type(request).__name__}")


def _plain_text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise RequestValidationError(f"{name} must be a string, not {type(value).__name__}")
    # Members of string enumerations print as their name: what is meant is what they are equal to.
    text = str.__str__(value)
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise RequestValidationError(f"{name} holds half of a surrogate pair")
    return text
