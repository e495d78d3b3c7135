"""Filters and orders of the lists of rollouts."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any
from urllib.parse import quote

import pytest

from synth_pools.backend.storage import rollout_lists
from tests.support.backend_server import Server
from tests.support.containers import Seen, http, odd_container

REWARDS = [None, 0, 0.25, 1, 1, -2.5]


def answer(request: Seen) -> bytes:
    body = json.loads(request.body)
    seed = int(body["seed"])
    reward = REWARDS[seed % len(REWARDS)]
    usage = {"cost_usd": seed % 4 / 8, "input_tokens": seed} if seed % 3 else {}
    failed = {"status": "failed", "message": "no"} if reward is None else {}
    return http(
        200, {"status": "completed", "summary": {"reward": reward}, "usage": usage, **failed}
    )


def names_of(pools: list[str]) -> list[str]:
    """The runs of these pools, of which no other test has rollouts."""
    return [f"{name} {pools[0]}" for name in ("monday", "tuesday", 'a "name"\0\\')]


@pytest.fixture
def pools(server: Server) -> Iterator[list[str]]:
    """Two pools with 40 rollouts of all kinds."""
    dice = random.Random(5)
    with odd_container(answer) as container:
        ids = [
            server.pool(container_url=container.url, tasks=[{"task_id": "a"}, {"task_id": "b"}])
            for _ in range(2)
        ]
        for seed in range(40):
            fields: dict[str, Any] = {
                "task_id": dice.choice(["a", "b", None]),
                "run": dice.choice([*names_of(ids), None]),
                "labels": dice.choice([{"model": "x"}, {"model": "ü\0", "n": "1"}, {}, None]),
                "mode": "sync",
            }
            # Integers may be written with a point.
            written = float(seed % 12) if seed % 5 == 0 else seed % 12
            server.rollout(ids[seed % 2], 200, seed=written, **fields)
        yield ids


def everything(server: Server, path: str, limit: int, **query: Any) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    page = server.get(path, params={**query, "limit": limit})
    items += page["items"]
    while page["next_cursor"] is not None:
        page = server.get(path, params={**query, "limit": limit, "cursor": page["next_cursor"]})
        items += page["items"]
    return items


def of_pools(rollouts: list[dict[str, Any]], pools: list[str]) -> list[dict[str, Any]]:
    return [rollout for rollout in rollouts if rollout["pool_id"] in pools]


def seconds(rollout: dict[str, Any]) -> float | None:
    started, finished = (rollout[name] for name in ("started_at", "finished_at"))
    if started is None or finished is None:
        return None
    return (datetime.fromisoformat(finished) - datetime.fromisoformat(started)).total_seconds()


def matches(rollout: dict[str, Any], query: dict[str, Any]) -> bool:
    score = rollout["score"]
    labels = [f"{name}={value}" for name, value in rollout["labels"].items()]
    checks: dict[str, Callable[[Any], bool]] = {
        "run": lambda value: rollout["run"] == value,
        "task_id": lambda value: rollout["task_id"] == value,
        "seed": lambda value: rollout["request"].get("seed") == value,
        "state": lambda value: rollout["status"] == value,
        "error_code": lambda value: (rollout["error"] or {}).get("code") == value,
        "label": lambda value: value in labels,
        "min_reward": lambda value: score is not None and score >= value,
        "max_reward": lambda value: score is not None and score <= value,
        "created_after": lambda value: rollout["created_at"] >= value,
        "created_before": lambda value: rollout["created_at"] < value,
    }
    return all(checks[name](value) for name, value in query.items())


@pytest.mark.parametrize("entry_count", [3, 3000])
def test_each_list_has_what_matches_in_its_order(
    server: Server, pools: list[str], monkeypatch: pytest.MonkeyPatch, entry_count: int
) -> None:
    monkeypatch.setattr(rollout_lists, "_FIRST_ENTRIES", entry_count)
    dice = random.Random(7)
    # Rollouts of other tests may end meanwhile.
    stored = of_pools(everything(server, "/v1/rollouts", 100), pools)
    costs = {
        item["id"]: server.get(f"/v1/rollouts/{item['id']}/usage")["cost_usd"] for item in stored
    }
    values: dict[str, Callable[[dict[str, Any]], Any]] = {
        "created": lambda item: item["created_at"],
        "reward": lambda item: item["score"],
        "duration": seconds,
        "cost": lambda item: costs[item["id"]],
    }
    choices: dict[str, list[Any]] = {
        "run": [*names_of(pools)[:2], "none", "\0"],
        "task_id": ["a", "b", "", "\0"],
        "seed": [1, 7, 99],
        "state": ["completed", "failed", "queued"],
        "error_code": ["container_failed", "none", "\0"],
        "label": ["model=x", "n=1", "model=z", "n=\0"],
        "min_reward": [0, 0.25, 1],
        "max_reward": [-2.5, 0.25, 1e300],
        "created_after": [stored[20]["created_at"]],
        "created_before": [stored[10]["created_at"]],
    }
    for round_ in range(60):
        names = dice.sample(sorted(choices), dice.choice([0, 1, 1, 2, 3]))
        query = {name: dice.choice(choices[name]) for name in names}
        sort, direction = dice.choice(sorted(values)), dice.choice(["desc", "asc"])
        pool_id = dice.choice([None, *pools])
        path = "/v1/rollouts" if pool_id is None else f"/v1/pools/{pool_id}/rollouts"
        expected = [
            item
            for item in stored
            if matches(item, query)
            and pool_id in (None, item["pool_id"])
            and values[sort](item) is not None
        ]
        # The stored ones are the newest first; the sort is stable.
        if direction == "asc":
            expected.reverse()
        if sort != "created":
            expected.sort(key=values[sort], reverse=direction == "desc")
        order = {"sort": sort, "direction": direction} if round_ % 2 or sort != "created" else {}
        if not order and direction == "asc":
            order = {"direction": "asc"}
        actual = everything(server, path, dice.choice([1, 3, 100]), **query, **order)
        ids = [item["id"] for item in of_pools(actual, pools)]
        assert ids == [item["id"] for item in expected], (path, query, sort, direction)


def test_a_sorted_list_has_each_item_once_whatever_is_added(
    server: Server, pools: list[str]
) -> None:
    path = f"/v1/pools/{pools[0]}/rollouts"
    before = [item["id"] for item in everything(server, path, 100, sort="reward")]
    listed: list[str] = []
    page = server.get(path, params={"sort": "reward", "limit": 2})
    while True:
        listed += [item["id"] for item in page["items"]]
        server.rollout(pools[0], 200, seed=len(listed), mode="sync")
        if page["next_cursor"] is None:
            break
        parameters = {"sort": "reward", "limit": 2, "cursor": page["next_cursor"]}
        page = server.get(path, params=parameters)
        if len(listed) == 6:
            # A cursor of another order or filter is none of this list.
            for change in ({"sort": "cost"}, {"direction": "asc"}, {"run": "monday"}):
                assert server.get(path, params=parameters | change)["items"] == []
    assert len(listed) == len(set(listed))
    assert [item for item in listed if item in before] == before


@pytest.mark.parametrize(
    ("query", "place"),
    [
        ({"sort": "score"}, "sort"),
        ({"direction": "down"}, "direction"),
        ({"label": "model"}, "label"),
        ({"min_reward": "much"}, "min_reward"),
        ({"created_after": "yesterday"}, "created_after"),
        ({"created_before": "2026-11-20"}, "created_before"),
        ({"created_before": "0001-01-01T00:00:00+23:00"}, "created_before"),
        ({"seed": "1.5"}, "seed"),
        ({"run": ""}, "run"),
    ],
)
def test_a_filter_that_is_none_is_refused(
    server: Server, query: dict[str, str], place: str
) -> None:
    refused = server.refused("GET", "/v1/rollouts", 422, "validation_failed", params=query)
    assert place in json.dumps(refused)


def test_runs_are_the_sums_of_their_rollouts(server: Server, pools: list[str]) -> None:
    rollouts = everything(server, "/v1/rollouts", 100)
    runs = everything(server, "/v1/runs", 1)
    names = [run["name"] for run in runs]
    # Rollouts of other tests may begin and end meanwhile.
    assert set(names) >= {item["run"] for item in rollouts} - {None}
    assert len(names) == len(set(names))
    assert set(names_of(pools)) <= set(names)
    for run in (run for run in runs if run["name"] in names_of(pools)):
        members = [item for item in rollouts if item["run"] == run["name"]]
        rewards = [item["score"] for item in members if item["score"] is not None]
        usages = [server.get(f"/v1/rollouts/{item['id']}/usage") for item in members]
        for state, number in run["rollouts"].items():
            assert number == sum(item["status"] == state for item in members)
        assert run["rewards"] == len(rewards)
        assert run["mean_reward"] == pytest.approx(sum(rewards) / len(rewards))
        assert run["created_at"] == min(item["created_at"] for item in members)
        for name in ("llm_input_tokens", "llm_output_tokens", "cost_usd"):
            values = [usage[name] for usage in usages if usage[name] is not None]
            assert run[name] == (pytest.approx(sum(values)) if values else None)
        assert run["run_seconds"] == pytest.approx(sum(seconds(item) or 0 for item in members))
        read = server.get(f"/v1/runs/{quote(run['name'], safe='')}")
        # A database may sum up fractions in another order.
        fractions = ("run_seconds", "mean_reward", "cost_usd")
        assert [read[name] for name in fractions] == pytest.approx(
            [run[name] for name in fractions]
        )
        assert read == run | {name: read[name] for name in ("configuration", *fractions)}
    server.refused("GET", "/v1/runs/none", 404, "not_found")
    assert server.get("/v1/runs", params={"cursor": "none"})["items"] == []


def test_a_run_may_have_any_name(server: Server) -> None:
    pool_id = server.pool()
    body = rb'{"run":"\ud800\u0000\n","labels":{"\ud800":"\u0000"},"mode":"sync"}'
    headers = {"content-type": "application/json"}
    path = f"/v1/pools/{pool_id}/rollouts"
    rollout = server.call("POST", path, content=body, headers=headers)
    assert (rollout["run"], rollout["labels"]) == ("\ud800\0\n", {"\ud800": "\0"})
    assert rollout["run"] in [run["name"] for run in server.get("/v1/runs")["items"]]


@pytest.mark.parametrize("name", [".", "..", " ", "\n", "\t.\u2028"])
def test_a_run_that_no_path_names_is_refused(server: Server, name: str) -> None:
    path = f"/v1/pools/{server.pool()}/rollouts"
    server.refused("POST", path, 422, "validation_failed", json={"run": name})


def test_times_of_filters_may_have_any_offset(server: Server) -> None:
    pool_id = server.pool()
    path, rollout = f"/v1/pools/{pool_id}/rollouts", server.run(pool_id)
    stamp = rollout["created_at"].replace("Z", "+00:00")
    for query in ({"created_after": stamp}, {"created_before": "9999-12-31t23:59:59z"}):
        assert len(server.get(path, params=query)["items"]) == 1
    assert server.get(path, params={"created_before": stamp})["items"] == []
