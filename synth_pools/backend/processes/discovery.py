"""Discovery of processes that we started, never by a process id alone.

On Linux each process of a pool gets a tag: its own limit on the size of files, far above the size
of any file. Its descendants inherit the tag, whatever their session and environment, and keep it
when their parent or this program ends. (A subreaper would adopt the orphans of the whole program
that embeds the backend, without knowing their origin, and would have to reap them.) On other
systems, or if this process already has such a limit, environments are searched for a marker.
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

# Tolerance of start times: setting the clock moves them all a little.
_SAME_SECONDS = 1.0

# Larger than any file and any limit that people set.
_TAG = 1 << 62
_OWN_BITS = 31


@dataclass(frozen=True, slots=True)
class ProcessIdentity:
    """Identity of a process that we started; it leads its session."""

    pid: int
    # Start time from the system, in seconds since 1970.
    started: float
    marker: str
    # True for a child of this process; its id cannot belong to a new process.
    is_child: bool = False
    # The time of its end, if it has ended.
    ended_at: float | None = None
    is_tagged: bool = False


@dataclass(frozen=True, slots=True)
class ProcessEntry:
    """Process of the machine; `marker` and `parent` are set only if environments were read."""

    pid: int
    session: int
    tag: int
    # "" if it has no marker, None if the marker cannot be read.
    marker: str | None = ""
    parent: int | None = None


class ProcessTable:
    """Table of the machine's processes, read in a thread and shared by waiting callers."""

    def __init__(self) -> None:
        self._next: dict[bool, asyncio.Task[list[ProcessEntry]]] = {}
        self._reading = asyncio.Lock()

    async def read(self, *, with_environments: bool) -> list[ProcessEntry]:
        """Read the table in a new pass; the data of a running pass may be too old."""
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
    """Search for processes with our marks, and for their descendants."""

    # Shared with other searches.
    table: ProcessTable
    is_our_marker: Callable[[str], bool]
    is_our_tag: Callable[[int], bool]
    # Returns the processes that we started, in their present state.
    identities: Callable[[], Sequence[ProcessIdentity]]

    async def find(self) -> list[psutil.Process]:
        """Find the processes without blocking the event loop."""
        entries = await self.table.read(with_environments=self._needs_environments())
        return await asyncio.to_thread(self._select, entries)

    def find_now(self) -> list[psutil.Process]:
        """Find the processes and block the event loop, if their end cannot wait."""
        return self._select(read_table(with_environments=self._needs_environments()))

    def _needs_environments(self) -> bool:
        identities = self.identities()
        return not identities or not all(identity.is_tagged for identity in identities)

    def _select(self, entries: Iterable[ProcessEntry]) -> list[psutil.Process]:
        return select(entries, self.is_our_marker, self.is_our_tag, self.identities())


def tag_of(marker: str) -> int:
    """Compute the tag of a marker; the tags of one database share a prefix."""
    token, _, suffix = marker.partition(".")
    return _TAG | _digest(token) << _OWN_BITS | _digest(suffix)


def have_same_token(tag: int, second: int) -> bool:
    """Tell whether two tags belong to the same database."""
    return tag >> _OWN_BITS == second >> _OWN_BITS


def tagger(marker: str) -> Callable[[], None] | None:
    """Create a function that tags a child before its program starts.

    Returns:
        The function; None if processes cannot be tagged.
    """
    unlimited = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    if not sys.platform.startswith("linux"):
        return None
    if resource.getrlimit(resource.RLIMIT_FSIZE) != unlimited or _tag(os.getpid()) is None:
        return None
    limits = (tag_of(marker), resource.RLIM_INFINITY)
    return partial(resource.setrlimit, resource.RLIMIT_FSIZE, limits)


def read_table(*, with_environments: bool) -> list[ProcessEntry]:
    """Read all processes except this one and its ancestors.

    Args:
        with_environments: Read markers and parents too, which takes a hundred times as long.
    """
    own_pids = {os.getpid(), *(process.pid for process in psutil.Process().parents())}
    entries = []
    for pid in psutil.pids():
        try:
            if pid in own_pids:
                continue
            entry = ProcessEntry(pid, os.getsid(pid), _tag(pid) or 0)
            if with_environments:
                process = psutil.Process(pid)
                marker, parent = _marker(process), process.ppid()
                entry = ProcessEntry(pid, entry.session, entry.tag, marker, parent)
            entries.append(entry)
        except (psutil.Error, OSError):
            continue  # ended meanwhile, or a zombie
    return entries


def select(
    entries: Iterable[ProcessEntry],
    is_our_marker: Callable[[str], bool],
    is_our_tag: Callable[[int], bool] = lambda _: False,
    identities: Iterable[ProcessIdentity] = (),
) -> list[psutil.Process]:
    """Select the processes with one of our marks, and their descendants.

    A process without a mark counts if it is in the session of a child of ours. A process with an
    unreadable environment (macOS protects some, and a few programs overwrite it) counts if it is in
    the session of any of `identities` that still exists.

    Args:
        entries: The table.
        is_our_marker: Returns True for our markers.
        is_our_tag: Returns True for our tags.
        identities: The processes that we started.
    """
    sessions = {identity.pid: identity for identity in identities}
    selected: list[psutil.Process] = []
    others: dict[int, list[ProcessEntry]] = {}
    for entry in entries:
        is_ours = is_our_tag(entry.tag) or bool(entry.marker and is_our_marker(entry.marker))
        if is_ours or (not entry.marker and entry.session in sessions):
            process = _process_of(entry)
            if process is not None and (is_ours or _is_in_session(process, entry, sessions)):
                selected.append(process)
                continue
        if not entry.marker and entry.parent is not None:
            others.setdefault(entry.parent, []).append(entry)
    for process in selected:
        # The list grows in this loop, so that children of children are selected too.
        children = map(_process_of, others.pop(process.pid, ()))
        selected.extend(child for child in children if child is not None)
    return selected


def is_alive(process: psutil.Process) -> bool:
    """Tell whether a process still runs; a zombie does not."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _process_of(entry: ProcessEntry) -> psutil.Process | None:
    """Make the handle of a process; None if it has ended, even if another has its id now."""
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
        # No new process gets the id of a living session: a member from before its end is ours.
        return session.ended_at is not None and _started(process) < session.ended_at + _SAME_SECONDS
    return abs(started - session.started) < _SAME_SECONDS
