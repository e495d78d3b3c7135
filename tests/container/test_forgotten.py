"""Ended rollouts that a container forgets, so that its memory has a limit."""

from __future__ import annotations

import pytest

from synth_pools.container import Container, Rollout, episodes
from synth_pools.container.episodes import Episodes, RefusedError


async def test_the_oldest_ends_are_forgotten_beyond_a_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(episodes, "_MOST_BYTES", 60_000)
    container = Container("large")

    @container.rollout
    def play(rollout: Rollout) -> None:
        rollout.artifact("a.txt", "x" * 20_000)

    played = Episodes(container)
    async with played.open():
        for number in range(5):
            await played.submit({"rollout_id": f"r{number}"}).ended.wait()
        with pytest.raises(RefusedError, match="does not know"):
            played.find("r0")
        assert played.find("r4").status == "ended"
        assert played.count("ended") == 2
