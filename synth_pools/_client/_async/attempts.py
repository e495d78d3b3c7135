"""Repeated attempts, with pauses between them, and whether the service keeps idempotency keys."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any, Self

from synth_pools._client.http.request_builder import Call
from synth_pools._client.http.retry import has_no_operation, offers
from synth_pools._client.runtime.async_.io import AsyncFunction
from synth_pools.errors import ClientClosedError, SynthPoolsError
from synth_pools_api import api
from synth_pools_api.operations import OperationId


class AsyncAttempts:
    """Iterator of attempts at one action, with a pause before each except the first.

    >>> async for attempt in AsyncAttempts(pause, sleep):
    ...     with attempt as number:
    ...         return await send(number)

    Args:
        pause: Takes the error that an attempt raised in its ``with`` block, and the number of
            attempts. Returns the seconds until the next one, or None to let the error through.
        sleep: Waits a number of seconds.
    """

    __slots__ = ("_number", "_pause", "_sleep", "_wait")

    def __init__(
        self,
        pause: Callable[[SynthPoolsError, int], float | None],
        sleep: AsyncFunction[[float], None],
    ) -> None:
        self._pause = pause
        self._sleep = sleep
        self._number = 0
        self._wait: float | None = None

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Self:
        if self._wait is not None:
            await self._sleep(self._wait)
        self._number += 1
        return self

    def __enter__(self) -> int:
        return self._number

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        if isinstance(error, SynthPoolsError):
            self._wait = self._pause(error, self._number)
            return self._wait is not None
        return False


async def keeps_keys(request: AsyncFunction[[OperationId, Call], dict[str, Any]]) -> bool | None:
    """Ask as `offers_keys` does; return None without an answer."""
    try:
        return await offers_keys(request)
    except ClientClosedError:
        raise
    except SynthPoolsError:
        return None


async def offers_keys(request: AsyncFunction[[OperationId, Call], dict[str, Any]]) -> bool:
    """Ask whether a repetition with the same ``Idempotency-Key`` creates nothing.

    No answer is kept for long: a restart that breaks connections may bring another release.

    Args:
        request: Makes the call.

    Returns:
        Whether the service offers ``idempotency_keys``.

    Raises:
        SynthPoolsError: There was no answer.
    """
    try:
        answer = await request("get_capabilities", api.service.get_capabilities._get_kwargs())
    except SynthPoolsError as error:
        if has_no_operation(error):
            return False
        raise
    return offers(answer, "idempotency_keys")
