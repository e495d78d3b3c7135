# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/facade/base.py

"""Base of all groups of operations."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self, TypeVar

from synth_pools._client._sync.transport import Transport
from synth_pools._client.arguments import check_count, path_segment, query_int, query_text
from synth_pools._client.config import ClientConfig, with_options
from synth_pools._client.http.request_builder import Call
from synth_pools._client.runtime.sync_.io import Function
from synth_pools_api import api
from synth_pools_api.operations import OPERATIONS, OperationId
from synth_pools_api.types import UNSET, Id, Unset

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from synth_pools._client._sync.event_stream import EventStream
    from synth_pools._client._sync.pagination import EventPages, Items
    from synth_pools._client.http.content import OnProgress

C = TypeVar("C")
T = TypeVar("T")

_NONE: Mapping[str, Any] = MappingProxyType({})
# Leaves out the parameters of a page of events, so that the service answers with a stream.
STREAM: Mapping[str, Any] = MappingProxyType({"format_": UNSET, "limit": UNSET})


class Operations:
    """Group of operations; the client has all groups.

    Apart from the errors that it names, each operation raises:
        RequestValidationError: An argument was refused; nothing was sent.
        AuthenticationError, PermissionDeniedError, RateLimitError, ServerError: By the status of
            the answer; other statuses raise another `APIStatusError`.
        APIConnectionError, APITimeoutError: There was no complete answer.
        ResponseDecodeError: The answer is not JSON.
        ClientClosedError: The client is closed.
    """

    _transport: Transport
    # Look-up before a download; its error is the error of the download.
    _first: tuple[OperationId, Call] | None = None

    @classmethod
    def _on(cls, transport: Transport) -> Self:
        """Return this group of operations alone, over a transport."""
        operations = cls()
        operations._transport = transport
        return operations

    def _ask(
        self, operation: OperationId, arguments: Mapping[str, Any] = _NONE, **ids: Id
    ) -> dict[str, Any]:
        """Make a call with these ids in its path, and other checked arguments.

        For operations that are called rarely: it looks up the request builder each time.
        """
        checked = {name: path_segment(value, name) for name, value in ids.items()}
        build = getattr(getattr(api, OPERATIONS[operation].tag), operation)._get_kwargs
        return self._transport.request(operation, build(**checked, **arguments))

    def _minimal(self) -> Self:
        """Return these operations for lists that have their items only under `items`.

        A `Prefer` header of the caller stays.
        """
        config = self._transport.config
        if any(name.lower() == "prefer" for name, _ in config.headers):
            return self
        return self._with(with_options(config, headers={"Prefer": "return=minimal"}))

    def _with(self, config: ClientConfig) -> Self:
        """Return these operations with another configuration."""
        view = shallow_copy(self)
        view._transport = self._transport.with_config(config)
        return view

    # Imported on first use: each of these modules takes a millisecond or more.

    def _open_events(self, operation: OperationId, call: Call) -> EventStream:
        from synth_pools._client._sync.event_stream import EventStream  # saves 3 ms

        return EventStream(self._transport, operation, call)

    def _event_pages(
        self, fetch: Function[[int], dict[str, Any]], after_sequence: int, poll_interval: float
    ) -> EventPages:
        from synth_pools._client._sync.pagination import EventPages  # saves 1 ms

        sleep = self._transport.sleep
        return EventPages(fetch, sleep, after_sequence, poll_interval)

    def _content(self, operation: OperationId, call: Call) -> bytes:
        from synth_pools._client._sync.downloads import read_content  # saves 2 ms

        return read_content(self._transport, operation, call, self._first)

    def _save(
        self,
        operation: OperationId,
        call: Call,
        to: str | os.PathLike[str],
        name: str,
        on_progress: OnProgress | None,
    ) -> Path:
        from synth_pools._client._sync.downloads import save_content  # saves 2 ms

        return save_content(self._transport, operation, call, to, name, on_progress, self._first)

    @staticmethod
    def _items(
        fetch: Function[[str | None], dict[str, Any]],
        resource: str,
        cursor: str | None,
        prefetch: bool,
    ) -> Items:
        from synth_pools._client._sync.pagination import Items  # saves 1 ms

        return Items(fetch, resource, cursor, prefetch=prefetch)


class replaceable(cached_property[T]):  # noqa: N801 - a decorator, like its base
    """Property that caches nothing; an attribute of its name, as of a test, takes its place."""

    def __get__(self, instance: object, owner: type | None = None) -> Any:
        return self if instance is None else self.func(instance)


class Namespace:
    """Operations under a common name, such as ``client.rollouts``."""

    def __repr__(self) -> str:
        # Tracebacks also show namespaces whose creation failed.
        client = getattr(self, "_client", None)
        names = [name for name in dir(type(self)) if not name.startswith("_")]
        return f"<{type(self).__name__} of {client!r}: {', '.join(names)}>"


def carry_over(replaced: object, namespace: object) -> None:
    """Replace in a namespace what is replaced in another one of its class."""
    for name, value in vars(replaced).items():
        if "_calls" in getattr(value, "__dict__", ()):  # a group of `client.api`
            carry_over(value, getattr(namespace, name))
        elif name not in ("_client", "_calls"):
            setattr(namespace, name, value)


def shallow_copy(client: C) -> C:
    """Copy a client without its namespaces, for internal use."""
    copied = object.__new__(type(client))
    state: Any = object.__getstate__(client)
    attributes, slots = state if isinstance(state, tuple) else (state, {})
    vars(copied).update(attributes or {})
    for name, value in slots.items():
        if name != "_namespaces":
            object.__setattr__(copied, name, value)
    return copied


def or_unset(value: T | None) -> T | Unset:
    """Return UNSET for None, so that the generated builders do not send the parameter."""
    return UNSET if value is None else value


def page_of_events(after_sequence: int, limit: int) -> dict[str, Any]:
    """Check the parameters of a page of events."""
    return {
        "after_sequence": check_count(after_sequence, "after_sequence", least=0, most=2**63 - 1),
        "limit": check_count(limit, "limit", least=1, most=1000),
        "format_": "json",
    }


def page(state: str | None, limit: int | None, cursor: str | None) -> dict[str, Any]:
    """Check the parameters of a list."""
    return {
        "state": or_unset(query_text(state, "state")),
        "limit": or_unset(query_int(limit, "limit")),
        "cursor": or_unset(query_text(cursor, "cursor")),
    }
