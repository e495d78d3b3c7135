"""`make fleet`: many rollouts, while their client is killed with SIGKILL again and again.

    python -m tests.system.fleet.kills [--rollouts N] [--in-flight M] [--kills K]

A client runs a fleet with a journal on `synth-pools serve`, whose pool has a real container. At
random moments it is killed, and started again on its journal. Then three ledgers have to agree:
the outcomes of the client, the runs of the container, and the rollouts that the backend stored.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from synth_pools import ContainerPoolsClient
from tests.support.container_process import ROOT, ContainerProcess, container_processes
from tests.system.crash.processes import KEY, Serve

_IN_FLIGHT = 64
# Limit of the memory of a client.
_MOST_MEGABYTES = 300
_LONGEST_SECONDS = 4 * 3600.0

_PAGE = """\
# Large fleets

`make fleet` runs a fleet of 100,000 rollouts, 64 at a time, or as many as
`ARGS='--rollouts N --in-flight M'` says, with `rollouts.run_many(...)` and a journal, on
`synth-pools serve`, whose pool has a real container (made with `synth-containers`); rollouts do
nothing, and leave no artifact. At ten random moments the client is killed with SIGKILL and started
again on its journal. Then three ledgers must agree rollout by rollout: what the client was told,
which rollouts the container ran (written down by itself, before it ran them), and what the backend
has stored. Each request has one rollout, which ran once and has the reward of its own request; what
a client was told before it was killed is what the last one was told. The client's memory stays
below {most} MB.

As printed on {date}, on a machine with two cores; the load is what else it had to do:

