"""Open files of the process, and the share of each kind of connection.

Clients and containers share the limit. A client that waits for its rollout keeps a connection until
a container has run it: if clients could use all files, no rollout would ever end.
"""

from __future__ import annotations

import contextlib
import errno
import resource
import sys
from collections.abc import Callable
from functools import partial

_DEFAULT_LIMIT = 10_240
# Most files reserved for the database, artifacts and processes; an eighth if the limit is small.
_MOST_RESERVED = 128

# This process or machine lacks room; the peer is not at fault.
SHORTAGES = frozenset(
    {errno.EADDRNOTAVAIL, errno.EAGAIN, errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
)

# The soft limit before it was raised; empty if it was not raised.
_former_limits: list[int] = []


def raise_limit() -> None:
    """Raise the soft limit of open files to the hard limit, as far as the system allows."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # Some systems without a hard limit refuse more files than they could ever open.
    new_limit = _DEFAULT_LIMIT if hard == resource.RLIM_INFINITY else hard
    if soft != resource.RLIM_INFINITY and soft < new_limit:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (new_limit, hard))
            _former_limits[:] = [soft]


def limit_restorer() -> Callable[[], None] | None:
    """Create a function that restores the soft limit from before `raise_limit`.

    Some programs loop over all files that they might have open, or use `select`, which can handle
    only the first 1,024 of them.

    Returns:
        The function, to be called in the child; None if the limit was not raised.
    """
    if not _former_limits:
        return None
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    return partial(resource.setrlimit, resource.RLIMIT_NOFILE, (_former_limits[0], hard))


def most_files() -> int:
    """Return the limit of open files of this process."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return sys.maxsize if soft == resource.RLIM_INFINITY else soft


def container_connections(files: int) -> int:
    """Return the number of connections to containers within a limit of open files."""
    return max(4, (files - _reserved(files)) // 2)


def client_files(files: int) -> int:
    """Return the bound below which the file number of a client's connection must be."""
    return max(16, files - container_connections(files) - _reserved(files))


def _reserved(files: int) -> int:
    return min(_MOST_RESERVED, files // 8)
