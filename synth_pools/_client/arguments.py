"""Argument checks and JSON bodies for the generated request builders."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

from synth_pools.errors import ConfigurationError, RequestValidationError
from synth_pools_api.operations import OPERATIONS
from synth_pools_api.types import Id

# Errors for a refused argument of a call, and for a refused setting of a client.
Refusal = type[RequestValidationError] | type[ConfigurationError]

CANONICAL_ROLLOUT_REQUEST_KEYS = OPERATIONS["create_rollout"].body_keys

# Small enough for every clock and socket of the platform.
LONGEST_SECONDS = 1e9
_LONGEST_IDEMPOTENCY_KEY = 255
_BATCH_LISTS = ("rollouts", "requests")
_LARGEST_BATCH = 1000
# Longer keys are not compared with the known ones.
_LONGEST_KEY = 40
_NONE: AbstractSet[str] = frozenset()
_LOG = logging.getLogger("synth_pools")


class JSONBody:
    """Caller's mapping as a body that a generated request builder passes on without reading it."""

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
        request: The request; its values are not checked.
        context: Name of the action in the message.

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


def path_segment(value: Id, name: str) -> str:
    """Check an id that goes into a path, and return it as a plain string.

    Raises:
        RequestValidationError: It is neither a string nor a UUID, is empty or blank, or is ``.`` or
            ``..``, which would change the meaning of the URL. The message calls it ``name``.
    """
    # A program with a UUID has imported this module; importing it here would take 4 ms.
    if "uuid" in sys.modules and isinstance(value, sys.modules["uuid"].UUID):
        return str(value)
    text = _plain_text(value, name)
    if not text.strip():
        raise RequestValidationError(f"{name} must not be empty or blank")
    if text in (".", ".."):
        raise RequestValidationError(f"{name} must not be {text!r}: the URL would mean another one")
    return text


def query_text(value: str | None, name: str) -> str | None:
    """Check a query parameter's text; None for a parameter that is not sent.

    Raises:
        RequestValidationError: It is neither a string nor None.
    """
    return None if value is None else _plain_text(value, name)


def query_int(value: int | None, name: str) -> int | None:
    """Check a query parameter's number; None for a parameter that is not sent.

    Raises:
        RequestValidationError: It is neither an integer nor None.
    """
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise RequestValidationError(f"{name} must be an integer, not {type(value).__name__}")
    return value


def check_idempotency_key(
    value: str | None, *, error: Refusal = RequestValidationError
) -> str | None:
    """Check the value of an ``Idempotency-Key`` header; None for no header.

    Raises:
        RequestValidationError, ConfigurationError: It is not 1 to 255 visible ASCII characters.
    """
    if value is None:
        return None
    text = _plain_text(value, "idempotency_key", error)
    visible = all("!" <= character <= "~" for character in text)
    if not 1 <= len(text) <= _LONGEST_IDEMPOTENCY_KEY or not visible:
        raise error(
            f"idempotency_key must be 1 to {_LONGEST_IDEMPOTENCY_KEY} visible ASCII characters"
        )
    return text


def check_seconds(value: float, name: str, *, error: Refusal = RequestValidationError) -> float:
    """Check a number of seconds.

    Args:
        value: The argument.
        name: Its name, for the message.
        error: The class to raise.

    Returns:
        The number, as a float.

    Raises:
        RequestValidationError, ConfigurationError: It is not a positive number, or too large.
    """
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise error(f"{name} must be a number of seconds, not {type(value).__name__}")
    # This comparison also refuses NaN.
    if not 0 < value <= LONGEST_SECONDS:
        raise error(
            f"{name} must be a positive, finite number of seconds, at most {LONGEST_SECONDS:.0f}"
        )
    return float(value)


def format_seconds(seconds: float) -> str:
    """Format a number of seconds for a message, rounded for a reader."""
    return f"{seconds:.2g}" if seconds < 1 else f"{round(seconds, 1):.15g}"


def check_limit(
    value: float | None, name: str, *, error: Refusal = RequestValidationError
) -> float | None:
    """Check a time limit in seconds, like `check_seconds`; None for no limit."""
    return None if value is None else check_seconds(value, name, error=error)


def check_callback(value: object, name: str, *, error: Refusal = RequestValidationError) -> None:
    """Refuse a callback that cannot be called; None stands for no callback."""
    if value is not None and not callable(value):
        raise error(f"{name} must be callable, not {type(value).__name__}")


