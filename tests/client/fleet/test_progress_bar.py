"""A fleet's progress, seen on a terminal and elsewhere."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from synth_pools._client.fleet.outcomes import FleetProgress, OutcomeCounter, RolloutOutcome
from synth_pools._client.fleet.progress_bar import ProgressBar

HALF = FleetProgress(10, running=2, completed=3, failed=1, errors=1, replayed=1, seconds=2.0)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    bar = ProgressBar()
    bar(HALF)
    bar.close()
    bar.close()
    text = terminal.getvalue()
    assert "5/10" in text
    assert "2.0/s, 2 running, 1 failed, 1 errors" in text


def test_silence_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bar = ProgressBar()
    bar(HALF)
    monkeypatch.setattr(sys, "stderr", None)
    bar(HALF)
    bar.close()
    assert capsys.readouterr() == ("", "")


def test_silence_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    for name in ("rich", "rich.console", "rich.progress"):
        monkeypatch.setitem(sys.modules, name, None)
    bar = ProgressBar()
    bar(HALF)
    bar.close()
    assert terminal.getvalue() == ""


def outcome(**changes: Any) -> RolloutOutcome:
    fields: dict[str, Any] = {"rollout": {"status": "completed"}, "error": None, **changes}
    return RolloutOutcome(0, {}, **fields)


def test_counts() -> None:
    now = [100.0]
    counter = OutcomeCounter(None, lambda: now[0])
    assert counter.progress(0) == FleetProgress(None)
    assert counter.progress(0).rate == 0.0
    counter.start()
    counter.add(outcome())
    counter.add(outcome(rollout={"state": "succeeded"}, replayed=True))
    counter.add(outcome(rollout={"status": "failed"}))
    counter.add(outcome(rollout={"status": "cancelled"}))
    counter.add(outcome(rollout=None, error=ValueError("x")))
    now[0] = 104.0
    progress = counter.progress(3)
    assert (progress.completed, progress.failed, progress.errors) == (2, 2, 1)
    assert (progress.done, progress.running, progress.seconds) == (5, 3, 4.0)
    assert progress.rate == 1.0
    counter.stop()
    now[0] = 200.0
    assert counter.progress(0).seconds == 4.0


def test_how_an_outcome_ended() -> None:
    assert [outcome(rollout={"status": s}).ok for s in ("completed", "failed")] == [True, False]
    assert outcome(rollout=None, error=ValueError()).status == "error"
