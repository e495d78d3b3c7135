"""Read-only SQL of callers over documented views: what both databases have in common."""

from __future__ import annotations

import abc
import math
import re
from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

from synth_pools.backend.domain import json_text
from synth_pools.backend.storage.rollouts import STATES
from synth_pools.backend.storage.runs import SUMS

# No column of a view holds a secret. The name of a run is stored as JSON has it: {name} and {run}
# decode it. {figures} is a table of the members of a usage; {is_number} selects numbers.
_VIEWS = {
    "runs": """
        SELECT {name} AS name, runs.created_by, runs.created_at, {states}, rewards, mean_reward,
            run_seconds, llm_input_tokens, llm_output_tokens, summed.cost_usd,
            runs.labels, runs.configuration_digest
        FROM {schema}.runs JOIN (
            SELECT run AS run_name, {sums}
            FROM {schema}.rollouts WHERE run IS NOT NULL GROUP BY run
        ) AS summed ON summed.run_name = runs.name
    """,
    "rollouts": """
        SELECT id, pool_id, task_id, {run} AS run, status, seed, reward_value AS reward,
            error_code, input_tokens AS llm_input_tokens, output_tokens AS llm_output_tokens,
            cost_usd, duration AS run_seconds, priority, labels, replay_of, created_by,
            created_at, started_at, finished_at
        FROM {schema}.rollouts
    """,
    "usage": """
        SELECT rollouts.id AS rollout_id, rollouts.pool_id, rollouts.task_id, {run} AS run,
            figure.key AS name, figure.value AS value
        FROM {schema}.rollouts, {figures} WHERE {is_number}
    """,
    "events": """
        SELECT rollouts.id AS rollout_id, rollouts.pool_id, events.sequence, events.type,
            events.timestamp, events.data
        FROM {schema}.events JOIN {schema}.rollouts ON rollouts.seq = events.rollout_seq
    """,
}
# The answer may have six bytes for a byte of a text.
LARGEST_ROW = 2_000_000
# Possessive: a comment that was matched is not tried with a later end.
_READING = re.compile(
    r"(?:\s|--[^\n]*|/\*.*?\*/)*+(?:SELECT|WITH|VALUES)\b", re.IGNORECASE | re.DOTALL
)


class QueryRefusedError(Exception):
    """The database does not answer a query; the message says why."""


class QueryLimits(NamedTuple):
    """Limits of a query.

    Attributes:
        rows: Most rows of its answer.
        size: Bytes of the answer from which it ends early.
        seconds: Its longest time.
    """

    rows: int
    size: int
    seconds: float


class Queries(abc.ABC):
    """Source of answers to queries, open until it is closed."""

    @abc.abstractmethod
    async def answer(self, sql: str, limits: QueryLimits) -> str:
        """Answer one statement with columns and rows, as JSON text; a cancelled one is stopped.

        Raises:
            QueryRefusedError: It is no statement that the views answer, or takes too much.
            StorageError: The database cannot be read.
        """

    @abc.abstractmethod
    async def close(self) -> None:
        """Release what queries use."""


def views(schema: str, name: str, figures: str, is_number: str) -> dict[str, str]:
    """Return the SELECT statement of each view.

    Args:
        schema: The schema of the tables.
        name: Expression of a run's name, from `{}`, its form inside of JSON.
        figures: Table of the members of `usage`, as `figure (key, value)`.
        is_number: Condition of a member that is a number.
    """
    parts = {
        "schema": schema,
        "name": name.format("runs.name"),
        "run": name.format("rollouts.run"),
        "figures": figures,
        "is_number": is_number,
        "states": ", ".join(STATES),
        "sums": SUMS,
    }
    return {view: statement.format_map(parts) for view, statement in _VIEWS.items()}


def too_long(limits: QueryLimits) -> QueryRefusedError:
    """Make the error of a query that is not answered in time."""
    return QueryRefusedError(f"the query takes longer than {limits.seconds:g} seconds")


def require_reading(sql: str) -> None:
    """Raise `QueryRefusedError` unless a text begins as a query does.

    What it goes on to do is the concern of each database.
    """
    if not _READING.match(sql):
        raise QueryRefusedError("a query begins with SELECT, WITH or VALUES")


def document(columns: Sequence[str], rows: Iterable[Sequence[Any]], limits: QueryLimits) -> str:
    """Return the answer as JSON text, with as many rows as the limits allow."""
    texts: list[str] = []
    size, is_truncated = 0, False
    for row in rows:
        if len(texts) == limits.rows or size > limits.size:
            is_truncated = True
            break
        if sum(len(value) for value in row if isinstance(value, bytes | str)) > LARGEST_ROW:
            raise QueryRefusedError(f"a row has more than {LARGEST_ROW:d} bytes")
        texts.append(json_text.dumps([_value(value) for value in row]))
        size += len(texts[-1])
    head = json_text.dumps({"columns": list(columns), "truncated": is_truncated})
    return f'{head[:-1]},"rows":[{",".join(texts)}]}}'


def _value(value: Any) -> Any:
    """Return the JSON value of a cell: bytes in hexadecimal, null for what is no number."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Decimal):
        is_integer = value.is_finite() and value == value.to_integral_value()
        value = int(value) if is_integer and abs(value) < 2**63 else float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)
