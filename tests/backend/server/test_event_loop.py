"""The event loop of a backend, and how it is chosen."""

from __future__ import annotations

import asyncio
import sys

import pytest
import uvloop

from synth_pools.backend.errors import BadOptionError
from synth_pools.backend.server.thread import loop_factory
from synth_pools.local import LocalBackend


def running_loop(backend: LocalBackend) -> asyncio.AbstractEventLoop:
    assert backend._run is not None
    loop = backend._run.thread._loop
    assert loop is not None
    return loop


@pytest.mark.parametrize(
    ("value", "is_uvloop"),
    [(None, True), ("", True), ("uvloop", True), ("asyncio", False), (" Asyncio ", False)],
)
def test_it_is_the_fastest_unless_the_environment_names_one(
    monkeypatch: pytest.MonkeyPatch, value: str | None, is_uvloop: bool
) -> None:
    monkeypatch.delenv("SYNTH_POOLS_LOOP", raising=False)
    if value is not None:
        monkeypatch.setenv("SYNTH_POOLS_LOOP", value)
    with LocalBackend() as backend:
        assert isinstance(running_loop(backend), uvloop.Loop) == is_uvloop


def test_without_uvloop_it_is_the_one_of_asyncio(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SYNTH_POOLS_LOOP", raising=False)
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with LocalBackend() as backend:
        assert not isinstance(running_loop(backend), uvloop.Loop)
    assert loop_factory() is asyncio.new_event_loop


@pytest.mark.parametrize(("value", "text"), [("trio", "must be"), ("uvloop", "synth-pools.uvloop")])
def test_one_that_cannot_be_is_refused(
    monkeypatch: pytest.MonkeyPatch, value: str, text: str
) -> None:
    monkeypatch.setenv("SYNTH_POOLS_LOOP", value)
    monkeypatch.setitem(sys.modules, "uvloop", None)
    with pytest.raises(BadOptionError, match=text):
        LocalBackend().start()
