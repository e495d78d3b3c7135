"""Queries: what the views have, and that nothing else is read, changed or used up."""

from __future__ import annotations

import contextlib
import json
import re
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import psutil
import pytest

from synth_pools.spec import load_spec
from tests.support.backend_server import KEY, Server, eventually
from tests.support.process_pools import gone
from tests.system.crash.processes import KEY as KEY_OF_ANOTHER
from tests.system.crash.processes import Serve

# The queries of a PostgreSQL database have tests of their own.
pytestmark = pytest.mark.sqlite

VIEWS = {
    view: re.findall(r"`(\w+)`", columns)
    for view, columns in re.findall(
        r"^\| `(\w+)` \| [^|]+ \| (`.+`) \|$",
        next(tag for tag in load_spec()["tags"] if tag["name"] == "service")["description"],
        re.MULTILINE,
    )
}
ENDLESS = "WITH RECURSIVE r (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM r) "
# A single instruction, which nothing but the end of its process stops.
LONG = "SELECT replace(printf('%.*c', 1999999, 'x'), printf('%.*c', 1000000, 'x') || 'y', '')"


def query(server: Server, sql: str, **fields: Any) -> Any:
    return server.post("/v1/query", {"sql": sql, **fields})


def rows(server: Server, sql: str, **fields: Any) -> list[list[Any]]:
    answered: list[list[Any]] = query(server, sql, **fields)["rows"]
    return answered


def refusal(server: Server, sql: str) -> str:
    body = server.refused("POST", "/v1/query", 409, "query_refused", json={"sql": sql})
    return str(body["error"]["message"])


def test_the_views_are_those_of_the_document(server: Server) -> None:
    assert list(VIEWS) == ["runs", "rollouts", "usage", "events"]
    for view, columns in VIEWS.items():
        assert query(server, f"SELECT * FROM {view} LIMIT 0") == {
            "columns": columns,
            "rows": [],
            "truncated": False,
        }
    assert server.get("/v1/capabilities")["features"]["query"] is True


def test_the_views_have_what_the_operations_answer(server: Server) -> None:
    name = 'rün "\0\\ 😀'
    pool_id = server.pool()
    for seed in range(2):
        server.rollout(pool_id, 200, seed=seed, run=name, labels={"é": "x"}, mode="sync")
    (first, second) = server.get(f"/v1/pools/{pool_id}/rollouts")["items"][::-1]
    columns = "id, run, status, seed, reward, created_at, started_at, finished_at"
    where = f"WHERE pool_id = '{pool_id}'"
    assert rows(server, f"SELECT {columns} FROM rollouts {where} ORDER BY seed") == [
        [
            *(item["id"], name, "completed", seed, item["score"]),
            *(item["created_at"], item["started_at"], item["finished_at"]),
        ]
        for seed, item in enumerate((first, second))
    ]
    labels = f"SELECT DISTINCT json_extract(labels, '$.\"é\"') FROM rollouts {where}"
    assert rows(server, labels) == [["x"]]
    summed = {run["name"]: run for run in server.get("/v1/runs")["items"]}[name]
    fields = [column for column in VIEWS["runs"] if column in summed]
    actual = [
        dict(zip(VIEWS["runs"], row, strict=True)) for row in rows(server, "SELECT * FROM runs")
    ]
    expected = {**{field: summed[field] for field in fields}, **summed["rollouts"]}
    expected["labels"] = '{"\\u00e9":"x"}'
    assert expected == next(run for run in actual if run["name"] == name)
    usage = server.get(f"/v1/rollouts/{first['id']}/usage")
    where = f"WHERE rollout_id = '{first['id']}'"
    figures = dict(rows(server, f"SELECT name, value FROM usage {where}"))
    assert figures == {key: usage[key] for key in ("bytes_uploaded", "bytes_downloaded")}
    events = rows(server, f"SELECT sequence, type FROM events {where} ORDER BY sequence")
    assert events == [[event["sequence"], event["event"]] for event in server.events(first["id"])]


def test_an_answer_ends_at_its_limit(server: Server) -> None:
    endless = f"{ENDLESS} SELECT x FROM r"
    assert query(server, endless, limit=2) == {
        "columns": ["x"],
        "rows": [[1], [2]],
        "truncated": True,
    }
    assert query(server, "VALUES (1), (2)", limit=2)["truncated"] is False
    large = query(server, f"{ENDLESS} SELECT printf('%.*c', 1000000, 'x') FROM r")
    assert large["truncated"] is True
    assert len(large["rows"]) == 5
    # A character has up to six bytes in JSON.
    wide = ", ".join(["printf('%.*c', 1000000, char(1))"] * 3)
    assert "a row has more than 2000000 bytes" in refusal(server, f"SELECT {wide}")


