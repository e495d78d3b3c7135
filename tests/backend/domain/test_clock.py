"""The clock of the backend, which a test can put another in the place of."""

from __future__ import annotations

import ast
import random
from pathlib import Path

import pytest

import synth_pools.backend
from synth_pools.backend.domain import clock

NOON = 1_767_268_800_123_456_789


def test_all_that_tells_the_time_goes_by_one_source(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "time_ns", lambda: NOON)
    assert clock.now() == "2026-01-01T12:00:00.123456Z"
    assert clock.unix_time() == pytest.approx(NOON / 1e9)
    assert clock.timestamp(clock.unix_time() - 3600).startswith("2026-01-01T11:00:00.12345")
    assert clock.timestamp(-1e12) == "0001-01-01T00:00:00.000000Z"


def test_ids_name_their_kind_and_never_come_twice() -> None:
    ids = {clock.new_id("rollout") for _ in range(100)}
    assert len(ids) == 100
    assert all(
        rollout_id.startswith("rollout_") and len(rollout_id) == len("rollout_") + 32
        for rollout_id in ids
    )
    assert len({clock.token(16) for _ in range(100)}) == 100
    assert len(clock.token(16)) == 32


def test_jitter_stays_within_a_tenth() -> None:
    actual = [clock.jitter(10.0) for _ in range(1000)]
    assert all(9.0 <= seconds <= 11.0 for seconds in actual)
    assert len(set(actual)) > 900


def test_the_programs_own_random_numbers_are_left_alone() -> None:
    random.seed(7)
    clock.jitter(10.0)
    assert random.random() == random.Random(7).random()


def test_no_other_module_asks_for_the_time_or_for_chance() -> None:
    root = Path(synth_pools.backend.__file__).parent
    askers = {
        str(path.relative_to(root))
        for path in root.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module]
            if isinstance(node, ast.ImportFrom)
            else []
        )
        if name in ("random", "secrets", "time", "uuid")
    }
    assert askers == {"domain/clock.py"}


def test_sqlite_is_the_storages_own() -> None:
    root = Path(synth_pools.backend.__file__).parent
    naming = {
        path.relative_to(root).parts[0]
        for path in root.rglob("*.py")
        if "sqlite3" in path.read_text(encoding="utf-8")
    }
    assert naming == {"storage"}
