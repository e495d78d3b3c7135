"""Progress of a fleet, on a terminal and elsewhere."""

from __future__ import annotations

import io
import sys
from typing import Any

import pytest

from synth_pools._client.fleet.outcomes import (
    FleetProgress,
    OutcomeCounter,
    RolloutOutcome,
    rollout_error,
)
from synth_pools._client.fleet.progress_bar import ProgressBar
from synth_pools._client.fleet.table import table

HALF = FleetProgress(
    10,
    running=2,
    completed=3,
    failed=1,
    errors=1,
    replayed=1,
    seconds=2.0,
    mean_reward=0.5,
    standard_error=0.1,
    failures={"container_failed": 1},
)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "120")
    bar = ProgressBar(lambda: 0.0)
    bar(HALF)
    bar.close(HALF)
    bar.close(HALF)
    text = terminal.getvalue()
    assert "5/10" in text
    assert "mean reward 0.5 ± 0.1, 2 s left" in text
    assert text.count("failures: 1 container_failed") == 1
    assert "2.0/s, 2 running, 1 failed, 1 errors" in text


LINE = "5/10 rollouts, 2.0/s, 2 running, 1 failed, 1 errors, mean reward 0.5 ± 0.1, 2 s left"


def test_a_line_every_ten_seconds_elsewhere(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    now = [100.0]
    bar = ProgressBar(lambda: now[0])
    for now[0] in (100.0, 109.0, 110.0, 111.0, 119.9, 120.5, 121.0):
        bar(HALF)
    assert capsys.readouterr() == ("", f"{LINE}\n{LINE}\n")
    bar.close(HALF)
    bar.close(HALF)
    assert capsys.readouterr() == ("", f"{LINE}\nfailures: 1 container_failed\n")
    monkeypatch.setattr(sys, "stderr", None)
    now[0] = 200.0
    bar(HALF)
    bar.close(HALF)
    assert capsys.readouterr() == ("", "")


def test_lines_without_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    for name in ("rich", "rich.console", "rich.progress"):
        monkeypatch.setitem(sys.modules, name, None)
    bar = ProgressBar(lambda: 0.0)
    bar(HALF)
    bar.close(HALF)
    assert terminal.getvalue() == f"{LINE}\nfailures: 1 container_failed\n"


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


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        (FleetProgress(None), "0 rollouts, 0.0/s, 0 running"),
        (FleetProgress(None, 2, 4, seconds=2.0), "4 rollouts, 2.0/s, 2 running"),
        (FleetProgress(8, 2, 4, seconds=2.0), "4/8 rollouts, 2.0/s, 2 running, 2 s left"),
        (
            FleetProgress(8, 0, 4, 3, 1, seconds=2.0),
            "8/8 rollouts, 4.0/s, 0 running, 3 failed, 1 errors",
        ),
        (
            FleetProgress(4, 0, 4, replayed=2, seconds=2.0, mean_reward=0.12345),
            "4/4 rollouts, 1.0/s, 0 running, mean reward 0.1235",
        ),
    ],
)
def test_progress_in_words(progress: FleetProgress, text: str) -> None:
    assert str(progress) == text


def test_how_an_outcome_ended() -> None:
    assert [outcome(rollout={"status": s}).ok for s in ("completed", "failed")] == [True, False]
    assert outcome(rollout=None, error=ValueError()).status == "error"


def test_rewards_and_failures_are_counted() -> None:
    counter = OutcomeCounter(None, lambda: 0.0)
    for reward in (0.0, 1.0, 1.0, 2.0, float("nan")):
        counter.add(outcome(rollout={"status": "completed", "summary": {"reward": reward}}))
    counter.add(outcome(rollout=None, error=ValueError("x")))
    failed = {"status": "failed", "id": "r", "error": {"code": "late", "message": "Too late."}}
    for _ in range(2):
        counter.add(outcome(rollout=failed, error=rollout_error(failed)))
    progress = counter.progress(0)
    assert (progress.rewards, progress.mean_reward) == (4, 1.0)
    # The standard deviation of the sample, divided by the root of its size.
    assert progress.standard_error == pytest.approx((2 / 3) ** 0.5 / 2)
    assert progress.failures == {"ValueError": 1, "late": 2}
    assert table([], progress).endswith("failures: 2 late, 1 ValueError")