def test_values_are_those_of_json(server: Server) -> None:
    sql = "SELECT 9e999, x'00ff', CAST(x'ff' AS TEXT), 9223372036854775807, 'a' || char(0), NULL"
    assert rows(server, f"/* a */ -- b\n {sql};") == [
        [None, "00ff", "\N{REPLACEMENT CHARACTER}", 2**63 - 1, "a\0", None]
    ]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT value FROM meta",
        "SELECT 1 WHERE 'x' IN meta",
        "SELECT (SELECT value FROM main.meta)",
        "SELECT 1 ORDER BY (SELECT value FROM main.meta)",
        "SELECT 1 UNION SELECT value FROM main.meta",
        "SELECT COUNT(*) FROM main.Meta",
        "SELECT COUNT(*) FILTER (WHERE value LIKE 'a%') FROM main.meta",
        "SELECT * FROM main.rollouts NATURAL JOIN main.meta",
        # An authorizer is told that a view with this name reads it.
        "WITH rollouts AS (SELECT value FROM main.meta) SELECT * FROM rollouts",
        "SELECT * FROM (SELECT value FROM main.meta) AS rollouts",
        "SELECT definition FROM main.pools",
        "SELECT key FROM idempotency",
        "SELECT request FROM main.rollouts",
        "SELECT configuration FROM main.runs",
        "SELECT sql FROM sqlite_schema",
        "SELECT sql FROM temp.sqlite_temp_master",
        "SELECT * FROM pragma_table_info('meta')",
        "SELECT COUNT(*) FROM pragma_integrity_check",
        "SELECT * FROM dbstat",
    ],
)
def test_nothing_but_the_views_is_read(server: Server, sql: str) -> None:
    message = refusal(server, sql)
    assert "prohibited" in message or "not authorized" in message


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM main.rollouts",
        "WITH x AS (SELECT 1) DELETE FROM main.rollouts",
        "WITH x AS (SELECT 1) INSERT INTO main.meta SELECT 1, 2",
        "WITH x AS (SELECT 1) UPDATE main.rollouts SET id = 1",
        "SELECT 1; DELETE FROM main.rollouts",
        "ATTACH '/tmp/none' AS x",
        "VACUUM INTO '/tmp/none'",
        "PRAGMA query_only = OFF",
        "EXPLAIN SELECT * FROM rollouts",
        "BEGIN",
        "SELECT load_extension('none')",
        "SELECT fts3_tokenizer('simple')",
        "SELECT randomblob(1000000000)",
        "SELECT ?",
        "SELECT \ud800",
        "nonsense",
        # Its beginning is found once, not in each of its divisions into comments.
        "/**/" * 10_000 + "x",
        "SELECT 1 AS " + ", 1 AS ".join(f"c{number}" for number in range(101)),
    ],
)
def test_nothing_is_changed_and_nothing_loaded(server: Server, sql: str) -> None:
    refusal(server, sql)


@pytest.mark.system
def test_the_memory_of_a_statement_has_a_limit(start: Callable[..., Server]) -> None:
    server = start(max_query_seconds=240)
    hungry = f"{ENDLESS} SELECT x, printf('%.*c', 1000000, 'x') || x FROM r ORDER BY 2 DESC"
    assert "bytes" in refusal(server, hungry)


def children() -> set[psutil.Process]:
    return set(psutil.Process().children())


def sent(server: Server, sql: str, key: str = KEY) -> socket.socket:
    """Send a query, and return the connection."""
    body = json.dumps({"sql": sql})
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.sendall(
        f"POST /v1/query HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}".encode()
    )
    return connection


@pytest.mark.parametrize(
    "sql", [f"{ENDLESS} SELECT MAX(x) FROM r", pytest.param(LONG, marks=pytest.mark.system)]
)
def test_a_statement_ends_with_its_time(start: Callable[..., Server], sql: str) -> None:
    server = start(max_query_seconds=0.05)
    before = children()
    assert "longer than 0.05 seconds" in refusal(server, sql)
    if sql == LONG:
        eventually(lambda: children() <= before)


def test_a_statement_ends_when_its_client_leaves(start: Callable[..., Server]) -> None:
    server = start(max_query_seconds=240, room_wait_seconds=600)
    before = children()
    with sent(server, LONG):
        while not server.services.query_turns._place.locked():
            time.sleep(0.01)
    # Its turn is over, or this one never comes.
    assert rows(server, "VALUES (1)") == [[1]]
    eventually(lambda: len(children() - before) <= 1)


@pytest.mark.system
@pytest.mark.parametrize("end", ["stop", "kill"])
def test_a_statement_ends_with_the_backend(tmp_path: Path, end: Literal["stop", "kill"]) -> None:
    backend = Serve(tmp_path / "data", tmp_path / "log", "--max-query", "240")

    def busy_worker() -> psutil.Process | None:
        # A child may have ended since it was listed.
        for child in psutil.Process(backend.pid).children():
            with contextlib.suppress(psutil.NoSuchProcess):
                if child.cpu_times().user > 1:
                    return child
        return None

    backend.start()
    try:
        with sent(Server(backend.url, None), LONG, KEY_OF_ANOTHER):
            worker = eventually(busy_worker)
            getattr(backend, end)()
            assert gone([worker])
    finally:
        backend.end()
