"""`python -m tests.simulation`: simulate many seeds, or one seed again."""

from __future__ import annotations

import argparse
import os
import sys
import time

from tests.simulation.run import OPTIONS, Failure, place, run_all, simulation
from tests.simulation.stories import Story
from tests.support.postgres_server import find_programs, running_server


def main() -> int:
    """Run the simulation; return the status to exit with."""
    parser = argparse.ArgumentParser(prog="python -m tests.simulation", description=__doc__)
    parser.add_argument("--seeds", type=int, default=10_000, help="how many [%(default)s]")
    parser.add_argument("--from", dest="first", type=int, default=0, help="the first one")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 2)
    parser.add_argument("--seed", type=int, help="one seed alone")
    parser.add_argument("--keep", help="of its actions only these, such as 0,3")
    options = parser.parse_args()
    # The order of sets is part of a story.
    if os.environ.get("PYTHONHASHSEED") != "0":
        command = [sys.executable, "-m", "tests.simulation", *sys.argv[1:]]
        os.execve(sys.executable, command, {**os.environ, "PYTHONHASHSEED": "0"})
    try:
        find_programs()
    except LookupError as error:
        print(f"not simulated: {error}", file=sys.stderr)
        return 0
    begin = time.monotonic()
    with running_server(OPTIONS, place()) as server:
        if options.seed is None:
            seeds = range(options.first, options.first + options.seeds)
            failures = run_all(server, seeds, options.workers)
        else:
            failures = _run_one(server.new_database("simulation"), options.seed, options.keep)
    for failure in failures:
        print(failure, end="\n\n")
    if options.seed is None:
        print(
            f"{options.seeds} seeds in {time.monotonic() - begin:.0f} s: {len(failures)} failures"
        )
    return 1 if failures else 0


def _run_one(url: str, seed: int, keep: str | None) -> list[Failure]:
    story = Story.of(seed)
    if keep is not None:
        story = story.only([] if keep == "none" else [int(place) for place in keep.split(",")])
    with simulation(url) as simulated:
        violation = simulated.violation_of(story)
        if not violation:
            print(f"{story}\nno violation")
            return []
        return [simulated.shrunk(story, violation) if keep is None else Failure(story, violation)]


if __name__ == "__main__":
    sys.exit(main())
