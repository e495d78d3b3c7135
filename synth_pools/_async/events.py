"""A rollout's event stream as an iterator."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator
from types import TracebackType
from typing import Any, Self

import httpx

from synth_pools._async.transport import AsyncTransport
from synth_pools.errors import APIConnectionError, ClientClosedError, StreamDecodeError
from synth_pools.sse import EventStreamDecoder
from synth_pools.wire import Call
from synth_pools_api.operations import OperationId

_EXCERPT = 200


class AsyncEventStream:
    """The events of a rollout, in order, each one the service's own JSON object.

    The request is sent when the first event is asked for. The connection is given back when the
    stream ends, when it is closed, when a ``with`` block around it is left, and when it is dropped.

    Iterating raises:
        APIStatusError: The service answered with an error.
        APIConnectionError: The connection could not be made, or broke in mid-stream.
        APITimeoutError: Nothing came for 60 seconds (or the client's time limit, if that is
            longer); the service sends a heartbeat every 15 seconds.
        ResponseDecodeError: The answer is not an event stream.
        StreamDecodeError: An event is not JSON, or larger than 64 MiB.
        ClientClosedError: The client is closed.
    """

    __slots__ = ("_events",)

    def __init__(self, transport: AsyncTransport, operation: OperationId, call: Call) -> None:
        self._events = _read(transport, operation, call)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> dict[str, Any]:
        return await self._events.__anext__()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End the stream and give its connection back. Can be repeated."""
        await self._events.aclose()


async def _read(
    transport: AsyncTransport, operation: OperationId, call: Call
) -> AsyncGenerator[dict[str, Any], None]:
    # A generator of its own, which nothing but the stream refers to: dropping the stream runs the
    # `finally` below.
    response = await transport.open_stream(operation, call)
    decoder = EventStreamDecoder()
    failure: APIConnectionError | ClientClosedError | None = None
    try:
        async for chunk in response.aiter_bytes():
            for event in decoder.feed(chunk):
                try:
                    value = json.loads(event.data)
                except (ValueError, RecursionError):
                    problem = event.data
                else:
                    yield value
                    continue
                if problem.strip():
                    raise _no_json(transport, problem)
    except httpx.RequestError as error:
        failure = transport.stream_error(call, error)
    finally:
        await response.aclose()
    if failure is not None:
        raise failure


def _no_json(transport: AsyncTransport, data: str) -> StreamDecodeError:
    excerpt = transport.config.api_key.redact(data[:_EXCERPT])
    return StreamDecodeError(
        f"an event of the stream is not JSON; it begins with {excerpt!r}", excerpt=excerpt
    )
