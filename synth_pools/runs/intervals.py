"""Statistics of paired differences: an interval, a sign test, pass@k."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from statistics import NormalDist
from typing import NamedTuple

# With more units than this, several are drawn as a bundle: the interval is the same, and a resample
# costs no more.
_MOST_UNITS = 500
_RESAMPLES = 2000
# With fewer units a resample has too few values to reach as far as the mean may lie.
_FEW_UNITS = 10
_EXACT_SIGNS = 2000


class Unit(NamedTuple):
    """Pairs that are drawn together: those of a task, or a single pair.

    Attributes:
        total: Sum of their differences.
        size: Number of pairs.
    """

    total: float
    size: float


class Interval(NamedTuple):
    """Bounds of a confidence interval."""

    low: float
    high: float


def bootstrap_interval(units: Sequence[Unit], confidence: float) -> Interval | None:
    """Return the interval of the mean difference, by a bootstrap over units.

    The percentiles are widened for small numbers of units, as Hesterberg does ("What Teachers
    Should Know about the Bootstrap", 2014, section 3.3). With fewer than ten units the interval is
    at least as wide as Student's. The same units give the same interval.

    Args:
        units: The units; each is drawn with the same probability.
        confidence: Confidence, between 0 and 1.

    Returns:
        The interval; None with fewer than two units.
    """
    if len(units) < 2:
        return None
    dice = random.Random(0)
    bundles = _bundled(units, dice)
    number = len(bundles)
    means = []
    for _ in range(_RESAMPLES):
        drawn = dice.choices(bundles, k=number)
        means.append(sum(unit.total for unit in drawn) / sum(unit.size for unit in drawn))
    means.sort()
    tail = _widened_tail((1 - confidence) / 2, number)
    drawn_interval = Interval(_quantile(means, tail), _quantile(means, 1 - tail))
    if number >= _FEW_UNITS:
        return drawn_interval
    student = _student_interval(units, confidence)
    return Interval(min(drawn_interval.low, student.low), max(drawn_interval.high, student.high))


def with_unseen_changes(units: Sequence[Unit], span: float) -> list[Unit]:
    """Add a change for the better and a change for the worse, for rewards of few values.

    Where rewards are 0 or 1, few units show few of the changes that may happen, or none, and look
    more alike than they are. Adding both is what Bonett and Price do ("Adjusted Wald Confidence
    Interval for a Difference of Binomial Proportions Based on Paired Data", 2012). Units of several
    rollouts change by parts of the span: both are as large as the root mean square of the changes.

    Args:
        units: The units, at least one.
        span: Size of a change where no unit has changed.

    Returns:
        The units and both changes.
    """
    squares = [(unit.total / unit.size) ** 2 for unit in units if unit.total]
    change = math.sqrt(math.fsum(squares) / len(squares)) if squares else span
    size = math.fsum(unit.size for unit in units) / len(units)
    return [*units, Unit(change * size, size), Unit(-change * size, size)]


def _student_interval(units: Sequence[Unit], confidence: float) -> Interval:
    number = len(units)
    count = sum(unit.size for unit in units)
    mean = math.fsum(unit.total for unit in units) / count
    squares = math.fsum((unit.total - mean * unit.size) ** 2 for unit in units)
    error = math.sqrt(number / (number - 1) * squares) / count
    reach = student_quantile((1 + confidence) / 2, number - 1) * error
    return Interval(mean - reach, mean + reach)


def repeats_reach(groups: Sequence[Sequence[float]], confidence: float) -> float:
    """Return half the width of the interval of the mean over groups of repeats.

    It is Student's, with the degrees of freedom of Welch and Satterthwaite, and speaks of these
    groups alone: their differences from each other are no part of it. It is no narrower than what
    outcomes may add that are too rare to be among the values (the rule of three), of the size of
    the largest value, and of 1 at least. So it is too narrow where values above 1 are as rare.

    Args:
        groups: Values of the repeats of each request.
        confidence: Confidence, between 0 and 1.

    Returns:
        The half; infinite if a group has fewer than two values.
    """
    if not groups or min(map(len, groups)) < 2:
        return math.inf
    errors, count = [], sum(map(len, groups))
    size = max(1.0, *(abs(value) for values in groups for value in values))
    least = size * math.log(2 / (1 - confidence)) / count
    for values in groups:
        mean = math.fsum(values) / len(values)
        squares = math.fsum((value - mean) ** 2 for value in values)
        errors.append((squares / (len(values) - 1) / len(values), len(values) - 1))
    total = math.fsum(error for error, _ in errors)
    if not total:
        return least
    freedom = total**2 / math.fsum(error**2 / less for error, less in errors)
    quantile = student_quantile((1 + confidence) / 2, max(1, math.floor(freedom)))
    return max(least, quantile * math.sqrt(total) / len(groups))


def _bundled(units: Sequence[Unit], dice: random.Random) -> list[Unit]:
    if len(units) <= _MOST_UNITS:
        return list(units)
    shuffled = dice.sample(list(units), len(units))
    parts = [shuffled[first::_MOST_UNITS] for first in range(_MOST_UNITS)]
    return [
        Unit(math.fsum(unit.total for unit in part), sum(unit.size for unit in part))
        for part in parts
    ]


def _widened_tail(tail: float, number: int) -> float:
    scale = math.sqrt(number / (number - 1))
    return NormalDist().cdf(-scale * student_quantile(1 - tail, number - 1))


def _quantile(ordered: Sequence[float], share: float) -> float:
    place = share * (len(ordered) - 1)
    below = math.floor(place)
    above = min(below + 1, len(ordered) - 1)
    return ordered[below] + (ordered[above] - ordered[below]) * (place - below)


def student_quantile(share: float, freedom: int) -> float:
    """Return a quantile of Student's t distribution, to three digits.

    Exact for one and two degrees of freedom; else the expansion of Abramowitz and Stegun, 26.7.5.
    """
    if freedom == 1:
        return math.tan(math.pi * (share - 0.5))
    if freedom == 2:
        return (2 * share - 1) * math.sqrt(2 / (4 * share * (1 - share)))
    z = NormalDist().inv_cdf(share)
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
        (79 * z**9 + 776 * z**7 + 1482 * z**5 - 1920 * z**3 - 945 * z) / 92160,
    )
    return z + math.fsum(term / freedom**power for power, term in enumerate(terms, 1))


def sign_test(better: int, worse: int) -> float:
    """Return the two-sided p-value of a sign test; ties are left out.

    Exact up to 2,000 differences, else by the normal distribution.
    """
    number, less = better + worse, min(better, worse)
    if number == 0:
        return 1.0
    if number > _EXACT_SIGNS:
        distance = (abs(better - worse) - 1) / math.sqrt(number)
        return min(1.0, 2 * NormalDist().cdf(-max(0.0, distance)))
    ways = sum(math.comb(number, count) for count in range(less + 1))
    p: float = 2 * ways / (1 << number)
    return min(1.0, p)


def pass_at(number: int, passed: int, k: int) -> float:
    """Return the probability that at least one of `k` rollouts passes, of `number` that were run.

    The unbiased estimate of Chen et al., "Evaluating Large Language Models Trained on Code", 2021.
    """
    return 1 - pass_all(number, number - passed, k)


def pass_all(number: int, passed: int, k: int) -> float:
    """Return the probability that all of `k` rollouts pass (pass^k), of `number` that were run.

    The unbiased estimate of Yao et al., "tau-bench", 2024.
    """
    return math.comb(passed, k) / math.comb(number, k)
