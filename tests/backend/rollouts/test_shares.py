"""Turns of the shares of a pool: by run or by key, each in its order, weighted by priority."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pytest

from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.rollouts.admission.admissions import AdmissionRequest
from synth_pools.backend.rollouts.pool_queue import WaitingRollouts
from synth_pools.backend.storage.claims import cost_of, share_of
from synth_pools.backend.storage.database import Row, Transaction
from tests.support.backend_server import Server, serve
from tests.support.containers import Holding, holding_containers

POOL = "shared"
LIMIT = 60.0


def turns(waiting: WaitingRollouts, number: int | None = None) -> str:
    """Take rollouts; return the first letters of their ids, which name their shares."""
    count = len(waiting) if number is None else number
    return "".join(waiting.take()[0] for _ in range(count))


def test_a_share_that_begins_to_wait_takes_every_other_turn() -> None:
    waiting = WaitingRollouts()
    for number in range(80):
        waiting.add(f"a{number}", "a")
    started_ids = [waiting.take() for _ in range(20)]
    for number in range(3):
        waiting.add(f"b{number}", "b")
    started_ids += [waiting.take() for _ in range(6)]
    assert [rollout_id for rollout_id in started_ids[20:] if rollout_id[0] == "b"] == [
        "b0",
        "b1",
        "b2",
    ]
    started_ids += [waiting.take() for _ in range(len(waiting))]
    assert [name for name in started_ids if name[0] == "a"] == [
        f"a{number}" for number in range(80)
    ]


def test_a_share_that_was_away_has_no_claim_on_the_past() -> None:
    waiting = WaitingRollouts()
    for number in range(10):
        waiting.add(f"a{number}", "a")
        waiting.add(f"b{number}", "b")
    assert Counter(turns(waiting, 4)) == {"a": 2, "b": 2}
    for number in range(2, 10):
        waiting.discard(f"b{number}")
    for number in range(10, 20):
        waiting.add(f"a{number}", "a")
    assert turns(waiting, 10) == 10 * "a"
    for number in range(10):
        waiting.add(f"c{number}", "b")
    assert Counter(turns(waiting, 6)) == {"a": 3, "c": 3}


@pytest.mark.parametrize("priority", [0, -10])
def test_shares_that_are_always_new_hold_up_none(priority: int) -> None:
    waiting = WaitingRollouts()
    for number in range(5):
        waiting.add(f"a{number}", "a", priority)
    for number in range(3):
        waiting.add(f"b{number}", f"b{number}")
    ids = []
    for number in range(3, 1000):
        waiting.add(f"b{number}", f"b{number}")
        ids.append(waiting.take())
    assert [name for name in ids if name[0] == "a"] == [f"a{number}" for number in range(5)]


def test_a_priority_weighs_the_starts_of_a_share() -> None:
    waiting = WaitingRollouts()
    for number in range(1000):
        waiting.add(f"a{number}", "a")
        waiting.add(f"b{number}", "b", 5)
        waiting.add(f"c{number}", "c", -5)
    counts = Counter(turns(waiting, 500))
    assert counts["b"] / counts["a"] == pytest.approx(1.25**5, rel=0.05)
    assert counts["a"] / counts["c"] == pytest.approx(1.25**5, rel=0.05)


@pytest.mark.parametrize("seed", range(8))
def test_drawn_stories_lose_nothing_keep_the_order_and_are_fair(seed: int) -> None:
    drawn = random.Random(seed)
    waiting = WaitingRollouts()
    order: dict[str, list[str]] = {name: [] for name in "abcd"}
    for number in range(2000):
        name = drawn.choice("aaab" if number % 500 < 250 else "abcd")
        action = drawn.random()
        if action < 0.5:
            rollout_id = f"{name}{number}"
            waiting.add(rollout_id, name)
            waiting.add(rollout_id, name)
            order[name].append(rollout_id)
        elif action < 0.6 and order[name]:
            rollout_id = order[name].pop(drawn.randrange(len(order[name])))
            waiting.discard(rollout_id)
            waiting.discard(rollout_id)
            assert rollout_id not in waiting
        elif len(waiting):
            rollout_id = waiting.take()
            assert order[rollout_id[0]].pop(0) == rollout_id
        assert len(waiting) == sum(map(len, order.values()))
        assert sum(len(share.ids) for share in waiting._shares.values()) <= 2 * len(waiting) + 256
    # While all have something that waits, none is two turns ahead.
    counts: Counter[str] = Counter()
    while all(order.values()):
        rollout_id = waiting.take()
        assert order[rollout_id[0]].pop(0) == rollout_id
        counts[rollout_id[0]] += 1
        assert max(counts.values()) - min(counts[name] for name in order) <= 2
    assert sorted(waiting) == sorted(name for names in order.values() for name in names)


def test_shares_are_named_by_run_or_key() -> None:
    names = {share_of(None, None), share_of("x", None), share_of(None, "x"), share_of("", None)}
    assert len(names) == 4
    assert share_of("x", "ann") == share_of("x", "bob")
    assert cost_of(0) == 1
    assert cost_of(10) * cost_of(-10) == pytest.approx(1)


def admit(server: Server, number: int, run: str, priority: int = 0) -> list[str]:
    """Admit rollouts of a run in one transaction; return their ids."""
    services = server.services
    requests = [
        AdmissionRequest(POOL, {"run": run, "seed": seed, "priority": priority}, None)
        for seed in range(number)
    ]

    def work(tx: Transaction) -> Sequence[Row | ApiError]:
        return services.admission._admission(tx).admit_all([(tx, request) for request in requests])

    writing = services.database.write(work)
    rows = asyncio.run_coroutine_threadsafe(writing, services.database._loop).result(LIMIT)
    return [row["id"] for row in rows if not isinstance(row, ApiError)]


def started(holding: Holding, number: int) -> list[str]:
    """Let all that run end, one after the other, until a number of rollouts has started."""
    for count in range(1, number + 1):
        holding.wait_for(count)
        holding.release()
    return holding.ran[:number]


@pytest.mark.parametrize("is_restarted", [False, True])
def test_three_behind_eighty_wait_for_few_of_them(tmp_path: Path, is_restarted: bool) -> None:
    with holding_containers(1) as [holding]:
        with serve(tmp_path) as server:
            server.pool(pool_id=POOL, container_url=holding.url, concurrency=1)
            many = admit(server, 80, "many")
            holding.wait_for(1)
            few = admit(server, 3, "few")
            if not is_restarted:
                assert set(few) <= set(started(holding, 8))
        if is_restarted:
            with serve(tmp_path):
                # The first one is asked for again.
                assert set(few) <= set(started(holding, 10))
        ran = list(dict.fromkeys(holding.ran))
        assert [rollout_id for rollout_id in ran if rollout_id in few] == few
        assert [rollout_id for rollout_id in ran if rollout_id in many] == many[: len(ran) - 3]
