"""Pages of filtered rollouts read few entries of indexes, wherever the matching ones are."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from synth_pools.backend.storage.cursors import ListPosition
from synth_pools.backend.storage.list_indexes import BLOCK_BITS
from synth_pools.backend.storage.rollout_lists import find, find_briefly
from synth_pools.backend.storage.rollout_queries import RolloutQuery
from synth_pools.backend.storage.sqlite import schema

pytestmark = pytest.mark.sqlite

STORED = 20_000
PAGE = 100
# Rollout n has figures that look drawn, and one in twenty of each kind.
FILL = f"""
INSERT INTO rollouts (id, pool_id, task_id, status, mode, request, created_at, updated_at,
    last_sequence, seed, run, error_code, reward_value, duration, cost_usd)
WITH RECURSIVE numbers (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {STORED}),
drawn AS (SELECT n, n * 2654435761 % 4294967296 / 65536 AS a,
    n * 2246822519 % 4294967296 / 65536 AS b FROM numbers)
SELECT n, CASE WHEN b % 2 THEN 'half' ELSE 'rest' END, 'task-' || (a % 20),
    CASE WHEN a % 20 THEN 'completed' ELSE 'failed' END, 'async', '{{}}',
    '2026-11-20T09:30:' || substr(100000 + n, 2, 2) || '.' || substr(100000 + n, 4) || '000Z', '',
    1, a % 20, 'run-' || (a % 20), CASE WHEN a % 20 = 0 THEN 'timeout' END, a % 1000 / 1000.0,
    1.0, CASE WHEN n < 5000 THEN a END
FROM drawn
"""
LABELS = "INSERT INTO rollout_labels SELECT 'model=' || seed, seq FROM rollouts"


class Steps:
    """Connection to a database that counts the steps of statements, and the most for a page."""

    def __init__(self, database: sqlite3.Connection, most: int) -> None:
        self._database, self.most = database, most
        database.row_factory = sqlite3.Row
        self._numbers = itertools.count()
        database.set_progress_handler(lambda: next(self._numbers) < 0, 1)

    def of_page(
        self, query: RolloutQuery, after: ListPosition | None = None
    ) -> tuple[int, list[ListPosition]]:
        before = next(self._numbers)
        rows = find_briefly(self._database, query, after, PAGE)
        assert rows is not None
        return next(self._numbers) - before, [row.position for row in rows]

    def numbers(self, query: RolloutQuery) -> list[int]:
        """Return the numbers of all rollouts that match, from a scan of the table."""
        signs = {"min_reward": ("reward_value", ">="), "max_reward": ("reward_value", "<=")}
        tests = ("{} {} ?".format(*signs.get(name, (name, "="))) for name in query.filters)
        rows = self._database.execute(
            f"SELECT seq FROM rollouts NOT INDEXED WHERE {' AND '.join(tests) or 1}"
            f" ORDER BY seq {query.order}",
            list(query.filters.values()),
        )
        return [seq for (seq,) in rows]


@pytest.fixture(scope="module", params=["dense", "sparse"])
def steps(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Iterator[Steps]:
    path: Path = tmp_path_factory.mktemp("lists") / "file"
    with closing(sqlite3.connect(path, isolation_level=None)) as database:
        schema.prepare(database)
        database.execute(FILL)
        # Retention has deleted whole blocks, and single rollouts.
        database.execute(
            "DELETE FROM rollouts WHERE seq BETWEEN 12000 AND 15000 OR seq > 2000 AND seq % 89 = 5"
        )
        most = 60_000
        if request.param == "sparse":
            # As if all between had been deleted: each block has few, so more of them are searched.
            most = 120_000
            database.execute("UPDATE rollouts SET seq = -100 * seq")
            database.execute("UPDATE rollouts SET seq = -seq")
        database.execute(LABELS)
        yield Steps(database, most)


@pytest.mark.parametrize("pool", [None, "half"])
@pytest.mark.parametrize(
    ("filters", "sort"),
    [
        ({}, "created"),
        ({"run": "run-7"}, "created"),
        ({"label": "model=7"}, "created"),
        ({"task_id": "task-7"}, "created"),
        ({"seed": 7}, "created"),
        ({"state": "failed"}, "created"),
        ({"error_code": "timeout"}, "created"),
        ({"min_reward": 0.95}, "created"),
        ({"min_reward": 0.996}, "created"),
        ({"min_reward": 0.01}, "created"),
        ({"max_reward": 0.05}, "created"),
        ({"created_before": "2026-11-20T09:30:10.000000Z"}, "created"),
        ({}, "reward"),
        # All have the same one: a later page begins among equal ones.
        ({}, "duration"),
        ({}, "cost"),
        ({"run": "run-7"}, "reward"),
        ({"run": "run-7", "min_reward": 0.5}, "created"),
    ],
)
def test_a_page_reads_few_entries(
    steps: Steps, pool: str | None, filters: dict[str, Any], sort: str
) -> None:
    query = RolloutQuery({**filters, **({} if pool is None else {"pool_id": pool})}, sort)
    after: ListPosition | None = None
    for _ in range(3):
        count, rows = steps.of_page(query, after)
        # An entry takes some ten steps, and all of them 200,000.
        assert count < steps.most, (filters, sort, after)
        if not rows:
            break
        after = rows[-1]


@pytest.mark.parametrize("is_ascending", [False, True])
@pytest.mark.parametrize(
    "filters",
    [
        {"min_reward": 0.01},
        {"min_reward": 0.95},
        {"min_reward": 0.99, "pool_id": "half"},
        {"min_reward": 0.996, "max_reward": 0.998},
        {"min_reward": 0.5, "seed": 7, "pool_id": "half"},
        {"max_reward": 0.001},
        {"min_reward": 2},
    ],
)
def test_rewards_are_listed_in_the_order_of_creation(
    steps: Steps, filters: dict[str, Any], is_ascending: bool
) -> None:
    query = RolloutQuery(filters, is_ascending=is_ascending)
    expected, after = steps.numbers(query), None
    for _ in range(4):
        count, rows = steps.of_page(query, after)
        assert count < steps.most, (filters, after)
        assert [row.seq for row in rows] == expected[:PAGE]
        expected = expected[PAGE:]
        if not expected:
            break
        after = rows[-1]


# One block in seven has many rewards in the range, two have some, the others few: a page ends amid
# any of them.
UNEVEN = f"""
UPDATE rollouts SET reward_value = CASE
    WHEN (seq * 7919 % 1000) < CASE (seq >> {BLOCK_BITS:d}) % 7 WHEN 3 THEN 200 WHEN 5 THEN 60
        WHEN 6 THEN 10 ELSE 3 END THEN 1.0
    ELSE 0.0
