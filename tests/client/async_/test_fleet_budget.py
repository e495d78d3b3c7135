"""Usage of fleets, and their budgets: reached, raised, and resumed."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from synth_pools import (
    AsyncContainerPoolsClient,
    BudgetReachedError,
    JournalError,
    RequestValidationError,
    RolloutOutcome,
)
from synth_pools._client._async.fleet import cancellation
from synth_pools._client._async.fleet.fleet import AsyncFleet
from synth_pools.runs.recorded import read_run
from tests.client.async_.fleet_ends import comes_true, end_one_after_the_other, seeds
from tests.support.fault_server import FaultServer, Seen
from tests.support.faults import Fault, answer, when
from tests.support.pool_service import P, PoolService

pytestmark = pytest.mark.one_library

PRICES: dict[str, dict[str, float]] = {
    "small": {"input": 1, "cached": 0.1, "output": 10},
    "*": {"input": 100, "output": 100},
}
SYNC = {"id": "sync", "status": "completed"}


@pytest.fixture
def service(server: FaultServer) -> PoolService:
    """Rollouts that end one after the other, and cost a dollar and ten tokens each."""
    service = PoolService()
    end_one_after_the_other(service)
    usage = {"cost_usd": 1, "input_tokens": 8, "output_tokens": 2}
    service.told = lambda rollout_id: ended(service, rollout_id, usage)

    def choose(request: Seen) -> Fault:
        if request.path.endswith("/summary"):
            return answer(service.told(request.path.split("/")[-2])["summary"])
        return service(request)

    server.play(choose=choose)
    return service


def ended(service: PoolService, rollout_id: str, usage: Any) -> dict[str, Any]:
    is_cancelled = service.status[rollout_id] == "cancelled"
    summary = {"rollout_id": rollout_id, "reward": 1.0, "usage": None if is_cancelled else usage}
    return {"rollout": service.rollout(rollout_id), "summary": summary}


async def until_the_budget(fleet: AsyncFleet) -> list[RolloutOutcome]:
    outcomes: list[RolloutOutcome] = []
    with pytest.raises(BudgetReachedError, match="the budget max_"):
        async for outcome in fleet:
            outcomes += [outcome]
    return outcomes


async def test_the_attempts_of_a_request_are_summed(
    service: PoolService, fleet_client: AsyncContainerPoolsClient, tmp_path: Path
) -> None:
    usages = [
        {"cost_usd": 0.5, "input_tokens": 5, "turns": 3},
        {"cost_usd": 0.25, "output_tokens": 2.0, "turns": 4},
        {"cost_usd": float("nan"), "input_tokens": "7", "output_tokens": -1, "turns": True},
        {"cost_usd": 10**400, "input_tokens": 10**30, "output_tokens": True},
    ]
    service.told = lambda rollout_id: ended(service, rollout_id, usages[int(rollout_id[-1])])
    states = iter(("failed", "completed", "completed", "failed", "failed"))

    def finish_one() -> None:
        for rollout_id in service.running[:1]:
            service.finish(rollout_id, next(states))

    service.idle = finish_one
    options: dict[str, Any] = {"retries": 1, "max_in_flight": 1, "journal": tmp_path / "run"}
    fleet = fleet_client.rollouts.run_many(P, seeds(2), **options)
    outcomes = [outcome async for outcome in fleet]
    assert outcomes[0].usage == {
        "cost_usd": 0.75,
        "input_tokens": 5,
        "output_tokens": 2,
        "turns": 4,
    }
    assert (outcomes[1].ok, outcomes[1].usage) == (True, {})
    expected = {"cost_usd": 0.75, "input_tokens": 5, "output_tokens": 2}
    rates = {"cost_usd": 0.375, "tokens": 3.5}
    assert fleet.usage == {**expected, "per_completed": rates}
    first, second = fleet.to_dicts()
    assert first.items() > {**expected, "estimated_cost_usd": None}.items()
    assert second["cost_usd"] is None
    assert fleet.to_dicts(by="seed")[0].items() > expected.items()
    assert "7 tokens, $0.75" in fleet.table()
    again = fleet_client.rollouts.run_many(P, seeds(2), **options)
    assert [outcome.usage async for outcome in again] == [o.usage for o in outcomes]
    assert again.usage == fleet.usage


@pytest.mark.parametrize("in_order", [False, True])
async def test_a_fleet_goes_on_with_a_larger_budget(
    service: PoolService, fleet_client: AsyncContainerPoolsClient, tmp_path: Path, in_order: bool
) -> None:
    def fleet(**budget: Any) -> AsyncFleet:
        budget |= {"journal": tmp_path / "run", "max_in_flight": 2, "in_order": in_order}
        return fleet_client.rollouts.run_many(P, seeds(8), **budget)

    spent = fleet(max_cost_usd=3)
    outcomes = await until_the_budget(spent)
    assert all(outcome.ok for outcome in outcomes)
    created = len(service.status)
    # A rollout that was under way then has ended, too; no other was started.
    assert 3 <= len(outcomes) == created <= 4
    assert spent.usage["cost_usd"] == created
    budgets: list[dict[str, Any]] = [{"max_cost_usd": 3}, {"max_cost_usd": 0.5}, {"max_tokens": 30}]
    for budget in budgets:
        again = await until_the_budget(fleet(**budget))
        assert [outcome.replayed for outcome in again] == [True] * created
    assert len(service.status) == created
    with pytest.raises(JournalError, match="another run"):
        async with fleet(max_cost_usd=100) as first:
            await anext(aiter(first))
            await fleet(max_cost_usd=100).run()
    progress = await fleet(max_cost_usd=8).run()
    assert (progress.completed, progress.usage["cost_usd"]) == (8, 8)
    assert len(service.status) == 8


@pytest.mark.parametrize("budget", [{"max_cost_usd": 1}, {"max_seconds": 0.05}])
async def test_a_fleet_cancels_what_runs_and_starts_it_again(
    service: PoolService,
    fleet_client: AsyncContainerPoolsClient,
    tmp_path: Path,
    budget: dict[str, Any],
) -> None:
    finish_one = service.idle
    service.idle = lambda: finish_one() if len(service.status) == 4 and is_first() else None

    def is_first() -> bool:
        return "max_cost_usd" in budget and "completed" not in service.status.values()

    def fleet(**options: Any) -> AsyncFleet:
        options |= {"journal": tmp_path / "run", "max_in_flight": 4}
        return fleet_client.rollouts.run_many(P, seeds(8), **options)

    outcomes = await until_the_budget(fleet(**budget, on_budget="cancel"))
    states = Counter(outcome.status for outcome in outcomes)
    # A limit of time may be reached before the first rollout.
    assert "max_seconds" in budget or states == {"completed": 1, "cancelled": 3}
    assert states == Counter(service.status.values())
    service.idle = finish_one
    with pytest.raises(BudgetReachedError):
        await fleet(max_tokens=0).run()
    assert len(service.status) == len(outcomes)
    progress = await fleet(on_budget="cancel").run()
    assert (progress.completed, progress.replayed) == (8, states["completed"])
    assert len(service.status) == 8 + states["cancelled"]


async def test_a_rollout_with_mode_sync_is_finished(
    server: FaultServer, service: PoolService, fleet_client: AsyncContainerPoolsClient
) -> None:
    finish_one, states = service.idle, service.status
    service.idle = lambda: finish_one() if len(states) == 3 and is_first() else None

    def is_first() -> bool:
        return "completed" not in states.values()

    def choose(request: Seen) -> Fault:
        if request.path.endswith("/summary"):
            rollout_id = request.path.split("/")[-2]
            return answer({} if rollout_id == "sync" else service.told(rollout_id)["summary"])
        if not (request.path.endswith("/rollouts") and request.json.get("mode") == "sync"):
            return service(request)
        # Its id is the last that the fleet learns of it.
        return when(lambda: "cancelled" in states.values(), answer(SYNC))

    server.play(choose=choose)
    requests = [{"seed": 3, "mode": "sync"}, *seeds(3)]
    options: dict[str, Any] = {"max_cost_usd": 1, "on_budget": "cancel", "max_in_flight": 4}
    outcomes = await until_the_budget(fleet_client.rollouts.run_many(P, requests, **options))
    assert Counter(states.values()) == {"completed": 1, "cancelled": 2}
    assert [outcome.status for outcome in outcomes if outcome.index == 0] == ["completed"]


@pytest.mark.parametrize("tells", [True, False, None])
async def test_a_fleet_waits_for_the_usage_of_what_it_cancelled(
    service: PoolService,
    fleet_client: AsyncContainerPoolsClient,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    tells: bool | None,
) -> None:
    """Unless no rollout reports any (None)."""
    looks = Counter[str]()
    plain, finish_one = service.rollout, service.idle
    first: list[str] = []

    def rollout(rollout_id: str) -> dict[str, Any]:
        looks[rollout_id] += service.status[rollout_id] == "cancelled"
        has_told = rollout_id in first or (tells and looks[rollout_id] > 3)
        return {
            **plain(rollout_id),
            "started_at": "2026-01-01T00:00:00Z",
            "result": {"status": "cancelled"} if has_told else None,
        }

    def told(rollout_id: str) -> dict[str, Any]:
        end = rollout(rollout_id)
        usage = {"cost_usd": 1} if tells is not None and end["result"] else None
        return {"rollout": end, "summary": {"rollout_id": rollout_id, "usage": usage}}

    def finish_first() -> None:
        if len(service.status) == 4 and not first:
            first.extend(service.running[:1])
            finish_one()

    monkeypatch.setattr(service, "rollout", rollout)
    service.told, service.idle = told, finish_first
    if tells is False:
        monkeypatch.setattr(cancellation, "_LAST_ANSWER_SECONDS", 0.5)
    options: dict[str, Any] = {"max_cost_usd": 1, "on_budget": "cancel", "max_in_flight": 4}
    if tells is None:
        options["max_seconds"] = 2
    fleet = fleet_client.rollouts.run_many(P, seeds(8), journal=tmp_path / "run", **options)
    outcomes = await until_the_budget(fleet)
    if tells is None:
        # A busy machine may reach the limit of time before a rollout has told.
        has_told = any(outcome.status == "completed" for outcome in outcomes)
        assert not has_told or max(looks.values()) <= 3
        assert fleet.usage == {"per_completed": {}}
        return
    spent = 4 if tells else 1
    assert fleet.usage["cost_usd"] == sum(o.usage.get("cost_usd", 0) for o in outcomes) == spent
    if tells:
        assert all(outcome.rollout and outcome.rollout["result"] for outcome in outcomes[1:])
    # The journal knows it, too.
    again = fleet_client.rollouts.run_many(P, seeds(8), journal=tmp_path / "run", max_cost_usd=1)
    with pytest.raises(BudgetReachedError, match=f"{spent} were spent"):
        await again.run()
    assert len(service.status) == 4


@pytest.mark.parametrize("is_lazy", [False, True])
async def test_the_journal_tells_of_requests_that_were_never_started(
    service: PoolService, fleet_client: AsyncContainerPoolsClient, tmp_path: Path, is_lazy: bool
) -> None:
    def fleet(**budget: Any) -> AsyncFleet:
        requests = (request for request in seeds(8)) if is_lazy else seeds(8)
        options: dict[str, Any] = {"journal": tmp_path / "run", "max_in_flight": 2}
        return fleet_client.rollouts.run_many(P, requests, **options, **budget)

    def missing() -> int:
        run = read_run(tmp_path / "run")
        return run.requests - sum(result.has_ended for result in run.results)

    outcomes = await until_the_budget(fleet(max_cost_usd=3))
    unended = missing()
    # A lazy source is known as far as the request that the budget stopped.
    assert 1 <= unended <= 8 - len(outcomes)
    assert is_lazy or unended == 8 - len(outcomes)
    await fleet().run()
    assert missing() == 0


@pytest.mark.parametrize("limit", ["max_cost_usd", "max_tokens", "max_seconds"])
async def test_a_budget_of_nothing_starts_nothing(
    service: PoolService, fleet_client: AsyncContainerPoolsClient, limit: str
) -> None:
    budget: dict[str, Any] = {limit: 0}
    fleet = fleet_client.rollouts.run_many(P, seeds(3), **budget)
    assert await until_the_budget(fleet) == []
    assert service.status == {}


async def test_the_last_request_may_reach_the_budget(
    service: PoolService, fleet_client: AsyncContainerPoolsClient
) -> None:
    options: dict[str, Any] = {"max_cost_usd": 3, "max_tokens": 30, "max_in_flight": 1}
    progress = await fleet_client.rollouts.run_many(P, seeds(3), **options).run()
    assert progress.completed == 3


@pytest.mark.system
async def test_what_waits_for_a_full_pool_is_not_started(
    server: FaultServer, service: PoolService, fleet_client: AsyncContainerPoolsClient
) -> None:
    refused: list[str] = []
    finish_one = service.idle

    def refuse(pool_id: str) -> Any:
        if not service.status:
            return None
        refused.append(pool_id)
        error = {"code": "queue_full", "message": "full", "retryable": True, "retry_after_ms": 20}
        return answer({"error": error}, 429)

    service.refuse = refuse
    service.idle = lambda: finish_one() if refused else None
    fleet = fleet_client.rollouts.run_many(P, seeds(4), max_in_flight=4, max_cost_usd=1)
    assert [outcome.ok for outcome in await until_the_budget(fleet)] == [True]
    assert len(service.status) == 1
    assert await comes_true(lambda: not service.live)


async def test_costs_are_estimated_from_tokens(
    service: PoolService, fleet_client: AsyncContainerPoolsClient
) -> None:
    usage = {"input_tokens": 1_000_000, "cached_tokens": 500_000, "output_tokens": 100_000}
    service.told = lambda rollout_id: ended(service, rollout_id, usage)
    requests: list[dict[str, Any]] = [{"policy": {"model": "small"}}, {"seed": 2}]
    fleet = fleet_client.rollouts.run_many(P, requests, prices=PRICES, max_in_flight=1)
    outcomes = [outcome async for outcome in fleet]
    costs = [outcome.usage["cost_usd"] for outcome in outcomes]
    assert costs == pytest.approx([0.5 + 0.05 + 1, 110])
    assert [outcome.usage["estimated_cost_usd"] for outcome in outcomes] == costs
    assert "$111.5 estimated" in str(fleet.progress)
    estimated = fleet_client.rollouts.run_many(
        P, requests, prices=PRICES, max_cost_usd=1, max_in_flight=1
    )
    assert len(await until_the_budget(estimated)) == 1


TOKENS = {"input_tokens": 8, "output_tokens": 2}
COST = {"cost_usd": 0}
UNPRICED = "max_cost_usd leaves out rollouts that report tokens and no cost"


@pytest.mark.parametrize(
    ("usages", "options", "problems"),
    [
        ([TOKENS], {"max_cost_usd": 9}, [UNPRICED]),
        ([TOKENS], {"max_cost_usd": 9, "prices": {"small": PRICES["small"]}}, [UNPRICED]),
        ([COST, TOKENS], {"max_cost_usd": 9}, [UNPRICED]),
        ([None], {"max_cost_usd": 9}, ["max_cost_usd does not limit this run"]),
        ([COST], {"max_tokens": 99}, ["max_tokens does not limit this run"]),
        ([TOKENS], {"max_cost_usd": 9, "prices": PRICES}, []),
        ([TOKENS], {"max_tokens": 99, "max_seconds": 60}, []),
        ([COST, None], {"max_cost_usd": 9}, []),
        ([None], {}, []),
        # A rollout that failed need not report anything.
        ([], {"max_cost_usd": 9, "max_tokens": 99}, []),
    ],
)
async def test_a_budget_that_cannot_work_is_told_once(
    service: PoolService,
    fleet_client: AsyncContainerPoolsClient,
    caplog: pytest.LogCaptureFixture,
    usages: list[Any],
    options: dict[str, Any],
    problems: list[str],
) -> None:
    def fail_one() -> None:
        for rollout_id in service.running[:1]:
            service.finish(rollout_id, "failed")

    if not usages:
        service.idle = fail_one
    reported = usages or [None]
    service.told = lambda rollout_id: ended(service, rollout_id, reported[int(rollout_id[-1])])
    fleet = fleet_client.rollouts.run_many(P, seeds(len(reported)), max_in_flight=1, **options)
    await fleet.run()
    messages = [record.message for record in caplog.records if record.name == "synth_pools"]
    assert len(messages) == len(problems)
    assert all(problem in message for problem, message in zip(problems, messages, strict=True))


@pytest.mark.parametrize(
    "options",
    [
        {"max_cost_usd": -1},
        {"max_cost_usd": float("nan")},
        {"max_cost_usd": True},
        {"max_cost_usd": "20"},
        {"max_cost_usd": 10**400},
        {"max_tokens": 1.5},
        {"max_tokens": -1},
        {"max_seconds": float("inf")},
        {"on_budget": "stop"},
        {"prices": [1]},
        {"prices": {"m": {"input": 1}}},
        {"prices": {"m": {"input": 1, "output": "2"}}},
        {"prices": {"m": {"input": 1, "output": 2, "cache": 3}}},
        {"prices": {"m": 3}},
        {"prices": "prices.yaml"},
    ],
)
async def test_other_budgets_and_prices_are_refused(
    fleet_client: AsyncContainerPoolsClient, options: dict[str, Any]
) -> None:
    (name,) = options
    with pytest.raises(RequestValidationError, match=name):
        fleet_client.rollouts.run_many(P, seeds(1), **options)
