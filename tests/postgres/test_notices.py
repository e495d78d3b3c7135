"""Texts of notices between backends, and rollouts written in one statement."""

from __future__ import annotations

import pytest

from synth_pools.backend.storage.postgres import notices as notices_module
from synth_pools.backend.storage.postgres.notices import literal, payloads, read_payload, telling
from synth_pools.backend.storage.postgres.rollout_writes import portions, statement
from synth_pools.backend.storage.transactions import Notice, RolloutWrite

SOME = [Notice("queued", "p"), Notice("ended", "p", "r"), Notice("backends")]


def write(key: str | int, sql: str = "UPDATE rollouts SET status = ? WHERE id = ?") -> RolloutWrite:
    return RolloutWrite(sql, ("x", key), key, "now", [("a", "{}"), ("b", "{}")])


def test_what_is_told_is_what_is_heard() -> None:
    [payload] = payloads(7, SOME)
    assert payload.splitlines() == ["7", "queued p ", "ended p r", "backends  "]
    assert read_payload(payload) == (7, SOME)
    assert telling(7, SOME) == f"NOTIFY synth_pools, '{payload}';"
    assert (list(payloads(7, [])), telling(7, [])) == ([], "")


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        ("", (0, [])),
        ("seven\nqueued p ", (0, [])),
        ("7", (7, [])),
        ("7\nlater p r\npool p \n", (7, [Notice("pool", "p")])),
        # A later version may add fields to a line.
        ("7\nended p r s", (7, [Notice("ended", "p", "r s")])),
    ],
)
def test_what_is_not_known_is_left_out(payload: str, expected: tuple[int, list[Notice]]) -> None:
    assert read_payload(payload) == expected


def test_many_notices_are_told_in_few_payloads() -> None:
    notices = [Notice("ended", "p" * 50, f"{number:050}") for number in range(1000)]
    texts = list(payloads(7, notices))
    # The server accepts less than that, and each payload is as full as possible.
    assert all(7_900 - 200 < len(text) < 8_000 for text in texts[:-1])
    assert [notice for payload in texts for notice in read_payload(payload)[1]] == notices
    # A notice that is too long by itself has its own payload.
    long = Notice("pool", "p" * notices_module._MOST_BYTES)
    assert [read_payload(text)[1] for text in payloads(7, [*SOME, long, *SOME])] == [
        SOME,
        [long],
        SOME,
    ]


def test_the_most_that_fits_into_a_payload(monkeypatch: pytest.MonkeyPatch) -> None:
    """A line of ten characters with its end."""
    monkeypatch.setattr(notices_module, "_MOST_BYTES", 21)
    lines = [Notice("pool", "abc", "d")] * 4
    assert list(payloads(7, lines)) == ["7\npool abc d\npool abc d"] * 2
    monkeypatch.setattr(notices_module, "_MOST_BYTES", 20)
    assert list(payloads(7, lines)) == ["7\npool abc d"] * 4


def test_a_quote_in_a_text_does_not_end_it() -> None:
    assert literal("it's ''") == "'it''s '''''"


def test_a_rollout_is_written_once_by_a_statement() -> None:
    assert list(portions([])) == []
    a, b = write("a"), write("b")
    assert list(portions([a, b, a, a, b])) == [[a, b], [a], [a, b]]
    many = [write(f"r{number}") for number in range(130)]
    assert list(portions(many)) == [many[:64], many[64:128], many[128:]]


def test_a_statement_of_two_rollouts() -> None:
    sql, parameters = statement([write("a"), write("b")])
    assert "unnest(CAST(? AS TEXT[]), CAST(? AS TEXT[])) WITH ORDINALITY" in sql
    update = "UPDATE rollouts SET status = given.p1 FROM given WHERE id = given.p2"
    assert f"written AS ({update} RETURNING rollouts.*)" in sql
    # The number of its last event is the rollout's number from then on.
    events = (["a", "a", "b", "b"], [1, 0, 1, 0], ["a", "b"] * 2, ["now"] * 4, ["{}"] * 4)
    assert parameters == [["x", "x"], ["a", "b"], *events]


def test_a_key_that_is_a_number() -> None:
    sql, parameters = statement([write(3, "UPDATE rollouts SET status = ? WHERE seq = ?")])
    assert "unnest(CAST(? AS TEXT[]), CAST(? AS BIGINT[])) WITH ORDINALITY" in sql
    assert "unnest(CAST(? AS BIGINT[]), CAST(? AS BIGINT[])" in sql
    assert "ON written.seq = event.key" in sql
    assert parameters[:2] == [["x"], [3]]


@pytest.mark.parametrize("sql", ["DELETE FROM rollouts WHERE id = ?", "UPDATE pools SET id = ?"])
def test_what_writes_no_single_rollout_is_refused(sql: str) -> None:
    with pytest.raises(ValueError, match=f"no statement that writes one rollout: {sql[:6]}"):
        statement([write("a", sql)])
