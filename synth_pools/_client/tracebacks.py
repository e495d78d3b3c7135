"""Removal of the API key from tracebacks.

An exception keeps the frames that it passed through alive, and frames of an HTTP library hold the
headers of the request in local variables. Whoever prints a traceback with its locals, as error
reporters do, would print the key. So our exceptions are raised in the place of the originals, and
what has to pass through unchanged loses its frames first.
"""

from __future__ import annotations


def strip_tracebacks(error: BaseException) -> BaseException:
    """Remove the tracebacks of ``error`` and of all that it refers to, and return it."""
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
