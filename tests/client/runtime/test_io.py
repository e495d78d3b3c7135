"""Blocking calls under the interface of the runtime."""

from __future__ import annotations

from synth_pools._client.runtime.sync_ import io


def test_every_thread_owns_the_connections_of_its_process() -> None:
    owner = io.owner()
    assert not io.is_gone(owner)
    # What another process, or an event loop, has left.
    assert io.is_gone(object())


def test_what_is_closed_for_its_owner_is_closed_at_once() -> None:
    closed: list[int] = []
    io.close_in(io.owner(), lambda: closed.append(1))
    assert closed == [1]
