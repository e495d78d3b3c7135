"""Rule for counts and sums: they include every rollout that was read, and no other one."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from synth_pools.contract.document import FINAL
from synth_pools.contract.rules.listings import FactAnswer, ResourceKey
from synth_pools.contract.rules.verdict import is_finite_number

# Figures of a run that are sums of a fact of its rollouts, null where none has it.
_SUMS = ("llm_input_tokens", "llm_output_tokens", "cost_usd")
_OPEN = ("queued", "running")
# How far sums of fractions may be from those of the kit, in proportion.
_EXACT = 1e-6

# Returns a fact of a rollout: its value, alone in a tuple, or nothing if it is not known. That of
# its seconds is followed by how far these may be from the figure of the server.
FactReader = Callable[[ResourceKey, str], tuple[Any, ...]]


class Counts:
    """Rollouts of pools and runs, and when each was first observed to have ended."""

    def __init__(self, fact: FactReader) -> None:
        self._fact = fact
        self.ended: dict[ResourceKey, float] = {}
        # The same by pool or run, and state.
        self._ends: dict[tuple[ResourceKey, str], list[float]] = defaultdict(list)
        self._members: dict[ResourceKey, set[ResourceKey]] = defaultdict(set)
        # The runs whose deletion was requested, with the rollouts that had ended by then.
        self._deleted_runs: dict[ResourceKey, list[ResourceKey]] = {}
        # When the deletion of a rollout was answered.
        self._deleted: dict[ResourceKey, float] = {}

    def runs(self) -> list[str]:
        """Return the names of the caller's runs of which all known rollouts have ended."""
        return [
            run[2]
            for run, members in self._members.items()
            if not run[0] and members <= self.ended.keys()
        ]

    def is_deleted(self, run: ResourceKey) -> bool:
        """Return True if the deletion of a run was requested."""
        return run in self._deleted_runs

    def add(self, subject: ResourceKey, run: ResourceKey | None) -> bool:
        """Add a rollout to its run; return False if that was deleted."""
        if run in self._deleted_runs:
            return False
        if run is not None:
            self._members[run].add(subject)
        return True

    def end(self, subject: ResourceKey, status: str, now: float, *counted: ResourceKey) -> None:
        """Count a rollout among those of some pools and runs that have ended, if it is new."""
        if subject not in self.ended:
            self.ended[subject] = now
            for place in counted:
                self._ends[place, status].append(now)

    def forget(self, run: ResourceKey) -> Iterator[tuple[ResourceKey, float | None]]:
        """Forget a run, and yield its rollouts with the time of their end, if they had ended."""
        deleted = self._deleted_runs.setdefault(run, [])
        for subject in self._members.pop(run, ()):
            ended_at = self.ended.pop(subject, None)
            if ended_at is not None:
                deleted.append(subject)
            yield subject, ended_at
        for status in FINAL:
            self._ends.pop((run, status), None)

    def delete(self, run: ResourceKey, now: float) -> None:
        """Expect no answer that was requested later to hold a rollout of a deleted run."""
        for subject in self._deleted_runs.get(run, ()):
            self._deleted.setdefault(subject, now)

    def judge_deleted(self, answer: FactAnswer, subject: ResourceKey) -> None:
        """Expect a rollout that an answer holds not to be deleted."""
        if self._deleted:
            is_there = answer.exchange.began < self._deleted.get(subject, float("inf"))
            demand = f"{subject[2]}, which was deleted with its run, is in no list"
            answer.judge("facts.deleted", demand, is_there, f"{subject[2]} is there")

    def discount(self, pool: ResourceKey, status: str, ended_at: float) -> None:
        """Count a rollout of a pool no more."""
        ends = self._ends.get((pool, status), [])
        # A server may state several pools of one rollout.
        if ended_at in ends:
            ends.remove(ended_at)

    def judge(
        self, check: str, answer: FactAnswer, subject: ResourceKey, counts: Mapping[str, Any]
    ) -> None:
        """Expect the counts of ended rollouts to include all that were read before."""
        for status in FINAL:
            least = bisect_left(self._ends.get((subject, status), []), answer.exchange.began)
            count = counts.get(status)
            if least and is_finite_number(count):
                demand = f"{status} rollouts include the {least} that were read before"
                answer.judge(check, demand, count >= least, str(count), f"{check}|{status}")

    def judge_last(self, answer: FactAnswer, events: Iterable[Any]) -> None:
        """Expect the events that are there to have the last one of each rollout that had ended."""
        rows = [event for event in events if isinstance(event, dict)]
        latest = {event.get("rollout_id"): event.get("sequence") for event in rows}
        for name, actual in latest.items():
            subject = (answer.as_other, "Rollout", str(name))
            last = self._fact(subject, "the last event")
            if last and self.ended.get(subject, answer.exchange.began) < answer.exchange.began:
                demand = f"the events of {name} go on to the last: {last[0]}"
                met = last[0] == actual
                answer.judge("facts.event", demand, met, str(actual), "facts.event|the last")

    def judge_run(self, answer: FactAnswer, subject: ResourceKey, run: Mapping[str, Any]) -> None:
        """Expect the sums of a run to be those of its rollouts, once all of them have ended."""
        raw_counts = run.get("rollouts")
        counts = raw_counts if isinstance(raw_counts, dict) else {}
        self.judge("facts.runs", answer, subject, counts)
        members = self._members.get(subject, set())
        began = answer.exchange.began
        total = sum(value for value in counts.values() if is_finite_number(value))
        are_all = total == len(members) and not any(counts.get(name) for name in _OPEN)
        if (
            not members
            or not are_all
            or any(self.ended.get(member, began) >= began for member in members)
        ):
            return
        for name, expected, tolerance in self._sums(members):
            actual = run.get(name)
            is_near = (
                is_finite_number(actual)
                and is_finite_number(expected)
                and abs(actual - expected) <= tolerance
            )
            demand = f"{name} is that of its {len(members)} rollouts, of which each was read"
            met = name not in run or is_near or actual == expected
            answer.judge(
                "facts.runs", f"{demand}: {expected}", met, str(actual), f"facts.runs|{name}"
            )

    def _sums(self, members: set[ResourceKey]) -> Iterator[tuple[str, Any, float]]:
        """Yield the names of figures with the expected ones, and how far those may differ."""

        def rounding(value: float | None) -> float:
            return _EXACT * max(1.0, abs(value or 0.0))

        scores = [self._fact(member, "score") for member in members]
        if all(scores):
            rewards = [value for (value,) in scores if is_finite_number(value)]
            yield "rewards", len(rewards), 0.0
            mean = sum(rewards) / len(rewards) if rewards else None
            yield "mean_reward", mean, rounding(mean)
        seconds = [self._fact(member, "seconds") for member in members]
        if all(seconds):
            expected, tolerance = (sum(column) for column in zip(*seconds, strict=True))
            yield "run_seconds", expected, tolerance
        for name in _SUMS:
            amounts = [self._fact(member, name) for member in members]
            if all(amounts):
                reported = [value for (value,) in amounts if is_finite_number(value)]
                total = sum(reported) if reported else None
                yield name, total, rounding(total)
