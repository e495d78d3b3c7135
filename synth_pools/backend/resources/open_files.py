"""Open files of the process, and how many of them each kind of connection may use.

Clients and containers share the limit. A client that waits for its rollout holds a connection until
a container has run it: if clients could use all files, nothing would ever end.
"""

from __future__ import annotations

import contextlib
import errno
import resource
import sys
from collections.abc import Callable
from functools import partial

_WITHOUT_A_KNOWN_LIMIT = 10_240
# Kept free for the database, for artifacts and for processes: an eighth of a small limit.
_MOST_KEPT_FREE = 128

# This process, or this machine, has no room: whoever is called has nothing to do with it.
SHORTAGES = frozenset(
    {
        errno.EADDRNOTAVAIL,
        errno.EAGAIN,
        errno.EMFILE,
        errno.ENFILE,
        errno.ENOBUFS,
        errno.ENOMEM,
    }
)

# The soft limit before it was raised; empty where it was left as it is.
_former: list[int] = []


def raise_limit() -> None:
    """Raise the soft limit of open files to the hard one, as far as the system allows it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Some systems refuse more than they could ever open, though they name no limit.
    wanted = _WITHOUT_A_KNOWN_LIMIT if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            _former[:] = [soft]


def limit_restorer() -> Callable[[], None] | None:
    """Make the function that gives a child the soft limit that this process began with.

    Some programs do something for each file that they might have open, or wait for files in a way
    that knows the first 1,024 of them.

    Returns:
        The function, to be called in the child; None where the limit was not raised.
    """
    if not _former:
        return None
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return partial(resource.setrlimit, resource.RLIMIT_NOFILE, (_former[0], hard))


def most_files() -> int:
    """Return how many files this process may have open."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def container_connections(files: int) -> int:
    """Return how many connections to containers a limit of open files leaves room for."""
    return max(4, (files - _kept_free(files)) // 2)


def client_files(files: int) -> int:
    """Return below which number the file of a client's connection has to be."""
    return max(16, files - container_connections(files) - _kept_free(files))


def _kept_free(files: int) -> int:
    return min(_MOST_KEPT_FREE, files // 8)
