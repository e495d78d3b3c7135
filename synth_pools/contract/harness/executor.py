"""Plays scenarios, several at a time; each on things of its own, so that none disturbs another."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable

from synth_pools.contract.exceptions import (
    BusyError,
    EndScenario,
    LackError,
    StoppedError,
    UnreachableError,
)
from synth_pools.contract.harness.context import Context, Scenario
from synth_pools.contract.results import Column, Outcome
from synth_pools.contract.session import World

_THREADS = 4
_LATE = "the time ran out"

Told = Callable[[int, int], None]


class Troubles:
    """Lines from several threads, each once."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        with self._lock:
            if line not in self.lines:
                self.lines.append(line)


class Playing:
    """Scenarios being played side by side, in threads of its own.

    Those that wait for a clock run along with whatever comes after the others.
    """

    def __init__(self, world: World, scenarios: Iterable[Scenario], told: Told) -> None:
        self._world = world
        self._told = told
        self._troubles = Troubles()
        self._lock = threading.Lock()
        self._done = 0
        everything = list(scenarios)
        self._total = len(everything)
        slow = [one for one in everything if one.slow]
        self._jobs: queue.SimpleQueue[Scenario] = queue.SimpleQueue()
        self._alone = [one for one in everything if one.alone]
        for one in everything:
            if not one.slow and not one.alone:
                self._jobs.put(one)
        # Daemons: after ^C nobody waits for a thread that hangs in a read.
        self._slow = [threading.Thread(target=self._play, args=(one,), daemon=True) for one in slow]
        self._quick = [threading.Thread(target=self._work, daemon=True) for _ in range(_THREADS)]
        for thread in (*self._slow, *self._quick):
            thread.start()

    @property
    def troubles(self) -> list[str]:
        """What kept scenarios from judging, other than departures; one line each."""
        return self._troubles.lines

    def wait_for_quick(self) -> None:
        self._wait(self._quick)

    def wait_for_all(self) -> None:
        self._wait((*self._quick, *self._slow))
        for job in self._alone:
            self._play(job)
        self._alone = []

    def _wait(self, threads: Iterable[threading.Thread]) -> None:
        for thread in threads:
            while thread.is_alive():
                # In small bites: ^C must reach the main thread.
                thread.join(0.2)
                self._told(self._done, self._total)

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            self._play(job)

    def _play(self, job: Scenario) -> None:
        play(self._world, job, self._troubles)
        with self._lock:
            self._done += 1


def play(world: World, one: Scenario, troubles: Troubles) -> None:
    """Play one scenario; whatever ends it, each of its operations gets an outcome."""
    ctx = Context(world, one)
    rest = "what comes before it departed"
    outcome = Outcome.NOT_REACHED
    try:
        lack = _lacking(world, one)
        if lack is not None:
            outcome, rest = lack
            if rest == _LATE:
                troubles.add(f"{_LATE} before every scenario was played: give it more")
        else:
            one.play(ctx)
            rest = "the scenario did not come to it"
    except EndScenario:
        pass
    except LackError as error:
        ctx.lack(error.operation, error.note, error.outcome)
        outcome, rest = error.outcome, error.note
    except BusyError as error:
        rest = str(error)
        troubles.add(f"the server is too busy to be judged: {error}")
    except UnreachableError as error:
        rest = "the connection was lost"
        troubles.add(f"the connection was lost ({error})")
        world.probe.stop.set()
    except StoppedError:
        rest = "the run was stopped"
    except Exception as error:  # noqa: BLE001 - a defect of the kit must not look like a verdict
        rest = f"the kit stumbled: {type(error).__name__}: {error}"
        if not ctx.departures:
            troubles.add(f"the kit stumbled in {one.id}: {type(error).__name__}: {error}")
    for operation in one.operations:
        if operation not in ctx.judged:
            world.findings.lacking(outcome, one.id, operation, Column.BEHAVIOUR, ctx.layer, rest)


def _lacking(world: World, one: Scenario) -> tuple[Outcome, str] | None:
    if time.monotonic() > world.options.deadline:
        return Outcome.NOT_REACHED, _LATE
    if world.options.read_only and not one.reads_only:
        return Outcome.NOT_REACHED, "read-only"
    if one.needs is None:
        return None
    if one.needs == "live":
        if world.echo or world.containers:
            return None
        return (
            Outcome.NOT_REACHED,
            "needs a slow rollout: no echo target, and no container of ours can be reached",
        )
    if one.needs == "containers":
        if world.containers:
            return None
        return Outcome.NOT_REACHED, "needs a backend on this machine that may call loopback"
    if world.offers(one.needs):
        return None
    return Outcome.NOT_OFFERED, f"features.{one.needs} is not true"
