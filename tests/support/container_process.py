"""A real container in a process of its own, which a test may kill or hold up."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from tests.support.ports import HOST, HeldPort
from tests.system.crash.processes import ROOT


class ContainerProcess:
    """Made with synth-containers; a rollout takes `params.seconds`, its reward is its seed."""

    def __init__(self, ledger: Path, port: HeldPort | None = None) -> None:
        self.port = port or HeldPort()
        self.url = f"http://{HOST}:{self.port.number}"
        self._ledger = ledger
        command = [sys.executable, "-m", "tests.system.crash.container", "forgetting", str(ledger)]
        self._process = subprocess.Popen(
            [*command, str(self.port.number)], cwd=ROOT, stdout=subprocess.DEVNULL
        )

    @property
    def ran(self) -> list[str]:
        """The ids of the rollouts that it has begun, in order."""
        return self._ledger.read_text().split() if self._ledger.exists() else []

    def wait_until_up(self) -> None:
        deadline = time.monotonic() + 40
        while self._process.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(httpx.TransportError):
                httpx.get(f"{self.url}/health", timeout=5, trust_env=False)
                return
            time.sleep(0.02)
        raise AssertionError("the container did not come up")

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(10)

    @contextlib.contextmanager
    def held_up(self) -> Iterator[None]:
        """It is there, and answers nothing, as if its event loop were blocked."""
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)


@contextlib.contextmanager
def container_processes(folder: Path, number: int) -> Iterator[list[ContainerProcess]]:
    started: list[ContainerProcess] = []
    try:
        # All at once: each takes a second to import what it needs.
        started.extend(ContainerProcess(folder / f"ledger-{index}") for index in range(number))
        for container in started:
            container.wait_until_up()
        yield started
    finally:
        for container in started:
            container.kill()
            container.port.release()
