"""Greenlets for functions that wait without being coroutines.

So each function on the database exists once, both for SQLite, whose statements return at once, and
for PostgreSQL, whose statements are awaited.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import ParamSpec, TypeVar, cast

from greenlet import getcurrent, greenlet

_T = TypeVar("_T")
_P = ParamSpec("_P")


async def in_greenlet(function: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    """Call a function that may call `wait`; return its result or raise its error."""
    current = getcurrent()
    child = greenlet(function, current)
    # Log lines of the greenlet belong to the same request.
    child.gr_context = current.gr_context
    result = child.switch(*args, **kwargs)
    while not child.dead:
        try:
            value = await result
        except BaseException as error:  # noqa: BLE001 - raised where it waits
            result = child.throw(error)
        else:
            result = child.switch(value)
    return cast("_T", result)


def wait(awaitable: Awaitable[_T]) -> _T:
    """Await something in a function that `in_greenlet` has called."""
    parent = getcurrent().parent
    if parent is None:
        raise RuntimeError("nobody awaits this: call it with in_greenlet")
    return cast("_T", parent.switch(awaitable))
