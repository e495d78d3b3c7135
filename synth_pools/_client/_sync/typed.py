# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/typed.py

"""``client.api``: calls of the generated typed layer, over the client's own transport."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Generic, Self, TypeVar

from synth_pools._client._sync.event_stream import EventStream
from synth_pools._client._sync.facade.base import Operations, or_unset
from synth_pools._client._sync.transport import Transport
from synth_pools._client.http.sync_.engine import Closeable
from synth_pools._client.secret import Secret
from synth_pools._client.typed import Argument, check_arguments, check_body, parse
from synth_pools_api.operations import OperationId
from synth_pools_api.typed._sync import Api
from synth_pools_api.types import Id

T = TypeVar("T")

_NONE: Mapping[str, Any] = MappingProxyType({})
_Builder = Callable[..., dict[str, Any]]


class TypedCalls(Operations):
    """Sender of the calls of the generated classes."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def call(
        self,
        operation: OperationId,
        build: _Builder,
        parse_answer: Callable[[Any], T],
        *,
        path: Mapping[str, Id] = _NONE,
        query: Mapping[str, Argument] = _NONE,
        headers: Mapping[str, Argument] = _NONE,
        body: Argument | None = None,
    ) -> T:
        arguments = check_arguments(path, query, headers)
        if body is not None:
            arguments["body"] = check_body(body)
        answer = self._transport.request(operation, _request(build, arguments))
        secret = self._transport.config.api_key
        return parse(
            parse_answer, answer, subject=f"the answer of {operation}", redact=secret.redact
        )

    def content(
        self,
        operation: OperationId,
        build: _Builder,
        *,
        path: Mapping[str, Id] = _NONE,
        query: Mapping[str, Argument] = _NONE,
        headers: Mapping[str, Argument] = _NONE,
    ) -> bytes:
        arguments = check_arguments(path, query, headers)
        return self._transport.content(operation, _request(build, arguments))

    def stream(
        self,
        operation: OperationId,
        build: _Builder,
        parse_event: Callable[[Any], T],
        *,
        path: Mapping[str, Id] = _NONE,
        query: Mapping[str, Argument] = _NONE,
        headers: Mapping[str, Argument] = _NONE,
    ) -> ModelStream[T]:
        arguments = check_arguments(path, query, headers)
        events = self._open_events(operation, _request(build, arguments))
        secret = self._transport.config.api_key
        return ModelStream(events, parse_event, subject=operation, secret=secret)


class ModelStream(Closeable, Generic[T]):
    """Events of a rollout or a pool, in order, each as its model.

    It behaves like an `EventStream`, with the same errors. An event that does not fit its
    model raises a `DecodeError`; iterating goes on with the next one.
    """

    __slots__ = ("_events", "_parse", "_redact", "_subject")

    def __init__(
        self, events: EventStream, parse_event: Callable[[Any], T], *, subject: str, secret: Secret
    ) -> None:
        self._events = events
        self._parse = parse_event
        self._subject = f"an event of {subject}"
        self._redact = secret.redact

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        event = self._events.__next__()
        return parse(self._parse, event, subject=self._subject, redact=self._redact)

    def close(self) -> None:
        """End the stream and release its connection. Can be repeated."""
        self._events.close()


def api_of(operations: Operations) -> Api:
    """Return the operations on models over the transport of others."""
    return Api(TypedCalls(operations._transport))


def _request(build: _Builder, arguments: dict[str, Any]) -> dict[str, Any]:
    return build(**{name: or_unset(value) for name, value in arguments.items()})
