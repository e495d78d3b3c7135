"""Refusals of `synth-pools ui` and `demo`, and their end."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from synth_pools.cli.local import demo
from synth_pools.cli.main import root
from tests.cli.conftest import Command


def test_a_file_that_is_no_journal_is_named(command: Command, tmp_path: Path) -> None:
    second = tmp_path / "other.jsonl"
    second.write_text("no journal\n")
    for path in (second, tmp_path / "missing.jsonl"):
        done = command("ui", path)
        assert done.returncode != 0
        assert str(path) in done.stderr
        assert done.stderr.count("\n") == 1


def test_the_demo_ends_with_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "program.py"
    program.write_text("import time\ntime.sleep(600)\n")
    started: list[subprocess.Popen[Any]] = []

    class Popen(subprocess.Popen[Any]):
        """One that is not waited for to its end."""

        def wait(self, timeout: float | None = None) -> int:
            started.append(self)
            if timeout is None:
                raise LookupError("the command ends")
            return super().wait(timeout)

    monkeypatch.setattr(demo, "demo_path", lambda: program)
    monkeypatch.setattr(demo, "_END_SECONDS", 30.0)
    monkeypatch.setattr(subprocess, "Popen", Popen)
    try:
        with pytest.raises(LookupError):
            root.main(["demo"], standalone_mode=False)
        assert started[0].poll() is not None
    finally:
        started[0].kill()
