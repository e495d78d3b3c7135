"""Executor of scenarios: several at a time, each on separate resources."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterable, Sequence

from synth_pools.contract.exceptions import (
    BusyError,
    InconclusiveError,
    MissingOperationError,
    StoppedError,
    StopScenarioError,
    UnreachableError,
)
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.lanes import Lane
from synth_pools.contract.harness.registry import WITHOUT, Scenario
from synth_pools.contract.harness.scope import FOR_CONTAINERS, lacking
from synth_pools.contract.results import Outcome
from synth_pools.contract.session import Session

_LEAST_THREADS = 4
# On a slow connection threads mostly wait, so more of them cost nothing.
_MOST_THREADS = 24
_THREADS_A_SECOND = 40
_LATE = "the time ran out"
_PROBE = FOR_CONTAINERS[-1]
# Seconds that the requests of scenarios may take to end after the run was stopped.
_LAST_SECONDS = 60.0


class ScenarioExecutor:
    """Runs scenarios in parallel threads.

    Slow scenarios, which wait for time to pass, have a thread each.
    """

    def __init__(
        self, session: Session, scenarios: Iterable[Scenario], progress: Callable[[int, int], None]
    ) -> None:
        """Start the threads.

        Args:
            session: The run.
            scenarios: The scenarios, in their order.
            progress: A callback for the numbers of finished and of all scenarios.
        """
        self._session = session
        self._progress = progress
        self._lock = threading.Lock()
        self._obstacles: list[str] = []
        self._done = 0
        every_scenario = list(scenarios)
        self._total = len(every_scenario)
        slow = [scenario for scenario in every_scenario if scenario.slow]
        self._jobs: queue.SimpleQueue[Scenario] = queue.SimpleQueue()
        self._alone = [scenario for scenario in every_scenario if scenario.alone]
        for scenario in every_scenario:
            if not scenario.slow and not scenario.alone:
                self._jobs.put(scenario)
        # Daemons: after ^C the process does not wait for a thread that hangs in a read.
        self._slow = [
            threading.Thread(target=self._run, args=(scenario,), daemon=True) for scenario in slow
        ]
        count = min(
            _MOST_THREADS, _LEAST_THREADS + int(session.http.round_trip * _THREADS_A_SECOND)
        )
        self._quick = [threading.Thread(target=self._work, daemon=True) for _ in range(count)]
        for thread in (*self._slow, *self._quick):
            thread.start()

    @property
    def obstacles(self) -> list[str]:
        """The reasons, other than departures, that kept scenarios from judging; one line each."""
        with self._lock:
            return list(self._obstacles)

    def wait_for_all(
        self, lanes: Sequence[Lane] = (), tell: Callable[[str], None] = lambda _: None
    ) -> None:
        """Wait for the parallel scenarios, then run the ones that must run alone.

        Args:
            lanes: Lanes whose end is waited for, too, before a scenario runs alone.
            tell: A callback for the layer that goes on when no other scenario does.

        Raises:
            BaseException: A layer of a lane raised it.
        """
        self._wait((*self._quick, *self._slow, *lanes), tell)
        for lane in lanes:
            lane.raise_error()
        for job in self._alone:
            self._run(job)

    def _wait(self, threads: Iterable[threading.Thread], tell: Callable[[str], None]) -> None:
        stopped_at: float | None = None
        for thread in threads:
            while thread.is_alive():
                # With a limit, so that ^C reaches the main thread.
                thread.join(0.2)
                if isinstance(thread, Lane):
                    tell(thread.phase)
                else:
                    self._progress(self._done, self._total)
                if self._session.http.stop.is_set():
                    stopped_at = stopped_at or time.monotonic()
                    if time.monotonic() > stopped_at + _LAST_SECONDS:
                        self._leave()
                        return

    def _leave(self) -> None:
        with self._lock:
            note = f"scenarios did not end within {_LAST_SECONDS:.0f} s of being stopped"
            if note not in self._obstacles:
                self._obstacles.append(note)

    def _work(self) -> None:
        while True:
            try:
                job = self._jobs.get_nowait()
            except queue.Empty:
                return
            self._run(job)

    def _run(self, job: Scenario) -> None:
        began = time.monotonic()
        obstacle = execute(self._session, job)
        with self._lock:
            self._session.seconds[job.id] = time.monotonic() - began
            self._done += 1
            if obstacle is not None and obstacle not in self._obstacles:
                self._obstacles.append(obstacle)


def execute(session: Session, scenario: Scenario) -> str | None:
    """Run one scenario; each of its operations gets an outcome in any case.

    Args:
        session: The run.
        scenario: The scenario.

    Returns:
        The obstacle, other than a departure, that kept it from judging; None otherwise.
    """
    ctx = Context(session, scenario)
    departed = note = "what comes before it departed"
    outcome = Outcome.NOT_REACHED
    obstacle: str | None = None
    is_complete = False
    try:
        unmet = _unmet_need(session, scenario)
        if unmet is not None:
            outcome, note = unmet
            if note == _LATE:
                obstacle = f"{_LATE} before every scenario was played: give it more"
        else:
            scenario.play(ctx)
            is_complete = True
            note = "the scenario did not come to it"
    except StopScenarioError:
        pass
    except InconclusiveError as error:
        ctx.expect.inconclusive(error.operation, error.note, error.outcome)
        note = error.note
        if error.outcome is Outcome.NOT_OFFERED:
            note = str(MissingOperationError(error.operation))
    except MissingOperationError as error:
        note = str(error)
    except BusyError as error:
        note = str(error)
        obstacle = f"the server is too busy to be judged: {error}"
    except UnreachableError as error:
        note = "the connection was lost"
        obstacle = f"the connection was lost ({error})"
        session.http.stop.set()
    except StoppedError:
        note = "the run was stopped"
        if time.monotonic() > session.options.deadline:
            note = _LATE
            obstacle = f"{_LATE} before every scenario was played: give it more"
    except Exception as error:  # noqa: BLE001 - a defect of the kit must not look like a verdict
        note = f"the kit stumbled: {type(error).__name__}: {error}"
        if not ctx.expect.departures:
            obstacle = f"the kit stumbled in {scenario.id}: {type(error).__name__}: {error}"
    if not is_complete and note != departed:
        ctx.expect.stopped(note)
    for operation in ctx.operations:
        if operation in session.document.operations and operation not in ctx.expect.judged:
            ctx.expect.inconclusive(operation, note, outcome)
    return obstacle


def _unmet_need(session: Session, scenario: Scenario) -> tuple[Outcome, str] | None:
    """Return the outcome and the reason if a scenario cannot be run here."""
    if time.monotonic() > session.options.deadline:
        return Outcome.NOT_REACHED, _LATE
    if session.options.read_only and not scenario.reads_only:
        return Outcome.NOT_REACHED, "read-only"
    unmet = (_unmet(session, need) for need in scenario.needs)
    return next(filter(None, unmet), None)


def _unmet(session: Session, need: str) -> tuple[Outcome, str] | None:
    if need == "live":
        if session.echo or session.containers:
            return None
        return (
            Outcome.NOT_REACHED,
            "needs a slow rollout: no echo target, and no container of ours can be reached",
        )
    if need == "containers":
        if session.containers:
            return None
        if lacking(session.document, FOR_CONTAINERS):
            return Outcome.NOT_REACHED, f"tried with the kit's containers, once {_PROBE} is there"
        return Outcome.NOT_REACHED, "needs a backend on this machine that may call loopback"
    if need in ("other_key", "restart") or session.offers(need):
        return None
    feature = need.removeprefix(WITHOUT)
    if feature != need:
        # An older server that does not list the feature may have it all the same.
        is_lacking = session.features.get(feature) is False
        return None if is_lacking else (Outcome.NOT_OFFERED, f"features.{feature} is not false")
    return Outcome.NOT_OFFERED, f"features.{need} is not true"
