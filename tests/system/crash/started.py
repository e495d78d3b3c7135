"""The pool of a crash run whose containers the backends start themselves, and which are killed."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from tests.support.process_pools import process

# Longer than a run: that it is killed again and again is no failure of the pool.
_START_SECONDS = 600


class StartedContainers:
    """Two containers that write down what they run in one ledger, whichever backend has them."""

    kind = "started"

    def __init__(self, folder: Path) -> None:
        self._ledger = folder / "ledger-of-started"
        self.kills = 0

    @property
    def definition(self) -> dict[str, Any]:
        """Definition of a pool of them, without its name."""
        env = {"LEDGER": str(self._ledger)}
        # By this word they are found again.
        started = process(str(self._ledger), env=env, start_timeout_seconds=_START_SECONDS)
        return {"capacity": 2, "config": {"process": started}}

    @property
    def ran(self) -> Counter[str]:
        """Runs of each rollout."""
        if not self._ledger.exists():
            return Counter()
        return Counter(line.split()[0] for line in self._ledger.read_text().splitlines())

    def running(self) -> list[psutil.Process]:
        """Find the ones that are alive."""
        found = []
        for one in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if str(self._ledger) in one.cmdline() and one.status() != psutil.STATUS_ZOMBIE:
                    found.append(one)
        return found

    def kill_one(self, chance: random.Random) -> bool:
        """Kill any of them with SIGKILL; False if there is none just now."""
        running = self.running()
        if not running:
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            chance.choice(running).kill()
            self.kills += 1
        return True

    def end(self) -> None:
        """End what a run that failed has left."""
        for one in self.running():
            with contextlib.suppress(psutil.Error):
                one.kill()
