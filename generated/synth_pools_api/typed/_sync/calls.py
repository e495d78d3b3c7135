"""Interface of the sender of calls, which the client of this package implements."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self, TypeVar

from ...operations import OperationId

if TYPE_CHECKING:
    from ...types import Id

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)

# A value, and the type that it must have.
Argument = tuple[type, Any]
Builder = Callable[..., dict[str, Any]]


class Stream(Protocol[T_co]):
    """Events of a stream, each parsed when it is read."""

    def __iter__(self) -> Self: ...

    def __next__(self) -> T_co: ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def close(self) -> None:
        """End the stream and give its connection back. Can be repeated."""


class Calls(Protocol):
    """Sender of calls: checks arguments, builds and sends the request, parses the answer."""

    def call(
        self,
        operation: OperationId,
        build: Builder,
        parse: Callable[[Any], T],
        /,
        *,
        path: Mapping[str, Id] = ...,
        query: Mapping[str, Argument] = ...,
        headers: Mapping[str, Argument] = ...,
        body: Argument | None = None,
    ) -> T: ...

    def stream(
        self,
        operation: OperationId,
        build: Builder,
        parse: Callable[[Any], T],
        /,
        *,
        path: Mapping[str, Id] = ...,
        query: Mapping[str, Argument] = ...,
        headers: Mapping[str, Argument] = ...,
    ) -> Stream[T]: ...

    def content(
        self,
        operation: OperationId,
        build: Builder,
        *,
        path: Mapping[str, Id] = ...,
        query: Mapping[str, Argument] = ...,
        headers: Mapping[str, Argument] = ...,
    ) -> bytes: ...


class Group:
    """Operations that one sender makes."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls
