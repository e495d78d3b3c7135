"""Looks for an API key wherever a program may stumble over it."""

from __future__ import annotations

import re
import threading
import traceback
from collections.abc import Iterator, Mapping
from typing import Any

KEY = "sk_live_0123456789abcdef"


# Names of the threads of pools, which servers of other tests may start at any time.
_OF_POOLS = re.compile(r".*_\d+")


def count_threads() -> int:
    """Return the number of the threads that a client could have left."""
    return sum(not _OF_POOLS.fullmatch(thread.name) for thread in threading.enumerate())


def traceback_with_locals(error: BaseException) -> str:
    """Render what an error reporter sends: the whole chain, with every frame's local variables.

    Frames of the tests are left out: they contain the key.
    """
    report: traceback.TracebackException | None
    report = traceback.TracebackException.from_exception(error, capture_locals=True)
    text = "".join(report.format_exception_only())
    while report is not None:
        frames = [frame for frame in report.stack if "/tests/" not in frame.filename]
        text += "".join(traceback.StackSummary.from_list(frames).format())
        report = report.__cause__ or report.__context__
    return text


def reachable(root: Any, *, limit: int = 100_000) -> Iterator[Any]:
    """Everything that attributes, slots and containers lead to, starting at `root`."""
    pending, observed = [root], set[int]()
    while pending and len(observed) < limit:
        current = pending.pop()
        if id(current) in observed or isinstance(current, type):
            continue
        observed.add(id(current))
        yield current
        if isinstance(current, Mapping):
            pending += [*current.keys(), *current.values()]
        elif isinstance(current, list | tuple | set | frozenset):
            pending += current
        pending += vars(current).values() if hasattr(current, "__dict__") else []
        for kind in type(current).__mro__:
            slots = vars(kind).get("__slots__", ())
            for name in (slots,) if isinstance(slots, str) else slots:
                try:
                    pending.append(object.__getattribute__(current, name))
                except AttributeError:
                    continue
    assert not pending, "the graph is larger than expected"


def holders(root: Any, key: str = KEY) -> list[Any]:
    """List the reachable texts, bytes and reprs that contain the key."""
    raw = key.encode()
    results = []
    for item in reachable(root):
        if isinstance(item, str):
            leaks = key in item
        elif isinstance(item, bytes | bytearray):
            leaks = raw in item
        elif isinstance(item, Mapping | list | tuple | set | frozenset):
            continue  # what is in it comes on its own
        else:
            leaks = key in repr(item)
        if leaks:
            results.append(item)
    return results
