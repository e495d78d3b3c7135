"""Takes the API key out of the reach of exceptions.

An exception keeps the frames that it passed through alive, and frames of an HTTP library hold the
headers of the request in local variables. Whoever prints a traceback with its locals, as error
reporters do, would print the key. So our exceptions are raised in the place of the originals, and
what has to pass through unchanged loses its frames on the way.
"""

from __future__ import annotations


def strip_tracebacks(error: BaseException) -> BaseException:
    """``error``, with it and all that it refers to cut off from the frames they passed through."""
    pending: list[BaseException | None] = [error]
    seen: set[int] = set()
    while pending:
        current = pending.pop()
        if current is None or id(current) in seen:
            continue
        seen.add(id(current))
        current.__traceback__ = None
        pending += [current.__cause__, current.__context__]
        if isinstance(current, BaseExceptionGroup):
            pending += current.exceptions
    return error
