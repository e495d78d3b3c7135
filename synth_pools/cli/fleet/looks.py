"""Looks at a run between its repeats, for `run --until-sure`."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

from synth_pools.cli.fleet.requests import RunRequests
from synth_pools.cli.output import say
from synth_pools.runs.intervals import repeats_reach
from synth_pools.runs.rows import COMPLETED, finite_number

_ERROR = 0.05


class Looks:
    """Looks at the mean reward after 2, 4, 8, ... repeats, and after the last one.

    Each look has an equal part of the error (Bonferroni): all intervals hold together with the
    confidence, so the one that ends the run does, too.

    Args:
        requests: The requests of the run, in rounds.
        width: Width to either side at which it is narrow enough; None for no looks before the end.
    """

    def __init__(self, requests: RunRequests, width: float | None) -> None:
        self._width = width
        self._requests = requests
        self._rewards: dict[int, list[float]] = defaultdict(list)
        self._has_rewards = False
        self._rounds = [requests.repeats]
        while width is not None and (count := 2 ** len(self._rounds)) < requests.repeats:
            self._rounds.insert(-1, count)

    def ends(self, highest: int) -> list[int]:
        """Return how many requests have run at each look.

        Args:
            highest: Highest request of the journal that it goes on with; -1 without any.
        """
        ends = [count * self._requests.group_count for count in self._rounds]
        return [end for end in ends if end > highest] or ends[-1:]

    def add(self, group: int, row: Mapping[str, Any]) -> None:
        """Count a row; a failure, or a rollout without a reward, counts as 0."""
        if self._width is not None:
            reward = finite_number(row.get("reward")) if row["status"] in COMPLETED else None
            self._has_rewards = self._has_rewards or reward is not None
            self._rewards[group].append(reward or 0.0)

    def is_sure(self) -> bool:
        """Look at the mean, and say how narrow its interval is."""
        if self._width is None or not self._has_rewards:
            return False
        groups = list(self._rewards.values())
        reach = repeats_reach(groups, 1 - _ERROR / len(self._rounds))
        means = [math.fsum(values) / len(values) for values in groups]
        mean, rounds = math.fsum(means) / len(means), min(map(len, groups))
        say(f"after {rounds} repeats: the mean reward is {mean:.4g} ± {reach:.2g}")
        return reach <= self._width
