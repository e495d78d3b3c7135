"""Writes of many rollouts and their events in one statement.

A statement for one rollout becomes one for many: each of its parameters becomes a column of a table
with a row for each rollout.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

from synth_pools.backend.storage.transactions import RolloutWrite

# Each rollout looks through all events of the statement, which costs almost nothing up to this.
_MOST = 64

_INSERT = re.compile(r"(INSERT INTO rollouts \([^)]*\)) VALUES \((.*)\)")
_UPDATE = re.compile(r"(UPDATE rollouts SET .*?)( WHERE .*)")
_STATEMENT = """
WITH given AS (
    SELECT * FROM unnest({arrays}) WITH ORDINALITY AS listed ({columns}, number)
),
written AS ({write}),
told AS (
    INSERT INTO events (rollout_seq, sequence, type, timestamp, data, pool_seq, place)
    SELECT seq, sequence, type, moment, data, pool_seq, next_event_place() FROM (
        SELECT written.seq, written.last_sequence - event.later AS sequence, event.type,
            event.moment, event.data,
            (SELECT pools.seq FROM pools WHERE pools.id = written.pool_id) AS pool_seq
        FROM written JOIN unnest(CAST(? AS {key_type}[]), CAST(? AS BIGINT[]), CAST(? AS TEXT[]),
            CAST(? AS TEXT[]), CAST(? AS TEXT[])) WITH ORDINALITY
            AS event (key, later, type, moment, data, number) ON written.{key} = event.key
        ORDER BY event.number
    ) AS listed
)
SELECT {returned}, CAST(pg_current_xact_id() AS TEXT) AS transaction_number FROM written
"""


def portions(writes: Sequence[RolloutWrite]) -> Iterator[Sequence[RolloutWrite]]:
    """Yield writes that fit into one statement: not too many, and at most one of each rollout."""
    portion: dict[str | int, RolloutWrite] = {}
    for write in writes:
        if write.key in portion or len(portion) == _MOST:
            yield list(portion.values())
            portion = {}
        portion[write.key] = write
    if portion:
        yield list(portion.values())


def statement(writes: Sequence[RolloutWrite]) -> tuple[str, list[Any]]:
    """Return the statement of a portion, and its parameters."""
    first = writes[0]
    columns = [list(column) for column in zip(*(write.parameters for write in writes), strict=True)]
    types = tuple(map(_type_of, columns))
    text = _text(first.sql, types, first.key_column, _type_of([first.key]), first.columns)
    events = [
        (write.key, len(write.events) - place, kind, write.moment, data)
        for write in writes
        for place, (kind, data) in enumerate(write.events, 1)
    ]
    return text, [*columns, *(list(column) for column in zip(*events, strict=True))]


# Enough for all statements, since each always has parameters of the same types.
@lru_cache(maxsize=64)
def _text(sql: str, types: tuple[str, ...], key: str, key_type: str, returned: str) -> str:
    numbers = itertools.count(1)
    written = re.sub(r"\?", lambda _: f"given.p{next(numbers)}", sql)
    if (insert := _INSERT.fullmatch(written)) is not None:
        head, values = insert.groups()
        written = f"{head} SELECT {values} FROM given ORDER BY number RETURNING *"  # noqa: S608
    elif (update := _UPDATE.fullmatch(written)) is not None:
        written = f"{update[1]} FROM given{update[2]} RETURNING rollouts.*"
    else:
        raise ValueError(f"no statement that writes one rollout: {sql}")
    return _STATEMENT.format(
        arrays=", ".join(f"CAST(? AS {type_}[])" for type_ in types),
        columns=", ".join(f"p{number}" for number in range(1, len(types) + 1)),
        write=written,
        key=key,
        key_type=key_type,
        returned=returned,
    )


def _type_of(values: Sequence[Any]) -> str:
    return "BIGINT" if any(isinstance(value, int) for value in values) else "TEXT"
