"""Runs: the sums of the rollouts of a name."""

from __future__ import annotations

import json
from collections.abc import Sequence

from synth_pools.backend.domain import json_text
from synth_pools.backend.storage.database import Executes, Row
from synth_pools.backend.storage.rollouts import STATES

# All columns of the sums are in the index of the runs.
_COUNTS = (f"SUM(CASE WHEN status = '{state}' THEN 1 ELSE 0 END) AS {state}" for state in STATES)
_RUNS = f"""
SELECT runs.seq, name, runs.created_by, runs.created_at, {", ".join(_COUNTS)},
    COUNT(reward_value) AS rewards, AVG(reward_value) AS mean_reward,
    COALESCE(SUM(duration), 0.0) AS run_seconds, SUM(input_tokens) AS llm_input_tokens,
    SUM(output_tokens) AS llm_output_tokens, SUM(rollouts.cost_usd) AS cost_usd
FROM runs JOIN rollouts ON rollouts.run = runs.name WHERE {{condition}}
GROUP BY runs.seq, name, runs.created_by, runs.created_at ORDER BY runs.seq DESC
"""  # noqa: S608 - of ours


def list_positions(db: Executes, before: int | None, limit: int) -> list[int]:
    """Return the positions of the next runs, the latest begun first."""
    condition, values = ("", ()) if before is None else (" WHERE seq < ?", (before,))
    sql = f"SELECT seq FROM runs{condition} ORDER BY seq DESC LIMIT ?"  # noqa: S608 - of ours
    return [row[0] for row in db.execute(sql, (*values, limit))]


def read_runs(db: Executes, seqs: Sequence[int]) -> list[str]:
    """Return the runs at these positions as JSON texts, the latest begun first."""
    condition = "runs.seq IN (SELECT value FROM json_each(?))"
    rows = db.execute(_RUNS.format(condition=condition), (json.dumps(seqs),))
    return [_document(row) for row in rows]


def find_run(db: Executes, name: str) -> str | None:
    """Return a run as JSON text; None for a name that no rollout has."""
    condition = "runs.name = ?"
    row = db.execute(_RUNS.format(condition=condition), (json_text.escaped(name),)).fetchone()
    return None if row is None else _document(row)


def _document(row: Row) -> str:
    sums = ("run_seconds", "llm_input_tokens", "llm_output_tokens", "cost_usd")
    return json_text.dumps(
        {
            "name": json.loads(f'"{row["name"]}"'),
            "created_by": row["created_by"],
            "created_at": row["created_at"],
            "rollouts": {state: int(row[state]) for state in STATES},
            "rewards": int(row["rewards"]),
            "mean_reward": row["mean_reward"],
            # PostgreSQL has decimals as sums of integers.
            **{name: _number(row[name], is_integer="tokens" in name) for name in sums},
        }
    )


def _number(value: float | None, *, is_integer: bool) -> float | None:
    if value is None:
        return None
    return int(value) if is_integer else value
