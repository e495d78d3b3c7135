"""A command on a terminal of its own, which is read as it is written."""

from __future__ import annotations

import os
import pty
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from select import select

_SECONDS = 60.0


@dataclass(slots=True)
class Terminal:
    """Terminal of a command, with its output."""

    process: subprocess.Popen[bytes]
    _owner: int
    text: str = ""

    def until(self, pattern: str, seconds: float = _SECONDS) -> None:
        """Read until a pattern matches, and drop the text up to its end."""
        deadline = time.monotonic() + seconds
        while not (match := re.search(pattern, self.text)):
            ready, _, _ = select([self._owner], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise TimeoutError(f"{pattern} did not come: {self.text!r}")
            self.text += os.read(self._owner, 1 << 16).decode("utf-8", "replace")
        self.text = self.text[match.end() :]

    def type(self, keys: str) -> None:
        """Press keys."""
        os.write(self._owner, keys.encode())

    def end(self, answer: str = "") -> tuple[int, str]:
        """Type an answer; return the exit status and the output of the command."""
        self.type(answer)
        return self._ended()

    def interrupt(self) -> tuple[int, str]:
        """Send ^C; return the exit status and the output of the command."""
        self.process.send_signal(signal.SIGINT)
        return self._ended()

    def _ended(self) -> tuple[int, str]:
        # A command that fills the buffer of the terminal ends only if it is read.
        written = b""
        deadline = time.monotonic() + _SECONDS
        # On Linux the end is an error, once no process has the terminal open.
        with suppress(OSError):
            while select([self._owner], [], [], max(0.0, deadline - time.monotonic()))[0]:
                piece = os.read(self._owner, 1 << 16)
                if not piece:
                    break
                written += piece
        return self.process.wait(_SECONDS), self.text + written.decode("utf-8", "replace")


@contextmanager
def on_terminal(*words: str, **environment: str) -> Iterator[Terminal]:
    """Start `synth-pools` with some words on a terminal, in this environment alone."""
    command = [sys.executable, "-m", "synth_pools", *words]
    with program_on_terminal(command, environment) as terminal:
        yield terminal


@contextmanager
def program_on_terminal(
    command: Sequence[str], environment: Mapping[str, str]
) -> Iterator[Terminal]:
    """Start a program on a terminal, in this environment alone; it is killed in the end."""
    owner, terminal = pty.openpty()
    process = subprocess.Popen(
        command,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        env={**environment, "TERM": "xterm"},
    )
    os.close(terminal)
    try:
        yield Terminal(process, owner)
    finally:
        process.kill()
        process.wait(_SECONDS)
        os.close(owner)