```
{result}
```
"""


@dataclass
class Session:
    """Process of the client: its processor time, most memory and duration."""

    cpu: float
    megabytes: float
    seconds: float


@dataclass
class Ledgers:
    """Ledgers of a run, and its figures.

    Attributes:
        ids: The rollout of each request, by the last client.
        runs: The rollouts that the container ran, in order.
        stored: The status of each rollout that the backend has.
        wrong: Faults that were seen during the run.
    """

    variant: str
    rollouts: int
    in_flight: int
    ids: dict[int, str] = field(default_factory=dict)
    runs: list[str] = field(default_factory=list)
    stored: dict[str, str] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)
    sessions: list[Session] = field(default_factory=list)
    replayed: int = 0
    backend_cpu: float = 0.0
    container_cpu: float = 0.0
    journal_bytes: int = 0
    journal_files: int = 0
    load: float = 0.0

    def problems(self) -> list[str]:
        """List the problems; none if the proof holds."""
        results = [*self.wrong]
        if sorted(self.ids) != list(range(self.rollouts)):
            results.append(f"{len(self.ids)} outcomes for {self.rollouts} requests")
        often = {name: count for name, count in Counter(self.runs).items() if count != 1}
        results += [f"{name} ran {count} times" for name, count in list(often.items())[:5]]
        ids = set(self.ids.values())
        if not (len(ids) == self.rollouts and ids == set(self.runs) == set(self.stored)):
            results.append(
                f"{len(ids)} rollouts told, {len(set(self.runs))} run, {len(self.stored)} stored"
            )
        states = Counter(self.stored.values())
        if set(states) != {"completed"}:
            results.append(f"states in the store: {dict(states)}")
        most = max(session.megabytes for session in self.sessions)
        if most >= _MOST_MEGABYTES:
            results.append(f"a client had {most:.0f} MB")
        return results

    def lines(self) -> list[str]:
        """Return the result as it is printed."""
        number, sessions = self.rollouts, self.sessions
        most = max(Counter(self.runs).values(), default=0)
        size = f"{self.journal_bytes / number:.0f} bytes a rollout, in {self.journal_files} files"
        milliseconds = 1000 / number
        cpu = sum(session.cpu for session in sessions)
        seconds = sum(session.seconds for session in sessions)
        problems = self.problems()
        return [
            f"variant                                 {self.variant}",
            f"rollouts asked for                      {number}",
            f"  at a time                             {self.in_flight}",
            f"times the client was killed             {len(sessions) - 1}",
            f"outcomes that the last client was told  {len(self.ids)}",
            f"  read from its journal                 {self.replayed}",
            f"runs counted by the container           {len(self.runs)}",
            f"  most runs of one rollout              {most}",
            f"rollouts stored by the backend          {len(self.stored)}",
            f"most memory of a client                 {max(s.megabytes for s in sessions):.0f} MB",
            f"processor time of all clients           {cpu * milliseconds:.3f} ms a rollout",
            f"  of the backend                        {self.backend_cpu * milliseconds:.3f} ms",
            f"  of the container                      {self.container_cpu * milliseconds:.3f} ms",
            f"journal                                 {size}",
            f"seconds                                 {seconds:.0f}",
            f"load (1 minute), in the mean            {self.load:.0f}",
            f"Python                                  {platform.python_version()}",
            "",
            *(problems or ["all ledgers agree"]),
        ]


def prove(
    folder: Path,
    rollouts: int,
    kills: int,
    variant: str,
    say: Callable[[str], None],
    seed: int,
    in_flight: int = _IN_FLIGHT,
) -> Ledgers:
    """Run the fleet to its end over all kills, and collect what each ledger says."""
    dice = random.Random(seed)
    ledgers = Ledgers(variant, rollouts, in_flight)
    moments = sorted(dice.uniform(0, 0.98) * rollouts for _ in range(kills))
    serve = Serve(folder / "data", folder / "serve.log", "--log-level", "warning")
    serve.start()
    try:
        with (
            container_processes(folder, "forgetting") as (container,),
            ContainerPoolsClient(base_url=serve.url, api_key=KEY, timeout=60) as client,
        ):
            pool = client.create_pool(
                {"name": "fleet", "container_url": container.url, "concurrency": in_flight}
            )["id"]
            loads = []
            for number, moment in enumerate([*moments, None]):
                words = [variant, serve.url, pool, str(rollouts)]
                report = folder / f"report-{number}"
                _live(ledgers, words, folder / "run.jsonl", report, container, moment, dice)
                _read(ledgers, report, is_last=moment is None)
                loads.append(os.getloadavg()[0])
                say(f"{number + 1}: {_count(container)} runs, {ledgers.sessions[-1]}")
            ledgers.load = sum(loads) / len(loads)
            ledgers.backend_cpu = _cpu(serve.pid)
            ledgers.container_cpu = _cpu(container.pid)
            ledgers.runs = container.ran
            for rollout in client.iter_rollouts(pool, limit=1000):
                ledgers.stored[rollout["id"]] = rollout["status"]
    finally:
        serve.end()
    files = list(folder.glob("run.jsonl*"))
    ledgers.journal_files = len(files)
    ledgers.journal_bytes = sum(file.stat().st_size for file in files)
    return ledgers


def _live(
    ledgers: Ledgers,
    words: list[str],
    journal: Path,
    report: Path,
    container: ContainerProcess,
    moment: float | None,
    dice: random.Random,
) -> None:
    """Start a client, and kill it after a number of runs of the container."""
    began = time.monotonic()
    # It may be killed before it makes one.
    report.touch()
    most_lines = ledgers.rollouts + (1 if moment is None else -1)
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "tests.system.fleet.client", *words),
            *(str(journal), str(report), "0", str(ledgers.in_flight), str(most_lines)),
        ],
        cwd=ROOT,
        env={**os.environ, "SYNTH_API_KEY": KEY},
    )
    has_ended, most = False, 0
    try:
        while not has_ended and (moment is None or _count(container) < moment):
            assert time.monotonic() - began < _LONGEST_SECONDS, "it takes too long"
            has_ended = os.waitid(os.P_PID, process.pid, _ENDED) is not None
            # The system counts what this process had when it started the client, too.
            with contextlib.suppress(psutil.Error):
                most = max(most, psutil.Process(process.pid).memory_info().rss)
            time.sleep(0.01)
        # A random pause: the kill must not follow a count at once.
        time.sleep(0.0 if has_ended else dice.uniform(0, 0.1))
    finally:
        # `Popen` would reap one that has ended, and its times with it.
        os.kill(process.pid, signal.SIGKILL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != (0 if moment is None else -signal.SIGKILL):
        ledgers.wrong.append(f"a client ended with {process.returncode}")
    cpu = usage.ru_utime + usage.ru_stime
    ledgers.sessions.append(Session(cpu, most / 2**20, time.monotonic() - began))


def _read(ledgers: Ledgers, report: Path, *, is_last: bool) -> None:
    """Read the outcomes of a client, and compare them with those of its predecessors."""
    before, reported = ledgers.ids, {}
    with report.open("r") as file:
        for line in file:
            if not line.endswith("\n"):
                break
            if line.startswith("error"):
                ledgers.wrong.append(line.strip())
                continue
            index, rollout_id, status, reward, replayed = line.split()
            number = int(index)
            if number in reported or status != "completed" or float(reward) != number:
                ledgers.wrong.append(f"wrong outcome: {line.strip()}")
            reported[number] = rollout_id
            if before.get(number, rollout_id) != rollout_id:
                ledgers.wrong.append(f"{before[number]} before, now {line.strip()}")
            ledgers.replayed += is_last and replayed == "True"
    missing = before.keys() - reported.keys() if is_last else ()
    ledgers.wrong.extend(f"request {index} had an outcome, and is no more" for index in missing)
    ledgers.ids = reported if is_last else {**before, **reported}


_ENDED = os.WEXITED | os.WNOHANG | os.WNOWAIT


def _count(container: ContainerProcess) -> int:
    """Count the rollouts that the container has started."""
    size = container.ledger.stat().st_size if container.ledger.exists() else 0
    if not size:
        return 0
    with container.ledger.open("rb") as file:
        return size // len(file.readline())


def _cpu(pid: int) -> float:
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.system.fleet.kills", description=__doc__)
    parser.add_argument("--rollouts", type=int, default=100_000)
    parser.add_argument("--in-flight", type=int, default=_IN_FLIGHT)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--variant", choices=["async", "sync"], default="async")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000))
    parser.add_argument("--write", type=Path, metavar="FILE", help="also write the result there")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="synth-pools-fleet-") as name:
        ledgers = prove(
            Path(name),
            options.rollouts,
            options.kills,
            options.variant,
            lambda line: print(line, file=sys.stderr, flush=True),
            options.seed,
            options.in_flight,
        )
    lines = ledgers.lines()
    print("\n".join(lines))
    if options.write is not None:
        date = time.strftime("%d %B %Y").lstrip("0")
        page = _PAGE.format(most=_MOST_MEGABYTES, date=date, result="\n".join(lines))
        options.write.write_text(page)
    return 1 if ledgers.problems() else 0


if __name__ == "__main__":
    sys.exit(main())
