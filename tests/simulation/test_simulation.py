"""Backends on one database, simulated: a few seeds hold, and planted faults are detected."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from random import Random
from typing import Any

import pytest

from synth_pools.backend.domain import clock
from tests.simulation.loop import SimulatedLoop, StuckError
from tests.simulation.plants import PLANTS, Plant, lease_by_one_clock
from tests.simulation.run import OPTIONS, Simulation, place, simulation
from tests.simulation.stories import Story
from tests.support.postgres_server import find_programs, running_server

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(900)]

SEEDS, PORTIONS = 200, 8
# The number of seeds within which each planted fault is detected.
MOST = 1000


@pytest.fixture(scope="module")
def simulated() -> Iterator[Simulation]:
    """Simulations on a server of their own, whose statistics change at no other time."""
    try:
        find_programs()
    except LookupError as error:
        pytest.skip(str(error))
    with (
        running_server(OPTIONS, place()) as server,
        simulation(server.new_database("simulation")) as opened,
    ):
        yield opened


@pytest.mark.parametrize("portion", range(PORTIONS))
def test_no_seed_violates_anything(simulated: Simulation, portion: int) -> None:
    failure = simulated.first_failure(range(portion, SEEDS, PORTIONS))
    assert failure is None, str(failure)


@pytest.mark.parametrize("plant", PLANTS, ids=lambda plant: plant.__name__)
def test_a_planted_fault_is_detected(
    simulated: Simulation, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(monkeypatch)
    assert any(simulated.violation_of(Story.of(seed)) for seed in range(MOST))


def test_a_seed_is_the_same_story_each_time(simulated: Simulation) -> None:
    def outcome(seed: int) -> tuple[Any, ...]:
        world = simulated.world_of(Story.of(seed))
        ends = [
            (rollout.id, rollout.status, rollout.attempt, rollout.reward, rollout.created_at)
            for rollout in world.checker.rollouts.values()
        ]
        return world.loop.time(), world.checker.commits, ends

    assert str(Story.of(1)) == str(Story.of(1))
    outcomes = [outcome(seed) for seed in range(12)]
    has_compared = threading.Event()

    def draw() -> None:
        """Draw numbers, as a backend of another test does in this process."""
        while not has_compared.wait(0.001):
            clock.new_id("pool")
            clock.jitter(1.0)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(draw)
        try:
            assert outcomes == [outcome(seed) for seed in range(12)]
        finally:
            has_compared.set()
    assert len({seconds for seconds, *_ in outcomes}) == 12


def test_a_failing_seed_is_shrunk(simulated: Simulation, monkeypatch: pytest.MonkeyPatch) -> None:
    lease_by_one_clock(monkeypatch)
    failure = simulated.first_failure(range(MOST))
    assert failure is not None
    story = failure.story
    assert "set_server_clock" in [action.kind for action in story.actions]
    for omitted in story.numbers:
        smaller = story.only([number for number in story.numbers if number != omitted])
        assert "one owner" not in simulated.violation_of(smaller)
    again = Story.of(story.seed).only(story.numbers)
    assert simulated.violation_of(again) == failure.violation
    lines = str(failure).splitlines()
    assert lines[0].startswith(f"seed {story.seed}: ")
    assert lines[1:-2] == [str(action) for action in story.actions]
    assert lines[-2] == failure.violation
    assert lines[-1].endswith(f"--seed {story.seed} --keep {','.join(map(str, story.numbers))}")


def test_processes_take_turns_and_stop() -> None:
    loop = SimulatedLoop(Random(0))
    calls: list[tuple[str, int, float]] = []

    async def work(name: str) -> None:
        for number in range(3):
            calls.append((name, number, loop.time()))
            await asyncio.sleep(1.0)

    async def main() -> None:
        processes = [loop.new_process(name) for name in "abc"]
        for process in processes:
            loop.create_task(work(process.name), context=process.context.copy())
        await asyncio.sleep(0.5)
        processes[1].is_stopped = processes[2].is_dead = True
        await asyncio.sleep(3.0)
        processes[1].is_stopped = False
        await asyncio.sleep(9.0)

    loop.run_until_complete(main())
    assert sorted(calls) == [
        *(("a", number, float(number)) for number in range(3)),
        *(("b", number, seconds) for number, seconds in enumerate((0.0, 3.5, 4.5))),
        ("c", 0, 0.0),
    ]
    loop.end_processes()
    with pytest.raises(StuckError):
        loop.run_until_complete(asyncio.Event().wait())
    loop.end_processes()
    loop.close()
