"""Statistics of paired differences, by simulation and by numbers of the literature."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import pytest

from synth_pools import compare
from synth_pools.runs.intervals import (
    Unit,
    bootstrap_interval,
    pass_all,
    pass_at,
    repeats_reach,
    sign_test,
    student_quantile,
)

TRUE = 0.1


def seeds_of_one_task(dice: random.Random) -> list[Unit]:
    return [Unit(dice.gauss(TRUE, 0.5), 1) for _ in range(40)]


def tasks_of_some_seeds(dice: random.Random) -> list[Unit]:
    """Tasks with an effect of their own, and with numbers of seeds of their own."""
    units = []
    for _ in range(20):
        effect, size = dice.gauss(TRUE, 0.1), dice.randint(4, 8)
        units.append(Unit(sum(dice.gauss(effect, 0.3) for _ in range(size)), size))
    return units


@pytest.mark.system
@pytest.mark.parametrize("simulated", [seeds_of_one_task, tasks_of_some_seeds])
def test_it_holds_the_true_difference(simulated: Callable[[random.Random], list[Unit]]) -> None:
    count = 0
    for number in range(1000):
        interval = bootstrap_interval(simulated(random.Random(number)), 0.95)
        assert interval is not None
        count += interval.low <= TRUE <= interval.high
    assert 930 <= count <= 970


def successes(
    dice: random.Random, rate: float, tasks: int, seeds: int, repeats: int
) -> list[dict[str, Any]]:
    """Return rewards of 0 and 1; several tasks have rates of their own, of the same mean."""
    rows = []
    for task in range(tasks):
        task_rate = dice.betavariate(4 * rate, 4 - 4 * rate) if tasks > 1 else rate
        for seed in [seed for seed in range(seeds) for _ in range(repeats)]:
            reward = float(dice.random() < task_rate)
            row = {"task_id": str(task), "seed": seed, "status": "completed", "reward": reward}
            rows.append(row)
    return rows


@pytest.mark.parametrize(
    ("before", "after", "tasks", "seeds", "repeats", "most"),
    [
        (0.9, 0.95, 1, 5, 1, 100),
        (0.9, 0.95, 1, 20, 1, 100),
        (0.97, 0.99, 1, 40, 1, 100),
        (0.5, 0.7, 1, 40, 1, 97.5),
        (0.97, 0.99, 1, 10, 3, 100),
        (0.8, 0.9, 1, 10, 8, 97.5),
        (0.9, 0.95, 20, 5, 1, 97.5),
        (0.97, 0.99, 10, 3, 3, 100),
    ],
)
def test_it_holds_the_true_difference_of_successes(
    before: float, after: float, tasks: int, seeds: int, repeats: int, most: float
) -> None:
    count = 0
    for number in range(200):
        dice = random.Random(number)
        runs = [successes(dice, rate, tasks, seeds, repeats) for rate in (before, after)]
        interval = compare(*runs).difference.interval
        assert interval is not None
        count += interval.low <= after - before <= interval.high
    # Nearly all hold it where most runs show no change at all.
    assert 93 <= count / 2 <= most


@pytest.mark.parametrize("reward", [0.0, 1.0, 0.5])
def test_cases_without_a_change_do_not_say_that_there_is_none(reward: float) -> None:
    rows = [{"seed": seed, "status": "completed", "reward": reward} for seed in range(200)]
    reaches = []
    for number in (2, 20, 200):
        interval = compare(rows[:number], rows[:number]).difference.interval
        assert interval is not None
        assert interval.low < 0 < interval.high
        reaches.append(interval.high)
    assert reaches[0] == 1 > reaches[1] > 0.1 > reaches[2]


def test_no_interval_goes_beyond_the_largest_difference() -> None:
    rows = [
        [{"seed": seed, "status": "completed", "reward": reward} for seed in range(3)]
        for reward in (-2.0, 2.0)
    ]
    interval = compare(*rows).difference.interval
    assert interval is not None
    assert interval.low < interval.high == 4


def test_rewards_of_many_values_have_the_interval_of_their_units() -> None:
    units = seeds_of_one_task(random.Random(3))
    rows = [
        [{"seed": seed, "status": "completed", "reward": value} for seed, value in enumerate(run)]
        for run in ([0.0] * 40, [unit.total for unit in units])
    ]
    # Cases come in the order of their seeds, and the same order gives the same interval.
    assert compare(*rows).difference.interval == bootstrap_interval(units, 0.95)


def test_few_units_give_a_wide_interval() -> None:
    count = 0
    for number in range(200):
        units = tasks_of_some_seeds(random.Random(number))[:3]
        interval = bootstrap_interval(units, 0.95)
        assert interval is not None
        count += interval.low <= TRUE <= interval.high
    assert count >= 180


def test_many_units_give_nearly_the_interval_of_all() -> None:
    dice = random.Random(7)
    units = [Unit(dice.gauss(TRUE, 1), 1) for _ in range(10_000)]
    interval = bootstrap_interval(units, 0.95)
    assert interval is not None
    # 1.96 standard errors on both sides of the mean.
    assert interval.high - interval.low == pytest.approx(2 * 1.96 / 100, rel=0.15)


def test_the_same_units_give_the_same_interval() -> None:
    units = seeds_of_one_task(random.Random(1))
    assert bootstrap_interval(units, 0.95) == bootstrap_interval(list(units), 0.95)
    assert bootstrap_interval(units[:1], 0.95) is None


@pytest.mark.parametrize(
    ("freedom", "expected"),
    [(1, 12.706), (2, 4.303), (3, 3.182), (4, 2.776), (9, 2.262), (30, 2.042), (1000, 1.962)],
)
def test_quantiles_are_those_of_the_tables(freedom: int, expected: float) -> None:
    assert student_quantile(0.975, freedom) == pytest.approx(expected, abs=0.004)
    assert student_quantile(0.025, freedom) == pytest.approx(-expected, abs=0.004)


def test_sign_test() -> None:
    assert sign_test(0, 0) == 1
    assert sign_test(5, 5) == 1
    assert sign_test(5, 0) == sign_test(0, 5) == 2 / 32
    assert sign_test(8, 2) == pytest.approx(0.109375)
    # On both sides of the number from which it is computed from the normal distribution.
    assert sign_test(1050, 950) == pytest.approx(sign_test(1051, 950), rel=0.1)


def test_pass_rates() -> None:
    assert pass_at(4, 1, 1) == pass_all(4, 1, 1) == 0.25
    assert pass_at(4, 1, 4) == 1
    assert pass_all(4, 3, 2) == 0.5
    assert pass_all(4, 4, 4) == 1
    assert pass_at(4, 0, 4) == 0


SUCCESSES: dict[str, Callable[[random.Random], float]] = {
    "any": lambda dice: dice.random(),
    "even": lambda _: 0.5,
    "few": lambda dice: dice.choice([0.0, 0.0, 0.0, 0.5, 1.0]),
    "rare": lambda _: 0.02,
}


@pytest.mark.parametrize(("requests", "width"), [(5, 0.15), (20, 0.1), (60, 0.05)])
@pytest.mark.parametrize("name", SUCCESSES)
def test_repeats_that_end_where_they_are_sure_are_right(
    name: str, requests: int, width: float
) -> None:
    """Repeats of successes, with looks after 2, 4, 8 and 16 of them, as `run --until-sure` has."""
    right = 0
    for number in range(100):
        dice = random.Random(number)
        rates = [SUCCESSES[name](dice) for _ in range(requests)]
        groups: list[list[float]] = [[] for _ in rates]
        for rounds in (2, 4, 8, 16):
            for values, rate in zip(groups, rates, strict=True):
                values += [float(dice.random() < rate) for _ in range(rounds - len(values))]
            reach = repeats_reach(groups, 1 - 0.05 / 4)
            if reach <= width:
                break
        means = [sum(values) / len(values) for values in groups]
        right += abs(sum(means) - sum(rates)) / requests <= reach
    assert right >= 93


def test_repeats_that_agree_are_not_sure_at_once() -> None:
    assert repeats_reach([[0.5]], 0.95) == float("inf")
    assert repeats_reach([], 0.95) == float("inf")
    assert repeats_reach([[0.5, 0.5]] * 100, 0.95) == pytest.approx(3.689 / 200, abs=1e-5)
    assert repeats_reach([[10.0, 10.0]] * 100, 0.95) == pytest.approx(3.689 / 20, abs=1e-4)
    # A single pair decides as in the textbook: 12.706 times the half of its difference.
    assert repeats_reach([[0.0, 1.0]], 0.95) == pytest.approx(12.706 / 2, abs=1e-3)