END
"""


@pytest.mark.parametrize("is_ascending", [False, True])
@pytest.mark.parametrize("limit", [1, 30, 101, 400])
def test_rewards_are_listed_wherever_they_are_frequent(
    tmp_path: Path, limit: int, is_ascending: bool
) -> None:
    with closing(sqlite3.connect(tmp_path / "file", isolation_level=None)) as database:
        schema.prepare(database)
        database.execute(FILL)
        database.execute(UNEVEN)
        query = RolloutQuery({"min_reward": 0.5}, is_ascending=is_ascending)
        numbers = Steps(database, 0).numbers(query)
        for skipped in range(0, len(numbers), 13):
            after = ListPosition(numbers[skipped - 1], None) if skipped else None
            rows = find_briefly(database, query, after, limit)
            rows = find(database, query, after, limit) if rows is None else rows
            assert [row.position.seq for row in rows] == numbers[skipped : skipped + limit]


def test_a_page_far_into_equal_values_reads_few_entries(steps: Steps) -> None:
    seqs = steps.numbers(RolloutQuery({}))[-1_000:]
    count, rows = steps.of_page(RolloutQuery({}, "duration"), ListPosition(seqs[0], 1.0))
    assert [row.seq for row in rows] == seqs[1 : 1 + PAGE]
    assert count < 20_000


def test_the_other_way_is_taken_where_all_that_match_are_old(steps: Steps) -> None:
    query = RolloutQuery({"created_before": "2026-11-20T09:30:00.050000Z", "seed": 7})
    assert steps.of_page(query)[0] < 20_000


def test_rollouts_of_a_usual_page_are_read_with_it_up_to_a_limit(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "file", isolation_level=None)) as database:
        schema.prepare(database)
        database.row_factory = sqlite3.Row
        database.execute(FILL)
        database.execute("UPDATE rollouts SET result = printf('%d', seq) WHERE seq % 2")
        database.execute("UPDATE rollouts SET result = printf('%.4000d', seq) WHERE seq % 2 = 0")
        rows = find_briefly(database, RolloutQuery({}), None, PAGE)
        many = find_briefly(database, RolloutQuery({}), None, 2 * PAGE)
    assert rows is not None
    assert many is not None
    assert [row.document is not None for row in rows] == [row.position.seq % 2 == 1 for row in rows]
    assert all(f'"result":{row.position.seq},' in (row.document or "") for row in rows[1::2])
    assert not any(row.document for row in many)
