"""Proof of the fleet: nothing is lost or run twice while connections and clients are cut off.

    python -m tests.system.fleet.run [--rollouts N] [--outage SECONDS] [--variant async|sync]

A client runs a fleet with a journal on a backend whose pool has a real container, through a TCP
proxy that cuts every connection. The proxy is away twice; between that, the client is killed with
SIGKILL, and started again on its journal. Then three ledgers have to agree: the
outcomes that both clients reported, the container's own count of runs, and the backend's list.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from synth_pools.local import LocalBackend
from tests.support.container_process import ROOT, container_processes
from tests.system.fleet.cutting_proxy import CuttingProxy

MEAN_BYTES = 730
_LONGEST_SECONDS = 1800.0


@dataclass
class Story:
    """Record of a run, by every account."""

    variant: str
    rollouts: int
    outage: float
    first: list[str] = field(default_factory=list)
    second: list[str] = field(default_factory=list)
    runs: list[str] = field(default_factory=list)
    listed: dict[str, str] = field(default_factory=dict)
    connections: int = 0
    cuts: int = 0
    seconds: float = 0.0

    def problems(self) -> list[str]:
        """List the problems; none if the proof holds."""
        lines = [f"an error was reported: {line}" for line in self.second if "error" in line][:5]
        outcomes = [line.split() for line in self.second if not line.startswith("error")]
        indices = sorted(int(words[0]) for words in outcomes)
        if indices != list(range(self.rollouts)):
            lines.append(f"{len(indices)} outcomes, {len(set(indices))} different ones")
        lines += [f"not completed: {words}" for words in outcomes if words[2] != "completed"][:5]
        lines += [
            f"another request's reward: {words}"
            for words in outcomes
            if float(words[3]) != float(words[0])
        ][:5]
        runs = Counter(self.runs)
        lines += [f"{name} ran {count} times" for name, count in runs.items() if count != 1][:5]
        ids = {words[1] for words in outcomes}
        if not len(ids) == len(runs) == len(self.runs) == len(self.listed) == self.rollouts:
            lines.append(
                f"{len(ids)} rollouts reported, {len(self.runs)} runs of {len(runs)} rollouts "
                f"counted by the container, {len(self.listed)} listed by the backend"
            )
        elif not ids == set(runs) == set(self.listed):
            lines.append("the accounts name different rollouts")
        before = {tuple(line.split()[:4]) for line in self.first}
        if not before <= {tuple(words[:4]) for words in outcomes}:
            lines.append("an outcome of the first client is not the same for the second")
        replayed = [words[:4] for words in outcomes if words[4] == "True"]
        if len(replayed) < len(self.first):
            lines.append("an outcome that was reported was not in the journal")
        return lines

    def text(self) -> str:
        replayed = sum(line.endswith("True") for line in self.second)
        counts = Counter(self.runs)
        return "\n".join(
            [
                f"variant                               {self.variant}",
                f"rollouts asked for                    {self.rollouts}",
                f"connections through the proxy         {self.connections}",
                f"  cut by it                           {self.cuts}",
                f"  cuts for each rollout               {self.cuts / self.rollouts:.1f}",
                f"times the service was away            2, for {self.outage:g} s each",
                f"outcomes reported before the SIGKILL  {len(self.first)}",
                f"outcomes of the second client         {len(self.second)}",
                f"  read from the journal               {replayed}",
                f"runs counted by the container         {len(self.runs)}",
                f"  different rollouts among them       {len(counts)}",
                f"  most runs of one rollout            {max(counts.values(), default=0)}",
                f"rollouts listed by the backend        {len(self.listed)}",
                f"seconds                               {self.seconds:.0f}",
                f"Python                                {platform.python_version()}",
            ]
        )


def prove(rollouts: int, outage: float, variant: str, *, mean_bytes: int = MEAN_BYTES) -> Story:
    story = Story(variant, rollouts, outage)
    started = time.monotonic()
    give_up = started + _LONGEST_SECONDS
    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        journal = folder / "run.jsonl"
        (container,) = stack.enter_context(container_processes(folder, "forgetting"))
        backend = stack.enter_context(LocalBackend())
        with backend.client() as client:
            pool = client.create_pool(
                {"name": "proof", "container_url": container.url, "concurrency": 64}
            )
        proxy = stack.enter_context(CuttingProxy(backend.url, mean_bytes=mean_bytes))

        def start(report: Path, most: int) -> subprocess.Popen[bytes]:
            words = [variant, proxy.url, pool["pool_id"], str(rollouts), str(journal)]
            words += [str(report), "0.05", "64", str(most)]
            return subprocess.Popen(
                [sys.executable, "-m", "tests.system.fleet.client", *words],
                cwd=ROOT,
                env={**os.environ, "SYNTH_API_KEY": backend.api_key},
            )

        def until(report: Path, share: float, process: subprocess.Popen[bytes]) -> None:
            while True:
                # In this order: it may report the rest and end at once.
                code = process.poll()
                if len(_lines(report)) >= share * rollouts:
                    return
                assert code is None, f"the client ended: {code}"
                assert time.monotonic() < give_up, "it takes too long"
                time.sleep(0.02)

        def be_away() -> None:
            proxy.away()
            time.sleep(outage)
            proxy.back()

        first, second = folder / "first.txt", folder / "second.txt"
        # It is killed before it has reported all of them, however quick it is.
        process = start(first, rollouts - 1)
        try:
            until(first, 0.2, process)
            be_away()
            until(first, 0.5, process)
        finally:
            process.send_signal(signal.SIGKILL)
            process.wait(20)
        story.first = _lines(first)
        process = start(second, rollouts + 1)
        try:
            until(second, 0.8, process)
            be_away()
            code = process.wait(max(1.0, give_up - time.monotonic()))
            assert code == 0, f"the client ended with {code}"
        finally:
            process.kill()
            process.wait(20)
        story.second, story.runs = _lines(second), container.ran
        story.connections, story.cuts = proxy.connections, proxy.cuts
        with backend.client() as client:
            result = client.iter_rollouts(pool["pool_id"], limit=1000)
            story.listed = {rollout["id"]: rollout["status"] for rollout in result}
    story.seconds = time.monotonic() - started
    return story


def _lines(path: Path) -> list[str]:
    if not path.exists():
        return []
    text = path.read_text()
    # The last line of a process that was killed may be half a line.
    return text[: text.rfind("\n") + 1].splitlines()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rollouts", type=int, default=2000)
    parser.add_argument("--outage", type=float, default=10.0)
    parser.add_argument("--variant", choices=["async", "sync"], default="async")
    options = parser.parse_args()
    story = prove(options.rollouts, options.outage, options.variant)
    print(story.text())
    problems = story.problems()
    print("\n".join(["", *problems] if problems else ["", "all accounts agree"]))
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
