# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/namespaces/operations.py

"""``client.operations``: any operation of openapi.yaml by its id, with the service's own bytes."""

from __future__ import annotations

import inspect
import os
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, cast

from synth_pools._client._sync.facade.base import Namespace, Operations
from synth_pools._client.arguments import (
    check_idempotency_key,
    name_hint,
    path_segment,
    query_text,
    request_body,
)
from synth_pools._client.http.content import OnProgress
from synth_pools._client.http.request_builder import Call
from synth_pools.errors import RequestValidationError
from synth_pools_api.operations import OPERATIONS, Operation
from synth_pools_api.types import UNSET

if TYPE_CHECKING:
    from synth_pools._client._sync.event_stream import EventStream

# Media types of bodies that are described by their keys.
_OF_MAPPINGS = ("application/json", "application/x-www-form-urlencoded")
_NONE: Mapping[str, Any] = MappingProxyType({})


class OperationsNamespace(Namespace):
    """Operations by their ids, for programs that read openapi.yaml themselves.

    ``arguments`` are the path, query, header and cookie parameters of an operation, by their names
    in lower case with ``_`` for other characters, lists and objects as such; None is not sent. A
    new operation of openapi.yaml can be called after ``make generate``.

    Apart from the errors of `Operations` they raise:
        RequestValidationError: There is no such operation; an argument is missing, unknown or
            invalid; nothing was sent.
    """

    def __init__(self, client: Operations) -> None:
        self._client = client

    def call(
        self,
        operation: str,
        arguments: Mapping[str, Any] = _NONE,
        *,
        body: Mapping[str, Any] | bytes | None = None,
    ) -> bytes:
        """Make a call, and return the JSON of the answer byte for byte.

        Args:
            operation: Id of the operation, such as ``get_pool``.
            arguments: Its parameters.
            body: Its body: a mapping for JSON and forms, else the bytes to send.

        Returns:
            The body of the answer; empty without a body.
        """
        details, call = _call(operation, arguments, body)
        transport = self._client._transport
        return transport.content(details.id, call, accept="application/json")

    def events(self, operation: str, arguments: Mapping[str, Any] = _NONE) -> EventStream:
        """Follow the events of an operation that answers with a stream.

        Args:
            operation: Id of the operation, such as ``stream_rollout_events``.
            arguments: Its parameters.

        Returns:
            The events; the request is sent when the first one is read.
        """
        details, call = _call(operation, arguments, None)
        return self._client._open_events(details.id, call)

    def save(
        self,
        operation: str,
        arguments: Mapping[str, Any],
        to: str | os.PathLike[str],
        *,
        on_progress: OnProgress | None = None,
    ) -> Path:
        """Write the content of an answer to a file, completely or not at all.

        Args:
            operation: Id of the operation, such as ``get_global_rollout_artifact``.
            arguments: Its parameters.
            to: The file, or the folder for a file named after the last id in the path.
            on_progress: Called as bytes arrive.

        Returns:
            The file.

        Raises:
            ContentMismatchError: The download differs from the announced SHA-256.
            OSError: The file cannot be written.
        """
        details, call = _call(operation, arguments, None)
        ids = [str(arguments[name]) for name in _places(details)]
        return self._client._save(details.id, call, to, (ids or [operation])[-1], on_progress)


def _call(
    operation: str, arguments: Mapping[str, Any], body: Mapping[str, Any] | bytes | None
) -> tuple[Operation, Call]:
    details = OPERATIONS.get(operation)  # type: ignore[call-overload]
    if details is None:
        nearest = name_hint(str(operation), OPERATIONS)
        raise RequestValidationError(f"there is no operation {str(operation)[:100]!r}{nearest}")
    module = import_module(f"synth_pools_api.api.{details.tag}.{operation}")
    parameters = inspect.signature(module._get_kwargs).parameters
    has_body = "body" in parameters
    places, checked = _places(details), dict[str, Any]()
    for word, value in arguments.items():
        # A builder has `from_` for `from`, a word of Python.
        name = word if word in parameters else f"{word}_"
        if value is None:
            continue
        if name not in parameters or name == "body":
            hint = name_hint(str(word), parameters.keys() - {"body"})
            raise RequestValidationError(f"{operation}: no parameter is called {word}{hint}")
        if name in places:
            checked[name] = path_segment(value, name)
        else:
            checked[name] = _checked(word, value, parameters[name].annotation)
    if body is not None:
        if not has_body:
            raise RequestValidationError(f"{operation} takes no body")
        checked["body"] = _body(details, body)
    for name, parameter in parameters.items():
        if name not in checked:
            if parameter.default is parameter.empty:
                raise RequestValidationError(f"{operation}: {name} is missing")
            checked[name] = UNSET
    call: Call = module._get_kwargs(**checked)
    return details, call


def _places(details: Operation) -> list[str]:
    """List the parameters of a path."""
    return [part.partition("}")[0] for part in details.path.split("{")[1:]]


def _body(details: Operation, body: Any) -> Any:
    if details.body_type in _OF_MAPPINGS:
        return request_body(body)
    if not isinstance(body, bytes):
        kind = type(body).__name__
        raise RequestValidationError(f"{details.id}: body must be bytes, not {kind}")
    return body


def _checked(name: str, value: Any, annotation: str) -> Any:
    """Check a parameter by its annotation in the request builder."""
    if isinstance(value, list | tuple) and "list[" in annotation:
        return [_checked(name, item, annotation.replace("list[", "")) for item in value]
    if isinstance(value, Mapping) and annotation:
        from synth_pools_api import models  # takes 20 ms, and few parameters are objects

        if isinstance(getattr(models, annotation.partition(" ")[0], None), type):
            return {key: _checked(f"{name}.{key}", value[key], "list[float]") for key in value}
    if name == "idempotency_key":
        return check_idempotency_key(cast("str | None", value))
    is_number = isinstance(value, bool | int) or (
        isinstance(value, float) and "float" in annotation
    )
    return value if is_number else query_text(cast("str | None", value), name)
