"""The processes of a crash run: containers, and the backend that is killed again and again."""

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

KEY = "sk_crash_test"
ROOT = Path(__file__).resolve().parents[3]
_READY_SECONDS = 40.0


@contextlib.contextmanager
def container(kind: str, ledger: Path) -> Iterator[str]:
    """The URL of a container; its ledger is written by it alone."""
    with HeldPort() as port:
        module, *arguments = "tests.system.crash.container", kind, str(ledger), str(port.number)
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments], cwd=ROOT, stdout=subprocess.DEVNULL
        )
        url = f"http://{HOST}:{port.number}"
        try:
            _wait_for(url, process)
            yield url
        finally:
            process.kill()
            process.wait(10)


class Serve:
    """`synth-pools serve` on one port and one data directory, over and over."""

    def __init__(self, data_dir: Path, log: Path, *options: str) -> None:
        # Held until this process ends: the backend is away between a kill and the next start.
        self._port = HeldPort()
        self.url = f"http://{HOST}:{self._port.number}"
        self.kills = 0
        self.kills_while_starting = 0
        self._data_dir = data_dir
        self._log = log
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, *, wait: bool = True) -> None:
        command = [
            sys.executable,
            "-m",
            "synth_pools.cli",
            "serve",
            "--port",
            str(self._port.number),
        ]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *command,
                    *("--port", str(self._port.number)),
                    *("--data-dir", str(self._data_dir)),
                    *self._options,
                ],
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, "SYNTH_POOLS_API_KEY": KEY},
            )
        if wait:
            _wait_for(self.url, self._process)

    def kill(self) -> None:
        """As the kernel would for want of memory: no handler, no flush, nothing."""
        assert self._process is not None
        assert self._process.poll() is None, "the backend ended by itself"
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(10)
        self.kills += 1

    def stop(self) -> int:
        """Its exit status after SIGTERM."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(30)

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)


def _wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(f"{url}/health", timeout=5, trust_env=False).status_code == 200:
                return
        assert process.poll() is None, f"the process at {url} ended with {process.returncode}"
        assert time.monotonic() < deadline, f"nobody answers at {url}"
        time.sleep(0.02)
