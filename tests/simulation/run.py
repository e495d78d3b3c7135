"""Run of many seeds, in several processes, each with a database of its own."""

from __future__ import annotations

import gc
import multiprocessing
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from tests.simulation.real import RealDatabase
from tests.simulation.server import EPOCH
from tests.simulation.stories import Story, shrunk
from tests.simulation.world import World
from tests.support.postgres_server import PostgresServer

# Nothing of it has to survive anything; dead rows are removed between seeds, at the same places.
OPTIONS = (
    "fsync=off",
    "full_page_writes=off",
    "synchronous_commit=off",
    "autovacuum=off",
    "max_connections=400",
    "shared_buffers=64MB",
    "max_wal_size=256MB",
    "wal_level=minimal",
    "max_wal_senders=0",
    "update_process_title=off",
    "track_activities=off",
    "track_counts=off",
)
# Failures of a worker to print.
_MOST_FAILURES = 3
_SHARED_MEMORY = Path("/dev/shm")


class Failure(NamedTuple):
    """Failure of a seed.

    Attributes:
        story: The smallest story that fails in the same way.
        violation: What it violates.
    """

    story: Story
    violation: str

    def __str__(self) -> str:
        numbers = ",".join(map(str, self.story.numbers))
        again = f"python -m tests.simulation --seed {self.story.seed} --keep {numbers or 'none'}"
        return f"{self.story}\n{self.violation}\nagain: {again}"


@contextmanager
def simulation(url: str) -> Iterator[Simulation]:
    """Use an empty database for simulations for the duration of the block."""
    folder = Path(tempfile.mkdtemp(dir=place()))
    real = RealDatabase(url)
    try:
        yield Simulation(real, folder)
    finally:
        real.close()
        shutil.rmtree(folder)


class Simulation:
    """Simulations on one database.

    Args:
        real: The database.
        folder: A folder for the files of the backends.
    """

    def __init__(self, real: RealDatabase, folder: Path) -> None:
        self._real = real
        self._folder = folder

    def world_of(self, story: Story) -> World:
        """Simulate a story, and return the simulation at its end."""
        self._real.empty(EPOCH)
        world = World(story, self._real, self._folder)
        gc.disable()
        try:
            world.run()
        finally:
            gc.enable()
        return world

    def violation_of(self, story: Story) -> str:
        """Return the violation of a story; an empty text if there is none."""
        return self.world_of(story).violation

    def first_failure(self, seeds: Sequence[int]) -> Failure | None:
        """Return the failure of the first seed that fails, with its story shrunk."""
        for seed in seeds:
            story = Story.of(seed)
            if violation := self.violation_of(story):
                return self.shrunk(story, violation)
        return None

    def shrunk(self, story: Story, violation: str) -> Failure:
        """Return the smallest story that violates the same rule."""
        rule = _rule(violation)
        smallest = shrunk(story, lambda smaller: _rule(self.violation_of(smaller)) == rule)
        return Failure(smallest, self.violation_of(smallest))


def place() -> Path | None:
    """Return the folder for files of the simulation: in memory, where the system has such a one."""
    return _SHARED_MEMORY if os.access(_SHARED_MEMORY, os.W_OK) else None


def run_all(server: PostgresServer, seeds: range, workers: int) -> list[Failure]:
    """Run seeds in processes, and return the failures."""
    portions = [seeds[number::workers] for number in range(workers)]
    urls = [server.new_database(f"simulation_{number}") for number in range(workers)]
    with multiprocessing.get_context("spawn").Pool(workers) as pool:
        results = pool.starmap(_run, zip(urls, portions, strict=True))
    return [failure for failures in results for failure in failures]


def _run(url: str, seeds: Sequence[int]) -> list[Failure]:
    failures: list[Failure] = []
    with simulation(url) as simulated:
        for seed in seeds:
            failure = simulated.first_failure([seed])
            if failure is not None and len(failures) < _MOST_FAILURES:
                failures.append(failure)
    return failures


def _rule(violation: str) -> str:
    # After the time.
    return ": ".join(violation.split(": ")[1:2])
