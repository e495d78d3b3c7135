"""Plays scenarios, several at a time; each on things of its own, so that none disturbs another."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable

from synth_pools.contract.ends import EndScenario, LackError
from synth_pools.contract.model import Column, Outcome
from synth_pools.contract.probe import BusyError, StoppedError, UnreachableError
from synth_pools.contract.scenario import Context, Scenario
from synth_pools.contract.world import World

_THREADS = 4


class Troubles:
    """What kept scenarios from judging, other than departures; one line each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        with self._lock:
            if line not in self.lines:
                self.lines.append(line)


def play_all(
    world: World,
    scenarios: Iterable[Scenario],
    told: Callable[[int, int], None] = lambda done, total: None,  # noqa: ARG005
) -> list[str]:
    """Play scenarios side by side; the lines say what else stood in the way."""
    # Those that wait for a clock begin first and need no share of the processor.
    slow = [one for one in scenarios if one.slow]
    quick = [one for one in scenarios if not one.slow]
    jobs: queue.SimpleQueue[Scenario] = queue.SimpleQueue()
    for one in quick:
        jobs.put(one)
    troubles = Troubles()
    done = 0
    finished = threading.Semaphore(0)

    def work() -> None:
        while True:
            try:
                job = jobs.get_nowait()
            except queue.Empty:
                return
            play(world, job, troubles)
            finished.release()

    def work_slowly(job: Scenario) -> None:
        play(world, job, troubles)
        finished.release()

    # Daemons: after ^C nobody waits for a thread that hangs in a read.
    threads = [threading.Thread(target=work_slowly, args=(one,), daemon=True) for one in slow]
    threads += [threading.Thread(target=work, daemon=True) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    total = len(slow) + len(quick)
    while done < total:
        # In small bites: ^C must reach the main thread.
        if finished.acquire(timeout=0.2):
            done += 1
            told(done, total)
        elif not any(thread.is_alive() for thread in threads):
            break
    return troubles.lines


def play(world: World, one: Scenario, troubles: Troubles) -> None:
    """Play one scenario; whatever ends it, each of its operations gets an outcome."""
    ctx = Context(world, one)
    rest = "what comes before it departed"
    outcome = Outcome.NOT_REACHED
    try:
        lack = _lacking(world, one)
        if lack is not None:
            outcome, rest = lack
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
        return Outcome.NOT_REACHED, "the time ran out"
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
