"""The backend of a crash run, which is killed again and again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.container_process import ROOT, wait_until_up
from tests.support.ports import HOST, HeldPort

KEY = "sk_crash_test"


class Serve:
    """`synth-pools serve` on one port and one data directory, started again and again.

    Args:
        data_dir: The directory.
        log: The file of its log.
        options: Its options.
        store: The address of its database.
        before: First words of its command, for a program that runs another one.
    """

    def __init__(
        self,
        data_dir: Path,
        log: Path,
        *options: str,
        store: str | None = None,
        before: Sequence[str] = (),
    ) -> None:
        # Held until this process ends: the backend is away between a kill and the next start.
        self._port = HeldPort()
        self.url = f"http://{HOST}:{self._port.number}"
        self.kills = 0
        self.kills_while_starting = 0
        self._data_dir = data_dir
        self._log = log
        self._options = options
        self._before = before
        self._environment = {"SYNTH_POOLS_API_KEY": KEY}
        if store is not None:
            self._environment["SYNTH_POOLS_STORE"] = store
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def start(self, *, wait: bool = True) -> None:
        command = [sys.executable, "-m", "synth_pools.cli", "serve"]
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    *self._before,
                    *command,
                    *("--port", str(self._port.number)),
                    *("--data-dir", str(self._data_dir)),
                    *self._options,
                ],
                cwd=ROOT,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**os.environ, **self._environment},
            )
        if wait:
            try:
                wait_until_up(self.url, self._process)
            except AssertionError as error:
                error.add_note(self._log.read_text()[-2000:])
                raise

    def kill(self) -> None:
        """Kill it as the kernel would for want of memory: no handler, no flush."""
        assert self._process is not None
        assert self._process.poll() is None, "the backend ended by itself"
        self._process.send_signal(signal.SIGKILL)
        self._process.wait(60)
        self.kills += 1

    def stop(self) -> int:
        """Return its exit status after SIGTERM."""
        assert self._process is not None
        self._process.terminate()
        return self._process.wait(120)

    def end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(60)
