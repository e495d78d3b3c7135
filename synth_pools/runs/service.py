"""Runs of the service, as their results on disk would be."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from synth_pools._client.fleet.usage import usage_of_rollout
from synth_pools.runs.recorded import RecordedResult, RecordedRun, result_row


@dataclass(frozen=True)
class ServiceRun:
    """Run of the service.

    Attributes:
        run: The run, with its sums.
        rollouts: Its rollouts, the newest first.
    """

    run: Mapping[str, Any]
    rollouts: Sequence[Mapping[str, Any]]

    @property
    def stem(self) -> str:
        """Name of the run, as `Path.stem` is that of a file."""
        return str(self.run["name"])

    @property
    def file_name(self) -> str:
        """Name of the run, with what file systems take for a folder or refuse replaced."""
        return re.sub(r"[^\w. -]", "-", self.stem).lstrip(".")[:100] or "run"

    def comparable_rows(self, prices: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
        """Return the rows of its rollouts, the first of which has the usage of all.

        Args:
            prices: Prices by model, to estimate the costs of rollouts that report tokens alone.

        Raises:
            RequestValidationError: The prices are of another form.
        """
        # Imported here: it loads the HTTP library, which help does not need.
        from synth_pools._client.fleet.prices import Prices
        from synth_pools.runs.scores import UNENDED

        rows = [_row(self.run, rollout) for rollout in self.rollouts]
        # A list need not have the usage, and the run has its sums, which alone are compared.
        names = ("input_tokens", "output_tokens")
        sums = {name: self.run.get(f"llm_{name}") for name in names}
        sums["cost_usd"] = self.run.get("cost_usd")
        table = Prices(prices or {})
        costs = (
            table.estimated(usage, None, rollout).get("estimated_cost_usd", 0)
            for rollout in self.rollouts
            if "cost_usd" not in (usage := usage_of_rollout(rollout))
        )
        if estimate := math.fsum(costs):
            sums |= {"cost_usd": (sums["cost_usd"] or 0) + estimate, "estimated_cost_usd": estimate}
        for row in rows:
            # The service knows no indices: requests without seeds are paired by their input.
            row.update(dict.fromkeys(sums), index=None, group=None)
        # The first row that is compared has them.
        for row in [row for row in rows if row["status"] not in UNENDED][:1]:
            row.update(sums)
        return rows

    def recorded(self) -> RecordedRun:
        """Return its results in the order of their creation; equal requests are a group."""
        results = []
        groups: dict[str, int] = {}
        for index, rollout in enumerate(reversed(self.rollouts)):
            row = _row(self.run, rollout)
            group = groups.setdefault(row["request_digest"], len(groups))
            row.update(index=index, group=group)
            results.append(RecordedResult(row, dict(rollout)))
        pools = {rollout.get("pool_id") for rollout in self.rollouts}
        return RecordedRun(results, len(results), pools.pop() if len(pools) == 1 else None)


def _row(run: Mapping[str, Any], rollout: Mapping[str, Any]) -> dict[str, Any]:
    # Imported here: it loads the HTTP library, which help does not need.
    from synth_pools import RolloutOutcome
    from synth_pools._client.fleet.outcomes import rollout_error

    request = rollout.get("request")
    if isinstance(request, dict):
        # As in a journal, which has no fields either that the run added to all requests.
        added = {"run": run.get("name"), "labels": run.get("labels")}.items()
        request = {name: value for name, value in request.items() if (name, value) not in added}
    times = [rollout.get(name) for name in ("started_at", "finished_at")]
    error = rollout_error(dict(rollout)) if times[1] else None
    row = result_row(RolloutOutcome(0, request, dict(rollout), error), rollout.get("pool_id"))
    if all(times):
        start, end = (datetime.fromisoformat(str(time)) for time in times)
        row["seconds"] = (end - start).total_seconds()
    return {**row, "status": row["status"] if times[1] else "running"}
