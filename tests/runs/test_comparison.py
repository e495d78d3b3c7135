"""Comparisons of runs, of fleets on a real backend and of rows."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synth_pools import Comparison, ComparisonError, RunFileError, compare
from synth_pools.local import LocalBackend
from synth_pools.runs.recorded import read_run
from synth_pools.runs.reports import comparison_page, comparison_text


def row(seed: Any, reward: Any, task: str | None = "task", **more: Any) -> dict[str, Any]:
    return {"seed": seed, "task_id": task, "status": "completed", "reward": reward, **more}


def test_fleets_by_outcomes_and_by_journals(tmp_path: Path) -> None:
    journals = [tmp_path / "monday.jsonl", tmp_path / "tuesday.jsonl"]
    outcomes = []
    with LocalBackend() as backend, backend.client() as client:
        pool = client.create_pool({"name": "compared"})["id"]
        for bonus, journal in zip((0.0, 0.25), journals, strict=True):
            requests = [
                {"seed": seed, "env": {"reward": seed / 8 + bonus * (seed > 1)}}
                for seed in range(4)
            ]
            fleet = client.rollouts.run_many(pool, requests, repeats=2, journal=journal)
            outcomes.append(list(fleet))
    comparison = compare(*journals)
    assert [run.name for run in comparison.runs] == ["monday", "tuesday"]
    assert [run.rollouts for run in comparison.runs] == [8, 8]
    difference = comparison.difference
    assert (difference.pairs, difference.equal, len(difference.better)) == (4, 2, 2)
    assert difference.mean == 0.125
    assert difference.interval is not None
    assert all(math.isfinite(bound) for bound in difference.interval)
    assert len(difference.better[0].rollout_ids[0]) == 2
    by_outcomes = compare(*outcomes, names=["monday", "tuesday"])
    assert by_outcomes == comparison
    json.dumps(comparison.to_dict(), allow_nan=False)


def test_requests_that_were_refused_have_their_tasks_in_a_journal(tmp_path: Path) -> None:
    journal = tmp_path / "journal.jsonl"
    tasks = [{"task_id": "there"}]
    requests = [{"task_id": task, "seed": 1} for task in ("there", "gone")]
    with LocalBackend() as backend, backend.client() as client:
        pool = client.create_pool({"name": "refusing", "tasks": tasks})["id"]
        fleet = client.rollouts.run_many(pool, requests, journal=journal, labels={"a": "b"})
        outcomes = list(fleet)
    comparison = compare(outcomes, journal)
    assert (comparison.difference.pairs, comparison.difference.new) == (2, ())
    assert [run.failed_cases for run in comparison.runs] == [(("gone", "1"),)] * 2
    assert [result.row["request"] for result in read_run(journal).results] == requests


def test_failures_count_as_the_caller_says() -> None:
    first = [row(0, 1.0), row(1, 1.0), row(2, 0.5)]
    second = [row(0, 1.0), {**row(1, None), "status": "failed"}, row(2, None)]
    zero = compare(first, second)
    assert zero.difference.mean == pytest.approx(-0.5)
    assert [run.failed for run in zero.runs] == [0, 2]
    without = compare(first, second, failures="leave-out")
    assert (without.difference.mean, without.difference.pairs) == (0, 1)
    assert [case.seed for case in without.difference.left_out] == ["1", "2"]
    # Beside a difference of 0 stand the means of the same cases.
    assert [run.mean for run in without.runs] == [1.0, 1.0]


def test_failed_repeats_that_are_left_out_are_no_part_of_pass_rates() -> None:
    first = [row(0, 1.0), {**row(0, None), "status": "failed"}, row(1, 0.0), row(1, 1.0)]
    second = [row(0, 1.0), row(0, 1.0), row(1, 1.0), row(1, 1.0)]
    rates = compare(first, second, failures="leave-out").runs[0].pass_rates
    assert [(rate.k, rate.at_least_one) for rate in rates] == [(1, 0.75)]
    rates = compare(first, second).runs[0].pass_rates
    assert [(rate.k, rate.at_least_one) for rate in rates] == [(1, 0.5), (2, 1.0)]


@pytest.mark.parametrize("reward", [True, "1.0", float("nan"), [1], 10**400])
def test_what_is_no_number_is_no_reward(reward: Any) -> None:
    comparison = compare([row(0, 1.0)], [row(0, reward)])
    assert comparison.runs[1].failed == 1
    assert comparison.difference.mean == -1


@pytest.mark.parametrize("later", [-1.7e308, 1.7e308, 0.0])
def test_numbers_of_any_size_have_sums(later: float) -> None:
    first = [row(seed, 1.7e308, seconds=1e308, cost_usd=1e308) for seed in range(20)] * 2
    comparison = compare(first, [row(seed, later * (seed % 2)) for seed in range(20)])
    json.dumps(comparison.to_dict(), allow_nan=False)
    assert comparison.difference.mean < 0
    assert comparison.difference.interval is not None
    assert all(comparison.runs[0].usage.values())


def test_a_seed_may_be_written_with_a_point() -> None:
    assert compare([row(3, 1.0)], [row(3.0, 0.5)]).difference.mean == -0.5


def test_a_reward_of_what_failed_does_not_count() -> None:
    failed = {**row(0, 1.0), "status": "failed"}
    assert compare([row(0, 0.5)], [failed]).difference.mean == -0.5


def test_what_was_cancelled_says_nothing() -> None:
    first = [row(seed, 1.0) for seed in range(3)]
    cancelled = [{**row(seed, None), "status": "cancelled"} for seed in (0, 0, 1, 2)]
    running = {**row(2, None), "status": "running"}
    comparison = compare(first, [*cancelled, row(0, 1.0), running])
    assert (comparison.difference.mean, comparison.difference.pairs) == (0, 1)
    assert [case.seed for case in comparison.difference.missing] == ["1", "2"]
    figures = comparison.runs[1]
    assert (figures.rollouts, figures.failed, figures.unended) == (1, 0, 2)


def test_new_and_missing_pairs_are_no_part_of_the_difference() -> None:
    comparison = compare([row(0, 0.0), row(1, 1.0)], [row(1, 1.0), row(2, 0.0)])
    difference = comparison.difference
    assert difference.mean == 0
    assert [case.seed for case in difference.missing] == ["0"]
    assert [case.seed for case in difference.new] == ["2"]
    assert [run.mean for run in comparison.runs] == [1.0, 1.0]
    words = "The means and pass rates above are of the 1 cases that count in all runs."
    assert (comparison.common, words in comparison_text(comparison, 10)) == (1, True)
    assert words not in comparison_text(compare([row(0, 0.0)], [row(0, 1.0)]), 10)


def test_tasks_are_units_where_there_are_several() -> None:
    def run(gains: dict[str, float]) -> list[dict[str, Any]]:
        return [row(seed, gain, task) for task, gain in gains.items() for seed in range(50)]

    first = dict.fromkeys("abcd", 0.0)
    second = {"a": 0.0, "b": 0.2, "c": 0.1, "d": 0.3}
    difference = compare(run(first), run(second)).difference
    assert (difference.unit, difference.units) == ("task", 4)
    assert difference.interval is not None
    # The seeds of a task say nothing of other tasks: 200 pairs are no 200 units.
    assert difference.interval.low < 0.0 < difference.interval.high
    single = compare(run({"a": 0.0}), run({"a": 0.2})).difference
    assert (single.unit, single.units) == ("case", 50)


def test_repeats_are_averaged_and_pass() -> None:
    first = [row(0, reward) for reward in (0.0, 1.0, 1.0, 1.0)]
    second = [row(0, 1.0)] * 4
    comparison = compare(first, second)
    assert comparison.difference.mean == 0.25
    assert [rate.k for rate in comparison.runs[0].pass_rates] == [1, 2, 4]
    rates = comparison.runs[0].pass_rates[1]
    assert (rates.at_least_one, rates.all) == (1.0, 0.5)
    assert compare(first, second, threshold=2).runs[1].pass_rates[0].all == 0


def test_requests_without_seeds_are_paired_by_their_index() -> None:
    first = [row(None, 0.5, index=0, group=0), row(None, 0.5, index=1, group=1)]
    second = [row(None, 1.0, index=1, group=1), row(None, 0.5, index=0, group=0)]
    [pair] = compare(first, second).difference.better
    assert pair.seed == "request 1"


def test_time_and_usage_are_summed_where_they_are_reported() -> None:
    first = [row(0, 1.0, seconds=2.0, input_tokens=10, cost_usd=0.5), row(1, 1.0, seconds=4.0)]
    [first_figures, second_figures] = compare(first, [row(0, 1.0)]).runs
    assert first_figures.mean_seconds == 3
    assert first_figures.usage == {"input_tokens": 10, "cost_usd": 0.5}
    assert (second_figures.mean_seconds, second_figures.usage) == (None, {})


def test_more_than_two_are_compared_with_the_first() -> None:
    runs = [[row(seed, reward) for seed in range(3)] for reward in (0.5, 0.25, 1.0)]
    comparison = compare(*runs, names=["a", "b", "c"])
    assert [(item.name, item.mean) for item in comparison.differences] == [("b", -0.25), ("c", 0.5)]


def test_what_has_not_ended_is_counted_and_left_out() -> None:
    comparison = compare([row(0, 1.0)], [row(0, 1.0), {**row(1, None), "status": "running"}])
    assert [run.unended for run in comparison.runs] == [0, 1]


@pytest.mark.parametrize(
    ("runs", "options", "message"),
    [
        ([[row(0, 1.0)]], {}, "two runs or more"),
        ([[row(0, 1.0)], []], {}, "run 2: no rollout of it has ended"),
        ([[row(0, 1.0)], [row(1, 1.0)]], {}, "no task and seed in common"),
        ([[row(0, 1.0)], [row(0, 1.0), row(0, 1.0, "b")]], {}, "only one of them has b; compare"),
        ([[row(0, 1.0)], [{"seed": 0}]], {}, "no outcome and no row"),
        ([[row(0, 1.0)], 7], {}, "run 2: a run is a path"),
        ([[row(0, 1.0)], [row(0, None)]], {"failures": "leave-out"}, "no case with a reward"),
        ([[row(0, 1.0)]] * 2, {"failures": "ignore"}, "neither 'zero' nor 'leave-out'"),
        ([[row(0, 1.0)]] * 2, {"confidence": 95}, "not between 0 and 1"),
        ([[row(0, 1.0)]] * 2, {"threshold": math.nan}, "threshold: nan is no reward"),
        ([[row(0, 1.0)]] * 2, {"names": ["a"]}, "2 runs and 1 names"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    runs: list[Any], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ComparisonError, match=message):
        compare(*runs, **options)


def test_other_tasks_are_compared_when_asked_for() -> None:
    first, second = [row(0, 1.0), row(0, 1.0, "a")], [row(0, 0.5), row(0, 1.0, "b")]
    difference = compare(first, second, other_tasks=True).difference
    assert (difference.pairs, difference.mean) == (1, -0.5)


def test_a_run_that_has_not_ended_is_told_where_tasks_are_not_the_same() -> None:
    later = [row(0, 1.0), {**row(0, None, "a"), "status": "running"}]
    with pytest.raises(ComparisonError, match=r"has a; 1 of b have not ended; compare what"):
        compare([row(0, 1.0), row(0, 1.0, "a")], later, names=["a", "b"])


def test_a_file_that_is_no_run(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    path.write_text("hello\n", encoding="utf-8")
    with pytest.raises(RunFileError, match="not JSON") as caught:
        compare(path, path)
    assert caught.value.path == str(path)


@pytest.fixture
def strange() -> Comparison:
    first = [row(seed, 0.0, "a|b<i>") for seed in range(3)]
    second = [row(seed, 1.0, "a|b<i>") for seed in range(3)]
    return compare(first, second, names=["x<y", "x|y"])


def test_markdown_keeps_its_columns(strange: Comparison) -> None:
    text = comparison_text(strange, most=2)
    lines = [line for line in text.splitlines() if line.startswith("| a")]
    assert lines == ["| a\\|b\\<i> | 0 | 0 | 1 | +1 |", "| a\\|b\\<i> | 1 | 0 | 1 | +1 |"]
    assert "Better, the first 2 of 3:" in text
    assert "x\\|y against x\\<y: +1" in text


@pytest.mark.parametrize("render", [comparison_text, comparison_page])
def test_a_hostile_name_stays_a_name(render: Callable[[Comparison, int], str]) -> None:
    names = ["\x1b[31m\n| a | b\r\u2028\ud800", "![b](http://c)"]
    text = render(compare([row(0, 0.0, names[0])], [row(0, 1.0, names[0])], names=names), 5)
    assert all(line.isprintable() for line in text.split("\n"))
    text.encode()
    assert len(text.splitlines()) == len(render(compare([row(0, 0)], [row(0, 1)]), 5).splitlines())
    assert "![b](http" not in text or render is comparison_page


def test_html_shows_names_as_text(strange: Comparison) -> None:
    page = comparison_page(strange, most=5)
    assert "a|b&lt;i&gt;" in page
    assert "<i>" not in page
    assert page.count("<table>") == 2
