"""Baselines: known departures do not fail a run, new ones do."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from synth_pools.cli import run
from synth_pools.contract.exceptions import UnjudgeableError
from synth_pools.contract.reports.baseline import (
    departures_of,
    read_baseline,
    render_baseline,
    stale_departures,
    with_baseline,
)
from synth_pools.contract.reports.junit import render_junit
from synth_pools.contract.reports.text import render_table
from synth_pools.contract.results import Outcome, Report
from synth_pools.contract.traffic.judge import judge_traffic
from synth_pools.local import LocalBackend
from tests.contract.faults import FAULTS
from tests.contract.faults.fault import KEY
from tests.contract.faults.proxy import FaultProxy
from tests.contract.reports.sample_report import departure, sample_report
from tests.contract.rules.answers import answered, example

_POOL = "/v1/pools/docs-example-pool"


def test_only_what_is_new_fails() -> None:
    report = sample_report()
    baseline = departures_of(report)
    calm = with_baseline(report, baseline, "known.json")
    assert (report.exit_code, calm.exit_code) == (1, 0)
    assert calm.groups == ()
    assert calm.counts()[Outcome.KNOWN] == 3
    assert "3 of 3 departures of known.json were seen" in render_table(calm)
    assert 'message="known: the baseline has it"' in render_junit(calm)
    outcome = calm.outcomes[-1]
    new = replace(
        outcome, outcome=Outcome.DEPARTED, departures=(departure("get_pool", "a.b", "1"),)
    )
    grown = replace(report, outcomes=(*report.outcomes, new))
    assert [g.first.check for g in with_baseline(grown, baseline, "x").groups] == ["a.b"]


def test_the_values_of_a_run_tell_no_departures_apart() -> None:
    earlier, later = (
        replace(departure("get_pool", "a.b", "1"), expected=f"id is 'contract-kit-{run}-x-1'")
        for run in ("0a1b2c3d", "ffffffff")
    )
    report = sample_report()
    first = replace(report.outcomes[-1], departures=(earlier,), outcome=Outcome.DEPARTED)
    second = replace(first, departures=(later,))
    baseline = departures_of(replace(report, outcomes=(first,)))
    assert with_baseline(replace(report, outcomes=(second,)), baseline, "x").groups == ()


def test_what_is_mended_is_stale_and_what_was_not_judged_is_not() -> None:
    report = sample_report()
    baseline = departures_of(report)
    mended = replace(
        report,
        outcomes=tuple(
            replace(outcome, outcome=Outcome.HELD, departures=())
            for outcome in report.outcomes
            if outcome.check != "cancel.queued"
        ),
    )
    assert {departure.check for departure in stale_departures(mended, baseline)} == {"pages.limit"}


def _judged(pool: Any, status: int = 200) -> Report:
    return judge_traffic([answered("GET", _POOL, status, pool)], "x")


def test_one_flaw_of_an_answer_hides_no_other_one() -> None:
    pool = example("pool")
    lacking = {key: value for key, value in pool.items() if key != "created_at"}
    baseline = departures_of(_judged(lacking))
    assert with_baseline(_judged(lacking), baseline, "x").exit_code == 0
    assert with_baseline(_judged({**pool, "concurrency": "2"}), baseline, "x").exit_code == 1
    worse = with_baseline(_judged({**lacking, "concurrency": "2"}), baseline, "x")
    assert worse.exit_code == 1
    assert [group.first.got for group in worse.groups] == [
        'concurrency: "2" is not of type "integer"'
    ]
    items = [{**example("task"), "created_at": number} for number in range(3)]
    for count in (1, 3):
        page = {"items": items[:count], "next_cursor": None}
        report = judge_traffic([answered("GET", f"{_POOL}/tasks", 200, page)], "x")
        # Any item of a list is at one place.
        assert len([group for group in report.groups if group.first.check == "schema.body"]) == 1
    assert with_baseline(_judged(pool, 419), departures_of(_judged(pool, 418)), "x").exit_code == 1


def test_it_is_written_and_read(tmp_path: Path) -> None:
    file = tmp_path / "known.json"
    assert read_baseline(file) == frozenset()
    baseline = departures_of(sample_report())
    file.write_text(render_baseline(baseline))
    assert read_baseline(file) == baseline


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"format": 2}', '{"format": 1, "departures": 5}']
)
def test_a_broken_one_is_one_line(text: str, tmp_path: Path) -> None:
    file = tmp_path / "known.json"
    file.write_text(text)
    with pytest.raises(UnjudgeableError, match=r"known\.json cannot be read"):
        read_baseline(file)


@pytest.fixture
def departing() -> Iterator[str]:
    fault = next(fault for fault in FAULTS if fault.name == "patch_replaces_pools")
    with LocalBackend(api_key=KEY) as backend, FaultProxy(backend.url, fault, KEY) as proxy:
        yield proxy.url


@pytest.mark.system
def test_the_command_updates_and_prunes_it(
    departing: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "known.json"
    common = ["--api-key", KEY, "--only", "pools.patch", "--baseline", str(file)]
    arguments = ["contract-test", departing, *common]
    assert run(arguments) == 1
    assert run([*arguments, "--baseline-update"]) == 0
    assert "update_pool" in file.read_text()
    assert run(arguments) == 0
    with LocalBackend(api_key=KEY) as backend:
        assert run(["contract-test", backend.url, *common, "--baseline-prune"]) == 0
    assert read_baseline(file) == frozenset()
    assert run(["contract-test", departing, "--api-key", KEY, "--baseline-prune"]) == 2
    assert "need --baseline" in capsys.readouterr().err