def check_flag(value: object, name: str) -> None:
    """Refuse a flag that is neither True nor False."""
    if not isinstance(value, bool):
        raise RequestValidationError(f"{name} must be True or False, not {type(value).__name__}")


def check_count(
    value: int,
    name: str,
    *,
    least: int = 0,
    most: int | None = None,
    error: Refusal = RequestValidationError,
) -> int:
    """Check a whole number.

    Args:
        value: The argument.
        name: Its name, for the message.
        least: The smallest number allowed.
        most: The largest number allowed; None for no bound.
        error: The class to raise.

    Returns:
        The number.

    Raises:
        RequestValidationError, ConfigurationError: It is not an integer, or out of bounds.
    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise error(f"{name} must be an integer, not {type(value).__name__}")
    if value < least or (most is not None and value > most):
        bounds = f"{least} or more" if most is None else f"{least} to {most}"
        raise error(f"{name} must be {bounds}")
    return value


def check_choice(value: str, name: str, choices: tuple[str, ...]) -> str:
    """Check a word against the allowed choices.

    Raises:
        RequestValidationError: It is not a choice.
    """
    if not isinstance(value, str) or value not in choices:
        allowed = " or ".join(repr(choice) for choice in choices)
        raise RequestValidationError(f"{name} must be {allowed}")
    return value


def rollout_batch(request: Mapping[str, Any]) -> dict[str, Any]:
    """Check the shape of a batch of rollouts; the service checks each rollout.

    Raises:
        RequestValidationError: ``request`` is not a mapping, has neither ``rollouts`` nor
            ``requests``, or one of these is not a list of at most 1000 mappings.
    """
    context = "create_rollout_batch: "
    _check_mapping(request, f"{context}request")
    lists = {name: request[name] for name in _BATCH_LISTS if request.get(name) is not None}
    if not lists and not any(name in request for name in _BATCH_LISTS):
        # The service would read a misspelt key as an empty batch.
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
        body[name] = [
            rollout if isinstance(rollout, dict) else dict(rollout) for rollout in rollouts
        ]
    return body


def request_of_pool(
    pool_id: str, request: Mapping[str, Any], *, context: str = "request"
) -> dict[str, Any]:
    """Return a request with the id of its pool.

    Raises:
        RequestValidationError: It is not a mapping, or names another pool.
    """
    _check_mapping(request, f"{context}: request")
    other_pool_id = request.get("pool_id")
    if other_pool_id is not None and other_pool_id != pool_id:
        raise RequestValidationError(
            f"{context}: pool_id is {pool_id!r}, and {other_pool_id!r} in it"
        )
    return {**request, "pool_id": pool_id}


def batch_of_pool(pool_id: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Return a batch whose rollouts all go to one pool.

    Raises:
        RequestValidationError: It does not have the shape of a batch, or names another pool.
    """
    batch = request_of_pool(pool_id, rollout_batch(request), context="create_batch")
    for name in _BATCH_LISTS:
        for index, rollout in enumerate(batch.get(name) or ()):
            request_of_pool(pool_id, rollout, context=f"create_batch: {name}[{index}]")
    return batch


def request_body(request: Mapping[str, Any]) -> Any:
    """Wrap ``request`` for the generated request builders, without making it a model.

    Raises:
        RequestValidationError: It is not a mapping.
    """
    _check_mapping(request, "request")
    return JSONBody(request if isinstance(request, dict) else dict(request))


def definition_body(
    request: Mapping[str, Any], known_keys: AbstractSet[str], tasks: AbstractSet[str] = _NONE
) -> Any:
    """Wrap the definition of a pool or task, or a part of one, for the request builders.

    A key that differs from a known one in one or two letters, or in its capitals, is sent,
    and a warning is logged: a newer service may know it, but most often it is misspelt.

    Args:
        request: The definition.
        known_keys: Keys of the definition in openapi.yaml.
        tasks: Keys of the tasks in the definition, in openapi.yaml.

    Raises:
        RequestValidationError: It is not a mapping.
    """
    body = request_body(request)
    _warn_of_misspelt(request, known_keys, "")
    items = request.get("tasks") if tasks else None
    for index, task in enumerate(items if isinstance(items, list | tuple) else ()):
        if isinstance(task, Mapping):
            _warn_of_misspelt(task, tasks, f"tasks[{index}].")
    return body


