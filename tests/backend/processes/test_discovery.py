"""Discovery of processes by their marks, among real ones."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator

import psutil
import pytest

from synth_pools.backend.processes.discovery import ProcessEntry, ProcessIdentity, select

OURS, FOREIGN = "ours", "foreign"
# It lasts until its input ends.
COMMAND = [sys.executable, "-c", "input()"]


@pytest.fixture
def pids() -> Iterator[list[int]]:
    """Four processes, each the leader of a session of its own, and the last of them gone."""
    started = [
        subprocess.Popen(
            [sys.executable, "-c", "input()"], stdin=subprocess.PIPE, start_new_session=True
        )
        for _ in range(4)
    ]
    started[3].kill()
    started[3].wait(30)
    yield [process.pid for process in started]
    for process in started:
        process.kill()
        process.wait(30)
        assert process.stdin is not None
        process.stdin.close()


def found(entries: list[ProcessEntry], *expected: ProcessIdentity) -> list[int]:
    return [process.pid for process in select(entries, OURS.__eq__, identities=expected)]


def test_those_with_a_mark_of_ours_that_are_still_there(pids: list[int]) -> None:
    marks = (OURS, FOREIGN, "", OURS)
    entries = [ProcessEntry(pid, pid, 0, mark) for pid, mark in zip(pids, marks, strict=True)]
    assert found(entries) == pids[:1]


def test_one_without_a_mark_that_one_of_ours_has_started(pids: list[int]) -> None:
    """A process with another mark belongs to another backend, even if ours has started it."""

    us = os.getpid()
    entries = [
        ProcessEntry(pids[0], pids[0], 0, "", us),
        ProcessEntry(pids[1], pids[1], 0, FOREIGN, us),
        ProcessEntry(pids[2], pids[2], 0, "", pids[1]),
    ]
    assert found([ProcessEntry(us, os.getsid(us), 0, OURS), *entries]) == [us, pids[0]]


@pytest.mark.parametrize(("is_child", "is_same"), [(True, True), (False, True), (True, False)])
def test_one_without_a_mark_in_the_session_of_a_child(
    pids: list[int], is_child: bool, is_same: bool
) -> None:
    started = psutil.Process(pids[0]).create_time() - (0 if is_same else 60)
    expected = ProcessIdentity(pids[0], started, OURS, is_child=is_child)
    entries = [ProcessEntry(pids[0], pids[0], 0), ProcessEntry(pids[1], pids[1], 0)]
    assert found(entries, expected) == (pids[:1] if is_child and is_same else [])
    # A process with another mark belongs to somebody else there, too.
    assert found([ProcessEntry(pids[0], pids[0], 0, FOREIGN)], expected) == []
