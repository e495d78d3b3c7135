"""Waiting for pools and rollouts, within limits, and telling a slow backend from a wrong reader."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from synth_pools.contract.exceptions import EndScenario, LackError, StoppedError
from synth_pools.contract.http.client import Answer, at
from synth_pools.contract.results import Clause, Outcome

if TYPE_CHECKING:
    from synth_pools.contract.harness.context import Context

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
    answer = ctx.want(
        (202, 200),
        "create_rollout",
        {"pool_id": pool_id},
        json=ctx.world.rollout_body(**request),
    )
    return Rollout(pool_id, rollout_id(answer))


def rollout_id(answer: Answer) -> str:
    value = answer.at("rollout_id")
    if not isinstance(value, str) or not value:
        # The schema's check has told about it.
        raise EndScenario
    return value


def finish(ctx: Context, pool_id: str, **request: Any) -> Rollout:
    rollout = start(ctx, pool_id, **request)
    wait(ctx, rollout, FINAL)
    return rollout


def wait(ctx: Context, rollout: Rollout, states: tuple[str, ...]) -> Answer:
    """Wait until get_rollout shows one of the states.

    Where other readers show it and get_rollout does not, that is wrong. Where nobody does, the
    rollout hangs, if others have ended before; else nothing can be said.
    """
    opinion_at = time.monotonic() + _SECOND_OPINION
    answer: Answer | None = None
    for _ in pauses(ctx):
        answer = ctx.want(200, "get_rollout", rollout.ids)
        if answer.at("status") in states:
            return answer
        if time.monotonic() < opinion_at:
            continue
        opinion_at = float("inf")
        second = ctx.call("get_global_rollout", rollout.global_ids)
        if second.at("status") in states:
            again = ctx.want(200, "get_rollout", rollout.ids)
            if again.at("status") in states:
                return again
            expected = f"status {second.at('status')}, as get_global_rollout says"
            ctx.judge("get_rollout", False, expected, str(again.at("status")), again)
            raise EndScenario
    came = answer.at("status") if answer else "nothing"
    wanted, waited = " or ".join(states), f"{ctx.world.patience:.0f} s"
    if ctx.world.proven:
        expected = f"a rollout that has a place becomes {wanted}"
        got = f"it was {came} after {waited}, and others ended long before"
        ctx.judge("create_rollout", False, expected, got, answer, clause=_ENDS)
        raise EndScenario
    raise LackError(
        Outcome.NOT_REACHED,
        "create_rollout",
        f"the rollout was {came} and not {wanted} after {waited}",
    )


def wait_until_active(ctx: Context, pool_id: str) -> None:
    came: object = "nothing"
    for _ in pauses(ctx):
        came = ctx.want(200, "get_pool", {"pool_id": pool_id}).at("status")
        if came == "active":
            return
        if came in ("failed", "archived"):
            break
    note = f"the pool was {came} and not active after {ctx.world.patience:.0f} s"
    raise LackError(Outcome.NOT_REACHED, "create_pool", note)


def wait_until_resumed(ctx: Context, pool_id: str, wrote: Answer) -> None:
    """The same after a resume, whose answer this is: a pool that stays paused is its departure."""
    came: object = "paused"
    for _ in pauses(ctx, _SECOND_OPINION):
        came = ctx.want(200, "get_pool", {"pool_id": pool_id}).at("status")
        if came != "paused":
            break
    if not ctx.judge("resume_pool", came != "paused", "a pool that admits", str(came), wrote):
        raise EndScenario
    wait_until_active(ctx, pool_id)


def pauses(ctx: Context, limit: float | None = None) -> Iterator[None]:
    """Turns of a waiting loop, close together at first, until the limit."""
    give_up = time.monotonic() + (limit or ctx.world.patience)
    pause = 0.01
    while True:
        yield
        if time.monotonic() > give_up:
            return
        if ctx.world.probe.stop.wait(pause):
            raise StoppedError
        pause = min(pause * 1.5, 0.25)


def eventually(ctx: Context, look: Callable[[], bool], limit: float | None = None) -> bool:
    """Whether something becomes true within the limit."""
    return any(look() for _ in pauses(ctx, limit))


def walk(
    ctx: Context,
    operation: str,
    ids: dict[str, str],
    query: dict[str, Any],
    *,
    enough: Callable[[list[Any]], bool] = lambda _: False,
    between: Callable[[int], None] = lambda _: None,
    most: int = 400,
) -> tuple[list[Any], Answer, bool]:
    """Items page by page, the last answer, and whether the end was reached.

    Stops early where `enough` says so. `between` is called after each page with its number.
    """
    items: list[Any] = []
    cursor: str | None = None
    number = 0
    while True:
        number += 1
        page = dict(query) if cursor is None else {**query, "cursor": cursor}
        answer = ctx.want(200, operation, ids, query=page)
        found = answer.at("items")
        items += found if isinstance(found, list) else []
        following = answer.at("next_cursor")
        if not isinstance(following, str):
            return items, answer, True
        if following == cursor:
            ctx.judge(
                operation, False, "a next_cursor that moves on", "the cursor that was sent", answer
            )
            return items, answer, True
        if enough(items) or number >= most:
            return items, answer, False
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
            if ctx.world.probe.stop.is_set():
                raise StoppedError
    if raised:
        raise raised[0]
    if len(results) < len(calls):
        operation = ctx.scenario.operations[0]
        raise LackError(Outcome.NOT_REACHED, operation, f"requests took more than {limit:.0f} s")
    return [results[number] for number in range(len(calls))]
