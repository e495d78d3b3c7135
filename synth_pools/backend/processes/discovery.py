"""Discovery of processes that we started: never by a number alone.

On Linux each process that a pool starts gets a tag: a limit of the size of files, far beyond any
file, and another for each. All that it starts inherits the tag, with whatever session, environment
or parent, also after our own end. (A subreaper would be given the orphans of the whole program
that the backend is a part of, could not tell whose they are, and would have to reap them.)
Elsewhere, and where our own limit is set already, environments are read for a marker.
"""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256

import psutil

from synth_pools.backend.processes.spec import MARKER

# A clock that is set moves all start times a little.
_SAME_SECONDS = 1.0

# No file is so large, and no limit that people set.
_TAG = 1 << 62
_OWN_BITS = 31


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """The identity of a process that we started, the leader of a session of its own."""

    pid: int
    # When, in seconds since 1970, as the system says it.
    started: float
    marker: str
    # Whether it is a child of this very process, so that its number has been ours ever since.
    is_child: bool = False
    # When it was seen to have ended.
    ended: float | None = None
    is_tagged: bool = False


@dataclass(frozen=True, slots=True)
class ProcessEntry:
    """One process of the machine; `marker` and `parent` only where environments were read."""

    pid: int
    session: int
    tag: int
    # "" if it has none, None if it cannot be read.
    marker: str | None = ""
    parent: int | None = None


class ProcessTable:
    """The processes of the machine, read in a thread; one reading serves all that wait for it."""

    def __init__(self) -> None:
        self._next: dict[bool, asyncio.Task[list[ProcessEntry]]] = {}
        self._reading = asyncio.Lock()

    async def read(self, *, with_environments: bool) -> list[ProcessEntry]:
        """Read the table; a reading that has begun already is not joined, as it may be too old."""
        task = self._next.get(with_environments)
        if task is None:
            task = asyncio.create_task(self._read(with_environments))
            self._next[with_environments] = task
        return await asyncio.shield(task)

    async def _read(self, with_environments: bool) -> list[ProcessEntry]:
        async with self._reading:
            del self._next[with_environments]
            return await asyncio.to_thread(read_table, with_environments=with_environments)


@dataclass(frozen=True, slots=True)
class ProcessFinder:
    """A search for processes with our marks, and for all that these have started.

    Attributes:
        table: The shared table.
        is_our_marker: Tells whether a marker is one of those.
        is_our_tag: Tells the same of a tag.
        known: Gives the processes that we started, as they are now.
    """

    table: ProcessTable
    is_our_marker: Callable[[str], bool]
    is_our_tag: Callable[[int], bool]
    known: Callable[[], Sequence[ProcessIdentity]]

    async def find(self) -> list[psutil.Process]:
        """Find them without holding up the event loop."""
        entries = await self.table.read(with_environments=self._needs_environments())
        return await asyncio.to_thread(self._select, entries)

    def find_now(self) -> list[psutil.Process]:
        """Find them, and hold up the event loop: for an end that cannot wait."""
        return self._select(read_table(with_environments=self._needs_environments()))

    def _needs_environments(self) -> bool:
        known = self.known()
        return not known or not all(one.is_tagged for one in known)

    def _select(self, entries: Iterable[ProcessEntry]) -> list[psutil.Process]:
        return select(entries, self.is_our_marker, self.is_our_tag, self.known())


def tag_of(marker: str) -> int:
    """Compute the tag of a marker; those of one database, which share a token, share a prefix."""
    token, _, own = marker.partition(".")
    return _TAG | _digest(token) << _OWN_BITS | _digest(own)


def have_same_token(tag: int, other: int) -> bool:
    """Tell whether two tags are of one database."""
    return tag >> _OWN_BITS == other >> _OWN_BITS


def tagger(marker: str) -> Callable[[], None] | None:
    """Make the function that gives a child its tag before its program starts.

    Returns:
        The function; None where processes cannot be tagged.
    """
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    if not sys.platform.startswith("linux"):
        return None
    if resource.getrlimit(resource.RLIMIT_FSIZE) != unlimited or _tag(os.getpid()) is None:
        return None
    limits = (tag_of(marker), resource.RLIM_INFINITY)
    return partial(resource.setrlimit, resource.RLIMIT_FSIZE, limits)


