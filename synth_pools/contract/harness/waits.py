"""Waiting for pools and rollouts, within limits, and telling a slow backend from a wrong reader."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from synth_pools.contract.exceptions import InconclusiveError, StoppedError, StopScenarioError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Expectation
from synth_pools.contract.http.client import Response, at
from synth_pools.contract.results import Clause, Outcome

_T = TypeVar("_T")

FINAL = ("completed", "failed", "cancelled")
STARTED = ("running", *FINAL)
_ENDS = Clause("Rollouts: states", "a rollout is admitted, runs and ends")
# When other readers are asked as well: much later than any reader may lag behind.
_SECOND_OPINION = 5.0


@dataclass(frozen=True, slots=True)
class Rollout:
    pool_id: str
    id: str

    @property
    def ids(self) -> dict[str, str]:
        return {"pool_id": self.pool_id, "rollout_id": self.id}

    @property
    def global_ids(self) -> dict[str, str]:
        return {"rollout_id": self.id}

    def both(self, what: str) -> tuple[tuple[str, dict[str, str]], tuple[str, dict[str, str]]]:
        """The operation of either family, with its ids: what is "", "_usage" and so on."""
        return (f"get_rollout{what}", self.ids), (f"get_global_rollout{what}", self.global_ids)


def start(ctx: Context, pool_id: str, **request: Any) -> Rollout:
    """Admit a rollout to a pool."""
    response = ctx.require(
        (202, 200),
        "create_rollout",
        {"pool_id": pool_id},
        json=ctx.session.rollout_body(**request),
    )
    return Rollout(pool_id, rollout_id(response))


def rollout_id(response: Response) -> str:
    value = response.at("rollout_id")
    if not isinstance(value, str) or not value:
        # The schema's check has told about it.
        raise StopScenarioError
    return value


def finish(ctx: Context, pool_id: str, **request: Any) -> Rollout:
    rollout = start(ctx, pool_id, **request)
    wait(ctx, rollout, FINAL)
    return rollout


def wait(ctx: Context, rollout: Rollout, states: tuple[str, ...]) -> Response:
    """Wait until get_rollout shows one of the states.

    Where other readers show it and get_rollout does not, that is wrong. Where nobody does, the
    rollout hangs, if others have ended before; else nothing can be said.
    """
    opinion_at = time.monotonic() + _SECOND_OPINION
    response: Response | None = None
    for _ in ctx.session.pauses():
        response = ctx.require(200, "get_rollout", rollout.ids)
        if response.at("status") in states:
            return response
        if time.monotonic() < opinion_at:
            continue
        opinion_at = float("inf")
        second = ctx.call("get_global_rollout", rollout.global_ids)
        if second.at("status") in states:
            again = ctx.require(200, "get_rollout", rollout.ids)
            if again.at("status") in states:
                return again
            expected = f"status {second.at('status')}, as get_global_rollout says"
            ctx.expect.that(
                Expectation("get_rollout", expected, again), False, str(again.at("status"))
            )
            raise StopScenarioError
    came = response.at("status") if response else "nothing"
    wanted, waited = " or ".join(states), f"{ctx.session.patience:.0f} s"
    if ctx.session.proven:
        expected = f"a rollout that has a place becomes {wanted}"
        got = f"it was {came} after {waited}, and others ended long before"
        ctx.expect.that(Expectation("create_rollout", expected, response, clause=_ENDS), False, got)
        raise StopScenarioError
    raise InconclusiveError(
        Outcome.NOT_REACHED,
        "create_rollout",
        f"the rollout was {came} and not {wanted} after {waited}",
    )


def wait_until_resumed(ctx: Context, pool_id: str, wrote: Response) -> None:
    """The same after a resume, whose answer this is: a pool that stays paused is its departure."""
    came: object = "paused"
    for _ in ctx.session.pauses(_SECOND_OPINION):
        came = ctx.require(200, "get_pool", {"pool_id": pool_id}).at("status")
        if came != "paused":
            break
    if not ctx.expect.that(
        Expectation("resume_pool", "a pool that admits", wrote), came != "paused", str(came)
    ):
        raise StopScenarioError
    ctx.resources.wait_until_active(pool_id)


def eventually(ctx: Context, look: Callable[[], bool], limit: float | None = None) -> bool:
    """Whether something becomes true within the limit."""
    return any(look() for _ in ctx.session.pauses(limit))


def walk(
    ctx: Context,
    operation: str,
    ids: dict[str, str],
    query: dict[str, Any],
    *,
    enough: Callable[[list[Any]], bool] = lambda _: False,
    between: Callable[[int], None] = lambda _: None,
    most: int = 400,
) -> tuple[list[Any], Response, bool]:
    """Items page by page, the last answer, and whether the end was reached.

    Stops early where `enough` says so. `between` is called after each page with its number.
    """
    items: list[Any] = []
    cursor: str | None = None
    number = 0
    while True:
        number += 1
        page = dict(query) if cursor is None else {**query, "cursor": cursor}
        response = ctx.require(200, operation, ids, query=page)
        found = response.at("items")
        items += found if isinstance(found, list) else []
        following = response.at("next_cursor")
        if not isinstance(following, str):
            return items, response, True
        if following == cursor:
            ctx.expect.that(
                Expectation(operation, "a next_cursor that moves on", response),
                False,
                "the cursor that was sent",
            )
            return items, response, True
        if enough(items) or number >= most:
            return items, response, False
        between(number)
        cursor = following


def ids_of(items: list[Any], name: str = "id") -> list[Any]:
    return [at(item, name) for item in items]


def moment(value: Any) -> datetime | None:
    """A time stamp of an answer, None where it is none."""
    try:
        found = datetime.fromisoformat(value)
    except (TypeError, ValueError):
        return None
    return found if found.tzinfo else None


def together(ctx: Context, calls: Sequence[Callable[[], _T]], limit: float) -> list[_T]:
    """Make calls at the same time; their results in order.

    What a call raises is raised here; one that is not back within the limit cannot be judged.
    """
    results: dict[int, _T] = {}
    raised: list[Exception] = []
    start_line = threading.Barrier(len(calls))

    def work(number: int, call: Callable[[], _T]) -> None:
        try:
            # At the same moment, or as nearly as threads can.
            start_line.wait(10.0)
            results[number] = call()
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits
            raised.append(error)

    threads = [threading.Thread(target=work, args=pair, daemon=True) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    give_up = time.monotonic() + limit
    for thread in threads:
        while thread.is_alive() and time.monotonic() < give_up:
            thread.join(0.2)
            if ctx.session.http.stop.is_set():
                raise StoppedError
    if raised:
        raise raised[0]
    if len(results) < len(calls):
        operation = ctx.scenario.operations[0]
        raise InconclusiveError(
            Outcome.NOT_REACHED, operation, f"requests took more than {limit:.0f} s"
        )
    return [results[number] for number in range(len(calls))]
