"""Counters and histograms that cost next to nothing to update.

prometheus-client's own metrics take a lock and look at labels for each observation, and read their
settings from the environment. These take a tenth of that; its part is to write them down.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Hashable, Sequence
from typing import Generic, TypeVar

_L = TypeVar("_L", bound=Hashable)


class Histogram:
    """Counts of observed values by the bound that they fall below.

    Observed by one thread. Another may read meanwhile and is at most one observation behind.
    """

    __slots__ = ("_bounds", "_counts", "sum")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        # One more than there are bounds: what lies above them all.
        self._counts = [0] * (len(self._bounds) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self.sum += value

    def cumulative(self) -> list[tuple[float, int]]:
        """Return each bound, infinity last, with the number of values at or below it."""
        counts = self._counts.copy()
        total = 0
        pairs = []
        for bound, count in zip((*self._bounds, float("inf")), counts, strict=True):
            total += count
            pairs.append((bound, total))
        return pairs


class Histograms(Generic[_L]):
    """A histogram for each label, or tuple of labels, that has been seen."""

    __slots__ = ("_bounds", "_by_label")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = tuple(bounds)
        self._by_label: dict[_L, Histogram] = {}

    def observe(self, label: _L, value: float) -> None:
        """Count one value under a label."""
        histogram = self._by_label.get(label)
        if histogram is None:
            histogram = self._by_label[label] = Histogram(self._bounds)
        histogram.observe(value)

    def items(self) -> list[tuple[_L, Histogram]]:
        """Return the labels and their histograms."""
        return list(self._by_label.items())


class Counters(Generic[_L]):
    """A counter for each label, or tuple of labels."""

    __slots__ = ("_by_label",)

    def __init__(self) -> None:
        self._by_label: dict[_L, int] = {}

    def count(self, label: _L) -> None:
        """Count one more under a label."""
        self._by_label[label] = self._by_label.get(label, 0) + 1

    def items(self) -> list[tuple[_L, int]]:
        """Return the labels and their counts."""
        return list(self._by_label.items())
