"""The processes that are measured: a container, and backends started by the command line."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from bench.cases import KEY

_ROOT = Path(__file__).resolve().parents[2]
_TICKS = os.sysconf("SC_CLK_TCK")
_URL = re.compile(r"http://\S+")


@dataclass(frozen=True)
class Process:
    """Serving process, and its figures from the system."""

    url: str
    pid: int

    def processor_seconds(self) -> float:
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / _TICKS

    def resident_mib(self) -> float:
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        raise RuntimeError("this system does not say how much memory a process has")


@contextmanager
def container() -> Iterator[Process]:
    command = [sys.executable, "-m", "bench.backend.container"]
    # The end of its input is its end.
    with _serving(command, {}, None, stdin=subprocess.PIPE) as process:
        yield process


@contextmanager
def backend(
    data_dir: Path, store: str | None = None, artifacts: Path | None = None
) -> Iterator[Process]:
    """Start the backend as a user would, durability included; its log is beside its data."""
    command = [sys.executable, "-m", "synth_pools.cli", "serve", "--port", "0", "--grace", "0"]
    command += ["--data-dir", str(data_dir)]
    command += [] if artifacts is None else ["--artifacts-dir", str(artifacts)]
    environment = {"SYNTH_POOLS_API_KEY": KEY}
    if store is not None:
        environment["SYNTH_POOLS_STORE"] = store
    with (
        data_dir.with_suffix(".log").open("wb") as log,
        _serving(command, environment, log) as process,
    ):
        yield process


@contextmanager
def _serving(
    command: list[str], environment: dict[str, str], log: IO[bytes] | None, stdin: int | None = None
) -> Iterator[Process]:
    process = subprocess.Popen(
        command,
        cwd=_ROOT,
        env={**os.environ, **environment},
        stdin=stdin,
        stdout=subprocess.PIPE,
        stderr=log,
        text=True,
    )
    assert process.stdout is not None
    try:
        # The first line has the URL, as soon as the process answers.
        match = _URL.search(process.stdout.readline())
        if match is None:
            log_text = "" if log is None else Path(log.name).read_text()
            raise RuntimeError(f"{command[2]} did not start: {log_text}")
        yield Process(match[0], process.pid)
    finally:
        if process.stdin is None:
            process.terminate()
        else:
            process.stdin.close()
        try:
            process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(timeout=20)
        process.stdout.close()
