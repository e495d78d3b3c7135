"""Pool of a crash run whose containers are started by the backends, and killed."""

from __future__ import annotations

import contextlib
import random
from collections import Counter
from pathlib import Path
from typing import Any

import psutil

from tests.support.process_pools import gone, process
from tests.system.crash.runs import Run, read_runs

# Longer than a run: that it is killed again and again is no failure of the pool.
_START_SECONDS = 600


class StartedContainers:
    """Containers of one pool, of all backends; files beside them list their runs.

    Args:
        folder: The parent of the folder with their ledgers.
        kind: The name of their pool, and of the folder.
        capacity: Their number.
        fields: Fields of their `config.process` beside the program.
    """

    def __init__(self, folder: Path, kind: str, capacity: int, **fields: Any) -> None:
        self.kind = kind
        self.capacity = capacity
        self._ledgers = folder / f"ledgers-of-{kind}"
        self._ledgers.mkdir()
        # Processes are found by this word.
        words = {"env": {"LEDGERS": str(self._ledgers)}, "start_timeout_seconds": _START_SECONDS}
        self._process = process(str(self._ledgers), **words, **fields)

    @property
    def definition(self) -> dict[str, Any]:
        """Definition of a pool of them, without its name."""
        return {"capacity": self.capacity, "config": {"process": self._process}}

    @property
    def runs(self) -> list[Run]:
        """List every run that they have started."""
        return read_runs(self._ledgers)

    @property
    def ran(self) -> Counter[str]:
        """Runs of each rollout."""
        return Counter(run.rollout_id for run in self.runs)

    @property
    def processes(self) -> int:
        """Number of all that there have been."""
        return len(list(self._ledgers.iterdir()))

    def running(self) -> list[psutil.Process]:
        """Find the ones that are alive."""
        results = []
        for running in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if (
                    str(self._ledgers) in running.cmdline()
                    and running.status() != psutil.STATUS_ZOMBIE
                ):
                    results.append(running)
        return results

    def kill_one(self, chance: random.Random) -> bool:
        """Kill one of the running containers with SIGKILL; return whether there was one."""
        running = self.running()
        if not running:
            return False
        with contextlib.suppress(psutil.NoSuchProcess):
            chance.choice(running).kill()
            return True
        return False

    def left(self) -> list[psutil.Process]:
        """Find the containers that do not end without a backend."""
        with contextlib.suppress(AssertionError):
            gone(self.running())
        return self.running()

    def end(self) -> None:
        """End what a run that failed has left."""
        for item in self.running():
            with contextlib.suppress(psutil.Error):
                item.kill()
