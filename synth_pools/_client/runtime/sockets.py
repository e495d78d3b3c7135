"""Sockets of both variants: the order of addresses, and whether a socket can be used."""

from __future__ import annotations

import math
import select
from collections.abc import Callable, Iterable
from itertools import chain, zip_longest
from typing import Any

# Seconds after which the next address is tried beside the earlier ones (RFC 8305).
NEXT_ADDRESS_SECONDS = 0.25
# Milliseconds of 24 days, more than which poll refuses.
_LONGEST_POLL = 2**31 - 1


class Addresses:
    """Order of the addresses of one host.

    Attributes:
        answered: The result of `socket.getaddrinfo` that accepted the last connection.
    """

    def __init__(self) -> None:
        self.answered: Any = None

    def order(self, results: Iterable[Any]) -> list[Any]:
        """Return the results of `socket.getaddrinfo` in the order in which to try them.

        The address that answered last is first. The families take turns, because often a whole
        family is unreachable.
        """
        families: dict[int, list[Any]] = {}
        for result in results:
            families.setdefault(result[0], []).append(result)
        turns = chain.from_iterable(zip_longest(*families.values()))
        return sorted(filter(None, turns), key=lambda result: result != self.answered)


def readiness(raw: Any) -> Callable[[float | None, bool], tuple[bool, bool]]:
    """Return a function that waits until a socket is readable, or, on request, writable."""
    if not hasattr(select, "poll"):

        def wait_select(seconds: float | None, writing: bool) -> tuple[bool, bool]:
            readers, writers, _ = select.select([raw], [raw] if writing else [], [], seconds)
            return bool(readers), bool(writers)

        return wait_select
    reading, both = select.poll(), select.poll()
    reading.register(raw, select.POLLIN)
    both.register(raw, select.POLLIN | select.POLLOUT)

    def wait(seconds: float | None, writing: bool) -> tuple[bool, bool]:
        poll = both if writing else reading
        milliseconds = None
        if seconds is not None:
            milliseconds = min(_LONGEST_POLL, max(0, math.ceil(seconds * 1000))) if seconds else 0
        events = poll.poll(milliseconds)
        if not events:
            if writing:
                raise TimeoutError
            return False, False
        event = events[0][1]
        return bool(event & ~select.POLLOUT), bool(event & select.POLLOUT)

    return wait