def read_table(*, with_environments: bool) -> list[ProcessEntry]:
    """Read all processes but ourselves and those that we descend from.

    Args:
        with_environments: Whether to read markers and parents too, which takes a hundred times
            as long.
    """
    us = {os.getpid(), *(process.pid for process in psutil.Process().parents())}
    entries = []
    for pid in psutil.pids():
        try:
            if pid in us:
                continue
            entry = ProcessEntry(pid, os.getsid(pid), _tag(pid) or 0)
            if with_environments:
                process = psutil.Process(pid)
                marker, parent = _marker(process), process.ppid()
                entry = ProcessEntry(pid, entry.session, entry.tag, marker, parent)
            entries.append(entry)
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or a zombie: nobody has to end it
    return entries


def select(
    entries: Iterable[ProcessEntry],
    is_our_marker: Callable[[str], bool],
    is_our_tag: Callable[[int], bool] = lambda _: False,
    known: Iterable[ProcessIdentity] = (),
) -> list[psutil.Process]:
    """Select the processes with one of our marks, and all that these have started.

    A process without a mark counts if it is in the session of a child of ours; one whose
    environment cannot be read (macOS protects some, and a few programs write over it), if it is in
    the session of any process that is `known` and still there.

    Args:
        entries: The table.
        is_our_marker: Tells whether a marker is one of ours.
        is_our_tag: Tells whether a tag is one of ours.
        known: The processes that we started.
    """
    sessions = {one.pid: one for one in known}
    found: list[psutil.Process] = []
    others: dict[int, list[ProcessEntry]] = {}
    for entry in entries:
        is_ours = is_our_tag(entry.tag) or bool(entry.marker and is_our_marker(entry.marker))
        if is_ours or (not entry.marker and entry.session in sessions):
            process = _process_of(entry)
            if process is not None and (is_ours or _is_in_session(process, entry, sessions)):
                found.append(process)
                continue
        if not entry.marker and entry.parent is not None:
            others.setdefault(entry.parent, []).append(entry)
    for process in found:
        # It grows meanwhile: those of the next generation are looked at too.
        children = map(_process_of, others.pop(process.pid, ()))
        found.extend(child for child in children if child is not None)
    return found


def is_alive(process: psutil.Process) -> bool:
    """Tell whether a process still runs; a zombie only waits for its parent to look."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _process_of(entry: ProcessEntry) -> psutil.Process | None:
    """Make the handle of a process; None if it is gone, though its number may be another's now."""
    try:
        process = psutil.Process(entry.pid)
        is_same = entry.parent in (None, process.ppid()) and (_tag(entry.pid) or 0) == entry.tag
    except psutil.Error:
        return None
    return process if is_same and is_alive(process) else None


def _digest(text: str) -> int:
    return int.from_bytes(sha256(text.encode()).digest()[:4], "big") >> 2


def _tag(pid: int) -> int | None:
    """Read the tag of a process: 0 if it has none, None if it cannot be read."""
    if sys.platform != "linux":
        return None
    try:
        limit, _ = resource.prlimit(pid, resource.RLIMIT_FSIZE)
    except OSError:
        return None
    return limit if limit >= _TAG else 0


def _started(process: psutil.Process) -> float:
    try:
        return float(process.create_time())
    except psutil.Error:
        return float("inf")


def _marker(process: psutil.Process) -> str | None:
    """Read the marker of a process: "" if it has none, None if it cannot be read."""
    try:
        variables = process.environ()
    except psutil.AccessDenied:
        return None
    return variables.get(MARKER, "") if variables else None


def _is_in_session(
    process: psutil.Process, entry: ProcessEntry, sessions: dict[int, ProcessIdentity]
) -> bool:
    session = sessions.get(entry.session)
    if session is None or not (entry.marker is None or session.is_child):
        return False
    try:
        started = psutil.Process(session.pid).create_time()
    except psutil.NoSuchProcess:
        # No number is given again while a session has it: one that is older than its end is ours.
        return session.ended is not None and _started(process) < session.ended + _SAME_SECONDS
    return abs(started - session.started) < _SAME_SECONDS
