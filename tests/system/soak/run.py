"""The soak test: many rollouts on containers that the pool starts, while things are killed."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from synth_pools import ContainerPoolsClient
from synth_pools._client.fleet.outcomes import RolloutOutcome
from tests.support.container_process import MODULE, ROOT
from tests.system.crash.ledgers import read_ledger, stored_rollouts
from tests.system.crash.processes import KEY, Serve
from tests.system.soak.verdict import Verdict, compare, read_attempts

_POOL = "soak"
_MOST_ATTEMPTS = 5
_CONCURRENCY = 16
_IN_FLIGHT = 32
_ACTIVE_SECONDS = 60.0


@dataclass
class Report:
    verdict: Verdict
    containers: int
    container_processes: int
    container_kills: int
    backend_kills: int
    replayed: int
    seconds: float
    seed: int

    def lines(self) -> list[str]:
        verdict = self.verdict
        statuses = ", ".join(f"{verdict.statuses[name]} {name}" for name in verdict.statuses)
        return [
            f"rollouts asked for          {verdict.requested}",
            f"outcomes told to the client {verdict.outcomes}",
            f"  how they ended            {statuses}",
            f"  in the backend's books    {verdict.stored}",
            f"  lost                      {verdict.lost}",
            f"runs in the containers      {verdict.runs}",
            f"  of rollouts run again     {verdict.run_again}",
            f"  attempts, by the backend  {verdict.attempts}",
            f"containers at a time        {self.containers}",
            f"  processes in all          {self.container_processes}",
            f"  killed (kill -9)          {self.container_kills}",
            f"backend killed (kill -9)    {self.backend_kills}",
            f"replayed from the journal   {self.replayed}, without one more run",
            f"seconds, seed               {self.seconds:.0f}, {self.seed}",
            f"departures                  {len(verdict.wrong)}",
            *(f"  {line}" for line in verdict.wrong[:20]),
        ]


def requests(number: int, seed: int) -> Iterator[dict[str, Any]]:
    """Lazily, and the same each time, as a journal needs them."""
    chance = random.Random(seed)
    for index in range(number):
        yield {
            "seed": index,
            "params": {"seconds": chance.choice([0, 0.02, 0.1, 0.3])},
            "limits": {"max_attempts": _MOST_ATTEMPTS},
        }


def soak_run(
    folder: Path,
    *,
    rollouts: int,
    containers: int = 4,
    backend_kills: int = 2,
    seed: int = 1,
    tell: Callable[[str], None] = lambda _: None,
) -> Report:
    """A container is killed early, then the backend, at even distances."""
    start = time.monotonic()
    ledgers = folder / "ledgers"
    ledgers.mkdir()
    log = folder / "backend.log"
    serve = Serve(folder / "data", log, "--allow-processes", "--log-level", "warning")
    kills = _kills(rollouts, backend_kills)
    container_kills = 0
    outcomes: list[RolloutOutcome] = []
    with contextlib.ExitStack() as running:
        running.callback(_end_what_is_left, ledgers)
        running.callback(serve.end)
        serve.start()
        client = running.enter_context(
            ContainerPoolsClient(api_key=KEY, backend_base=serve.url, timeout=20)
        )
        client.create_pool(_definition(ledgers, containers))
        client.wait_pool_active(_POOL, timeout=_ACTIVE_SECONDS)
        tell(f"{containers} containers, {time.monotonic() - start:.1f} s")
        for outcome in _fleet(client, folder, rollouts, seed):
            outcomes.append(outcome)
            if kills and len(outcomes) >= kills[0][0]:
                _, kind = kills.pop(0)
                if kind == "container":
                    container_kills += 1
                    _kill_a_busy_container(client)
                else:
                    serve.kill()
                    serve.start()
                tell(f"{len(outcomes)} of {rollouts} outcomes; a kill -9 of a {kind}")
        before = _ran(ledgers)
        # The same call with the same journal returns the same outcomes and runs nothing.
        replay = list(_fleet(client, folder, rollouts, seed))
        stored = stored_rollouts(client, _POOL)
        status = serve.stop()
        remaining = _left(ledgers)
    ran = _ran(ledgers)
    verdict = compare(outcomes, rollouts, stored, read_attempts(folder / "data"), ran)
    verdict.expect(ran == before, "a run from the journal ran something")
    same = {outcome.index: outcome.rollout for outcome in replay} == {
        outcome.index: outcome.rollout for outcome in outcomes
    }
    verdict.expect(same, "the journal tells other outcomes")
    verdict.expect(status == 0, f"the backend's last exit status is {status}")
    verdict.expect("Traceback" not in log.read_text(), f"its log: {log.read_text()[-2000:]}")
    verdict.expect(not remaining, f"processes that are left: {remaining}")
    return Report(
        verdict,
        containers,
        len(list(ledgers.iterdir())),
        container_kills,
        serve.kills,
        sum(outcome.replayed for outcome in replay),
        time.monotonic() - start,
        seed,
    )


def _kills(rollouts: int, backend_kills: int) -> list[tuple[int, str]]:
    """Schedule the kills by numbers of outcomes."""
    steps = backend_kills + 2
    kinds = ["container", *["backend"] * backend_kills]
    return [(rollouts * (number + 1) // steps, kind) for number, kind in enumerate(kinds)]


def _definition(ledgers: Path, containers: int) -> dict[str, Any]:
    argv = [sys.executable, "-m", MODULE, "forgetting"]
    # Each process has a ledger of its own, by its port.
    process = {"argv": [*argv, str(ledgers / "{port}"), "{port}"], "cwd": str(ROOT)}
    return {
        "pool_id": _POOL,
        "name": "soak test",
        "capacity": containers,
        "concurrency": _CONCURRENCY,
        "config": {"process": process},
    }


def _fleet(
    client: ContainerPoolsClient, folder: Path, rollouts: int, seed: int
) -> Iterator[RolloutOutcome]:
    journal = folder / "soak.jsonl"
    with client.rollouts.run_many(
        _POOL, requests(rollouts, seed), journal=journal, max_in_flight=_IN_FLIGHT
    ) as fleet:
        yield from fleet


def _kill_a_busy_container(client: ContainerPoolsClient) -> None:
    result = client.get_pool_metrics(_POOL)["containers"]
    busiest = max(result, key=lambda item: int(item["running_rollouts"]))
    os.kill(busiest["pid"], signal.SIGKILL)


def _ran(ledgers: Path) -> dict[str, int]:
    """Count the runs of each rollout, in all containers together."""
    ran: dict[str, int] = {}
    for file in ledgers.iterdir():
        for rollout_id, runs in read_ledger(file).items():
            ran[rollout_id] = ran.get(rollout_id, 0) + runs
    return ran


def _end_what_is_left(ledgers: Path) -> None:
    """End the containers that a failed run left, before the next run."""
    for process in _left(ledgers):
        with contextlib.suppress(psutil.Error):
            process.kill()


def _left(ledgers: Path) -> list[psutil.Process]:
    """The containers of this run that are still alive."""
    results = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if any(str(ledgers) in argument for argument in process.cmdline()):
                results.append(process)
    return results
