"""Runs: the sums of the rollouts of a name."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from synth_pools.backend.domain import json_text
from synth_pools.backend.storage.database import Executes, Row, Transaction
from synth_pools.backend.storage.rollouts import STATES
from synth_pools.backend.storage.statements import byte_length

# Fields of a request that are no part of the configuration of its run.
_OF_ONE_ROLLOUT = frozenset(
    {"instance_id", "labels", "mode", "priority", "run", "seed", "task_id", "trace_correlation_id"}
)
_INSERT = (
    "INSERT INTO runs (name, labels, configuration, configuration_digest, created_by, created_at)"
    " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO NOTHING"
)

_LAST = 2**63 - 1
_PORTION = 1000

_COUNTS = (f"COUNT(CASE WHEN status = '{state}' THEN 1 END) AS {state}" for state in STATES)
# Sums of the rollouts of a run. All of their columns are in the index of the runs.
SUMS = f"""{", ".join(_COUNTS)},
    COUNT(reward_value) AS rewards, AVG(reward_value) AS mean_reward,
    COALESCE(SUM(duration), 0.0) AS run_seconds, SUM(input_tokens) AS llm_input_tokens,
    SUM(output_tokens) AS llm_output_tokens, SUM(rollouts.cost_usd) AS cost_usd"""
_RUNS = f"""
SELECT runs.seq, name, runs.created_by, runs.created_at, runs.labels, configuration_digest,
    MAX(rollouts.seq) AS last_seq, {SUMS}
FROM runs JOIN rollouts ON rollouts.run = runs.name WHERE {{condition}}
GROUP BY runs.seq, name, runs.created_by, runs.created_at, runs.labels, configuration_digest
ORDER BY runs.seq DESC
"""  # noqa: S608 - of ours


def list_positions(db: Executes, before: int | None, limit: int, label: str | None) -> list[int]:
    """Return the positions of the next runs, the latest begun first, of a label if there is one."""
    sql = "SELECT seq, labels FROM runs WHERE seq < ? ORDER BY seq DESC LIMIT ?"
    if label is None:
        return [row["seq"] for row in db.execute(sql, (before or _LAST, limit))]
    name, _, value = label.partition("=")
    seqs: list[int] = []
    while len(seqs) < limit:
        rows = db.execute(sql, (before or _LAST, _PORTION)).fetchall()
        seqs += [row["seq"] for row in rows if json.loads(row["labels"]).get(name) == value]
        if len(rows) < _PORTION:
            break
        before = rows[-1]["seq"]
    return seqs[:limit]


def read_runs(db: Executes, seqs: Sequence[int]) -> list[str]:
    """Return the runs at these positions as JSON texts, the latest begun first."""
    condition = "runs.seq IN (SELECT value FROM json_each(?))"
    rows = db.execute(_RUNS.format(condition=condition), (json.dumps(seqs),))
    return [_document(row) for row in rows]


class RunSums(NamedTuple):
    """Run as JSON text, as in a list, and what the text does not say."""

    document: str
    unfinished_count: int
    # The position of its latest rollout.
    last_seq: int
    configuration_bytes: int


def find_run(db: Executes, name: str) -> RunSums | None:
    """Return a run; None for a name that no rollout has."""
    escaped = json_text.escaped(name)
    row = db.execute(_RUNS.format(condition="runs.name = ?"), (escaped,)).fetchone()
    if row is None:
        return None
    sql = f"SELECT {byte_length('configuration')} FROM runs WHERE name = ?"  # noqa: S608 - of ours
    [size] = db.execute(sql, (escaped,)).fetchone() or (0,)
    return RunSums(_document(row), row["queued"] + row["running"], row["last_seq"], size)


def with_configuration(db: Executes, name: str, document: str) -> str:
    """Add the configuration of a run to its JSON text."""
    sql = "SELECT configuration FROM runs WHERE name = ?"
    [configuration] = db.execute(sql, (json_text.escaped(name),)).fetchone() or ("null",)
    return f'{document[:-1]},"configuration":{configuration}}}'


def missing_runs(tx: Transaction, names: Sequence[str]) -> list[str]:
    """Return those of these stored names that no run has, in this order."""
    rows = tx.execute(
        "SELECT name FROM runs WHERE name IN (SELECT value FROM json_each(?))", (json.dumps(names),)
    )
    existing = {row["name"] for row in rows}
    return [name for name in names if name not in existing]


def insert_run(
    tx: Transaction, name: str, pool_id: str, request: Mapping[str, Any], first: Row, moment: str
) -> None:
    """Store a run by its first rollout."""
    common = {
        field: value
        for field, value in _without_name(request).items()
        if field not in _OF_ONE_ROLLOUT and value is not None
    }
    configuration = json_text.canonical({**common, "pool_id": pool_id})
    digest = hashlib.sha256(configuration.encode("ascii")).hexdigest()
    tx.execute(_INSERT, (name, first["labels"], configuration, digest, first["created_by"], moment))


def _without_name(request: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a request without the name of its run in its metadata, nor metadata of that alone."""
    metadata = request.get("metadata")
    if not isinstance(metadata, Mapping) or metadata.get("run") != request["run"]:
        return request
    rest = {field: value for field, value in metadata.items() if field != "run"}
    return {**request, "metadata": rest or None}


def _document(row: Row) -> str:
    sums = ("run_seconds", "llm_input_tokens", "llm_output_tokens", "cost_usd")
    return json_text.dumps(
        {
            "name": json.loads(f'"{row["name"]}"'),
            "created_by": row["created_by"],
            "created_at": row["created_at"],
            "labels": json.loads(row["labels"]),
            "configuration_digest": row["configuration_digest"],
            "rollouts": {state: row[state] for state in STATES},
            "rewards": row["rewards"],
            "mean_reward": row["mean_reward"],
            # PostgreSQL has decimals as sums of integers.
            **{name: _number(row[name], is_integer="tokens" in name) for name in sums},
        }
    )


def _number(value: float | None, *, is_integer: bool) -> float | None:
    if value is None:
        return None
    return int(value) if is_integer else value
