"""Discovery of processes that we started: never by a number alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil

from .spec import MARKER

# A clock that is set moves all start times a little.
_SAME_SECONDS = 1.0


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


def find(
    is_ours: Callable[[str], bool], known: Iterable[ProcessIdentity] = ()
) -> list[psutil.Process]:
    """Find the processes that carry one of our markers, and all that these have started.

    A process without a marker counts if it is in the session of a child of ours; one whose
    environment cannot be read (macOS protects some, and a few programs write over it), if it is in
    the session of any process that is `known` and still there.

    Args:
        is_ours: Tells whether a marker is one of ours.
        known: The processes that we started.
    """
    sessions = {one.pid: one for one in known}
    us = {os.getpid(), *(process.pid for process in psutil.Process().parents())}
    found: list[psutil.Process] = []
    others: dict[int, list[psutil.Process]] = {}
    for process in psutil.process_iter():
        try:
            if process.pid in us:
                continue
            marker = _marker(process)
            if is_ours(marker) if marker else _is_in_session(process, marker, sessions):
                found.append(process)
            elif not marker:
                others.setdefault(process.ppid(), []).append(process)
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or a zombie: nobody has to end it
    for process in found:
        # It grows meanwhile: those of the next generation are looked at too.
        found.extend(child for child in others.pop(process.pid, ()) if is_alive(child))
    return found


def is_alive(process: psutil.Process) -> bool:
    """Tell whether a process still runs; a zombie only waits for its parent to look."""
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.Error:
        return False


def _marker(process: psutil.Process) -> str | None:
    """Read the marker of a process: "" if it has none, None if it cannot be read."""
    try:
        variables = process.environ()
    except psutil.AccessDenied:
        return None
    return variables.get(MARKER, "") if variables else None


def _is_in_session(
    process: psutil.Process, marker: str | None, sessions: dict[int, ProcessIdentity]
) -> bool:
    session = sessions.get(os.getsid(process.pid)) if sessions else None
    if session is None or not (marker is None or session.is_child) or not is_alive(process):
        return False
    try:
        started = psutil.Process(session.pid).create_time()
    except psutil.NoSuchProcess:
        # No number is given again while a session has it: one that is older than its end is ours.
        return session.ended is not None and process.create_time() < session.ended + _SAME_SECONDS
    return abs(started - session.started) < _SAME_SECONDS