def _warn_of_misspelt(request: Mapping[str, Any], known_keys: AbstractSet[str], base: str) -> None:
    for key in request:
        if not isinstance(key, str) or key in known_keys or len(key) > _LONGEST_KEY:
            continue
        word = key.casefold()
        similar = [
            (letters, name) for name in known_keys if (letters := _nearness(word, name)) is not None
        ]
        if similar:
            _LOG.warning("%s%s is sent, but not known: is %s meant?", base, key, min(similar)[1])


def _nearness(word: str, name: str) -> int | None:
    """Return the edit distance of a word and a name; None if it is too large for a mistake.

    A mistake has one letter for each three of the shorter word, and at most two: many correct short
    words differ little, such as ``id``, ``uid`` and ``idx``.
    """
    letters = edit_distance(word, name)
    return letters if letters <= min(2, len(word) // 3, len(name) // 3) else None


def edit_distance(first: str, second: str) -> int:
    """Count the letters to insert, remove, replace or swap until two words are equal."""
    before: list[int] = []
    row = list(range(len(second) + 1))
    for i, letter in enumerate(first, 1):
        earlier, before, row = before, row, [i]
        for j, target in enumerate(second, 1):
            cost = min(before[j] + 1, row[j - 1] + 1, before[j - 1] + (letter != target))
            if i > 1 and j > 1 and letter == second[j - 2] and first[i - 2] == target:
                cost = min(cost, earlier[j - 2] + 1)
            row.append(cost)
    return row[-1]


def name_hint(name: str, names: Iterable[str]) -> str:
    """Suggest a name for an unknown one; return the end of a message, or an empty text."""
    # Imported here: it takes 3 ms, and only a mistyped name needs it.
    from difflib import get_close_matches

    return "".join(f"; did you mean {match}?" for match in get_close_matches(name, list(names), 1))


def chosen_pool_id(request: Mapping[str, Any]) -> str:
    """Return the id that the definition of a pool chooses.

    Raises:
        RequestValidationError: It is not a mapping, or chooses no id.
    """
    _check_mapping(request, "request")
    for name in ("pool_id", "id"):
        if request.get(name) is not None:
            path_segment(request[name], f"request.{name}")
            return str(request[name])
    raise RequestValidationError("request.pool_id must be given: the id to find the pool by")


def encode_json(body: Any) -> bytes:
    """Encode ``body`` as compact UTF-8 JSON.

    Raises:
        RequestValidationError: JSON cannot express a value in it (NaN, infinity, a set, a date);
            the message gives its place.
    """
    try:
        return _dumps(body)
    except RecursionError:
        place, problem = "request", "it is nested too deeply"
    except (TypeError, ValueError) as error:
        place, problem = _find_unencodable(body, _problem(error))
    raise RequestValidationError(f"{place} cannot be sent as JSON: {problem}")


def _dumps(body: Any) -> bytes:
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8")


def _problem(error: Exception) -> str:
    if isinstance(error, UnicodeEncodeError):
        return "it holds half of a surrogate pair"
    return str(error)


def _find_unencodable(body: Any, problem: str) -> tuple[str, str]:
    """Find the first value that cannot be encoded on its own, and the reason."""
    place, value, visited = "request", body, set[int]()
    while isinstance(value, dict | list | tuple) and id(value) not in visited:
        visited.add(id(value))
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, inner in pairs:
            reason = _why_not(inner)
            if reason is not None:
                step = f".{key}" if isinstance(value, dict) else f"[{key}]"
                place, value, problem = place + step, inner, reason
                break
        else:
            break
    return place, problem


def _why_not(value: Any) -> str | None:
    try:
        _dumps(value)
    except (TypeError, ValueError) as error:
        return _problem(error)
    return None


def _check_mapping(request: object, name: str) -> None:
    if not isinstance(request, Mapping):
        raise RequestValidationError(f"{name} must be a mapping, not {type(request).__name__}")


def _plain_text(value: object, name: str, error: Refusal = RequestValidationError) -> str:
    if not isinstance(value, str):
        raise error(f"{name} must be a string, not {type(value).__name__}")
    # A member of a string enumeration prints as its name, but is equal to its value.
    text = str.__str__(value)
    if not text.isascii() and any("\ud800" <= character <= "\udfff" for character in text):
        raise error(f"{name} holds half of a surrogate pair")
    return text
