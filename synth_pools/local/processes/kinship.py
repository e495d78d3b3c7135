"""Which of the processes on this machine are ours: never by a number alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import psutil

from .environment import MARKER

# A clock that is set moves all start times a little.
_SAME_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Known:
    """A process that was started by us: the leader of a session of its own."""

    pid: int
    # When, in seconds since 1970, as the system says it.
    started: float
    marker: str


def find(is_ours: Callable[[str], bool], known: Iterable[Known] = ()) -> list[psutil.Process]:
    """Those that carry one of our markers.

    Of one whose environment cannot be read (macOS protects some, and a few programs write over it)
    counts whether it is in the session of a process that is `known` and still there.
    """
    sessions = {one.pid: one for one in known}
    us = {os.getpid(), *(process.pid for process in psutil.Process().parents())}
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid not in us and _is_ours(process, is_ours, sessions):
                found.append(process)
        except (psutil.Error, OSError):
            continue  # gone meanwhile, or a zombie: nobody has to end it
    return found


def _is_ours(
    process: psutil.Process, is_ours: Callable[[str], bool], sessions: dict[int, Known]
) -> bool:
    try:
        variables = process.environ()
    except psutil.AccessDenied:
        variables = {}
    if variables:
        return is_ours(variables.get(MARKER, ""))
    session = sessions.get(os.getsid(process.pid))
    if session is None:
        return False
    leader = psutil.Process(session.pid)
    return abs(leader.create_time() - session.started) < _SAME_SECONDS
