"""Waits for rollouts and pools, iteration over pages, and parallel calls, each within a limit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from synth_pools.contract.document import FINAL
from synth_pools.contract.exceptions import InconclusiveError, StoppedError, StopScenarioError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.http.client import ABSENT, Response, at
from synth_pools.contract.results import Clause, Outcome
from synth_pools.contract.rules.verdict import moment as moment

_T = TypeVar("_T")

STARTED = ("running", *FINAL)
STREAMS = ("stream_rollout_events", "stream_global_rollout_events")
_ENDS = Clause(ids="Rollouts: states#f1bc")
# Seconds until the other family is asked: longer than an answer may lag behind.
_SECOND_OPINION = 5.0
# A wait proves something if it lasts more than this many times as long as another rollout.
_SOONER = 4
# Times the patience that a rollout with much to do has.
_MORE_WORK = 3
# Most calls at a time, and calls at a time for each second that a request takes.
_MOST_AT_A_TIME = 16
_CALLERS_A_SECOND = 20

# The operation of a rollout's pool and the global one, as far as there are both, with their ids.
Ways = list[tuple[str, dict[str, str]]]

# An operation that creates a rollout, its ids, and fields that its body must have.
Creation = tuple[str, dict[str, str], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Rollout:
    """Ids of a rollout, as path parameters of both families of operations."""

    pool_id: str
    id: str

    @property
    def ids(self) -> dict[str, str]:
        return {"pool_id": self.pool_id, "rollout_id": self.id}

    @property
    def global_ids(self) -> dict[str, str]:
        return {"rollout_id": self.id}

    def streams(self, ctx: Context) -> Ways:
        """Return the operations of both families that stream its events, with their ids."""
        return ctx.existing((STREAMS[0], self.ids), (STREAMS[1], self.global_ids))

    def cancels(self, ctx: Context) -> Ways:
        """Return the operations of both families that cancel it, with their ids."""
        ways = ("cancel_rollout", self.ids), ("cancel_global_rollout", self.global_ids)
        return ctx.existing(*ways)


def creations(ctx: Context, pool_id: str) -> list[Creation]:
    """Return the operations that create a rollout, with ids and further fields of the body."""
    pool = {"pool_id": pool_id}
    return ctx.existing(("create_rollout", pool, {}), ("create_global_rollout", {}, pool))


def start_rollout(ctx: Context, pool_id: str, **request: Any) -> Rollout:
    """Create a rollout in a pool with fields of its request."""
    body = ctx.session.rollout_body(**request)
    response = ctx.require((202, 200), "create_rollout", {"pool_id": pool_id}, json=body)
    return Rollout(pool_id, rollout_id(response))


def rollout_id(response: Response) -> str:
    """Return the id of the rollout in the response of its creation.

    Raises:
        StopScenarioError: There is no id; the check of the schema has recorded that.
    """
    value = response.at("rollout_id")
    if not isinstance(value, str) or not value:
        raise StopScenarioError
    return value


def run_rollout(ctx: Context, pool_id: str, **request: Any) -> Rollout:
    """Create a rollout and wait for its end."""
    rollout = start_rollout(ctx, pool_id, **request)
    wait_for(ctx, rollout, FINAL)
    return rollout


def start_running(ctx: Context, pool_id: str, **env: Any) -> Rollout:
    """Create a rollout that lasts longer than any scenario, and wait until it runs."""
    rollout = start_rollout(ctx, pool_id, env={"delay": 600, **env})
    wait_for(ctx, rollout, STARTED)
    return rollout


def wait_for(ctx: Context, rollout: Rollout, states: tuple[str, ...]) -> Response:
    """Wait until get_rollout shows one of the states.

    Args:
        ctx: The context.
        rollout: The rollout.
        states: The states.

    Returns:
        The response that shows the state.

    Raises:
        StopScenarioError: Only the other family shows the state, so get_rollout departs; or neither
            does in time though other rollouts end much sooner, so the rollout hangs.
        InconclusiveError: Neither family shows it in time, and other rollouts take long, too.
    """
    began = time.monotonic()
    opinion_at = began + _SECOND_OPINION
    response: Response | None = None
    for _ in ctx.session.pauses():
        response = ctx.require(200, "get_rollout", rollout.ids)
        if response.at("status") in states:
            return response
        if time.monotonic() < opinion_at:
            continue
        opinion_at = float("inf")
        if not ctx.has("get_global_rollout"):
            continue
        second = ctx.call("get_global_rollout", rollout.global_ids)
        if second.at("status") in states:
            current = ctx.require(200, "get_rollout", rollout.ids)
            if current.at("status") in states:
                return current
            expected = f"status {second.at('status')}, as get_global_rollout says"
            ctx.judge("get_rollout", current).that(expected, False, str(current.at("status")))
            raise StopScenarioError
    observed = response.at("status") if response else "nothing"
    waited = f"{time.monotonic() - began:.0f} s"
    awaited = " or ".join(states)
    if ctx.session.proven and _a_later_rollout_ends(ctx, rollout, time.monotonic() - began):
        turns: Iterable[None] = (None,)
        if response is not None and response.at("request", "env", "events") is not ABSENT:
            # One that sends many events has more to do than the other one had.
            turns = ctx.session.pauses(_MORE_WORK * ctx.session.patience)
        for _ in turns:
            response = ctx.require(200, "get_rollout", rollout.ids)
            observed = response.at("status")
            if observed in states:
                return response
        expected = f"a rollout that has a place becomes {awaited}"
        got = f"it was {observed} after {waited}, and one that was made then has ended"
        ctx.judge("create_rollout", response, clause=_ENDS).that(expected, False, got)
        raise StopScenarioError
    note = f"the rollout was {observed} and not {awaited} after {waited}"
    raise InconclusiveError(Outcome.NOT_REACHED, "create_rollout", note)


def _a_later_rollout_ends(ctx: Context, rollout: Rollout, waited: float) -> bool:
    """Return True if a rollout that starts now, on the same container, ends much sooner."""
    pool = ctx.require(200, "get_pool", {"pool_id": rollout.pool_id})
    url, mine = pool.at("container_url"), ctx.session.containers.values()
    container = {"container_url": url} if url in mine else {}
    began = time.monotonic()
    witness = start_rollout(ctx, ctx.resources.pool("witness", **container))

    def ended() -> bool:
        return ctx.require(200, "get_rollout", witness.ids).at("status") in FINAL

    soon = eventually(ctx, ended) and (time.monotonic() - began) * _SOONER < waited
    return soon and ctx.session.is_proof(waited)


def wait_until_resumed(ctx: Context, pool_id: str, written: Response) -> None:
    """Wait until a pool is active after a resume; the resume departs if it stays paused."""

    def resumed() -> bool:
        return bool(ctx.require(200, "get_pool", {"pool_id": pool_id}).at("status") != "paused")

    is_resumed = becomes_true(ctx, "resume_pool", resumed, _SECOND_OPINION)
    if not ctx.judge("resume_pool", written).that("a pool that admits", is_resumed, "paused"):
        raise StopScenarioError
    ctx.resources.wait_until_active(pool_id)


def eventually(ctx: Context, look: Callable[[], bool], limit: float | None = None) -> bool:
    """Return True if a condition becomes true within the limit."""
    return any(look() for _ in ctx.session.pauses(limit))


def becomes_true(
    ctx: Context, operation: str, look: Callable[[], bool], limit: float | None = None
) -> bool:
    """Return True if the effect of an operation becomes visible; False proves that it does not.

    Args:
        ctx: The context.
        operation: The operation.
        look: Returns whether the effect is visible.
        limit: Seconds to wait; the session's patience if None.

    Raises:
        InconclusiveError: It was not visible in time, and all requests take long here.
    """
    began = time.monotonic()
    if eventually(ctx, look, limit):
        return True
    waited = time.monotonic() - began
    proof = ctx.session.is_proof(waited)
    # The effect may have become visible meanwhile.
    if look():
        return True
    if not proof:
        note = f"it did not come within {waited:.0f} s, and requests take long here"
        raise InconclusiveError(Outcome.NOT_REACHED, operation, note)
    return False


def read_until(
    ctx: Context,
    operation: str,
    ids: dict[str, str],
    is_there: Callable[[Response], bool],
    *,
    brings: str | None = None,
) -> tuple[Response, bool]:
    """Read at least once, until an answer shows an effect.

    Args:
        ctx: The context.
        operation: The reading operation.
        ids: Its path parameters.
        is_there: Returns whether an answer shows the effect.
        brings: The operation that has the effect; the reading operation if None.

    Returns:
        The last answer, and whether it shows the effect; False proves that it does not come.

    Raises:
        InconclusiveError: It was not visible in time, and all requests take long here.
    """
    last: list[Response] = []

    def look() -> bool:
        last[:] = [ctx.require(200, operation, ids)]
        return is_there(last[0])

    is_true = becomes_true(ctx, brings or operation, look)
    return last[0], is_true


@dataclass(frozen=True, slots=True)
class PageForm:
    """Form of the pages of a list.

    Attributes:
        items: The place of the list in a page, as in "data.items"; "" for the whole.
        cursor: The parameter that continues the list.
        next: The place of its next value in a page.
    """

    items: str = "items"
    cursor: str = "cursor"
    next: str = "next_cursor"

    def items_of(self, page: Response) -> list[Any]:
        """Return the items of a page."""
        return page.list_at(*filter(None, self.items.split(".")))


def iterate_pages(
    ctx: Context,
    operation: str,
    ids: dict[str, str],
    query: dict[str, Any],
    *,
    enough: Callable[[list[Any]], bool] = lambda _: False,
    between: Callable[[int], None] = lambda _: None,
    most: int = 400,
    form: PageForm = PageForm(),
) -> tuple[list[Any], Response, bool]:
    """Read the pages of a list.

    Args:
        ctx: The context.
        operation: The listing operation.
        ids: Its path parameters.
        query: Its query parameters.
        enough: A condition on the items so far that ends the reading.
        between: A callback after each page, with its number.
        most: The largest number of pages.
        form: The form of the pages.

    Returns:
        The items, the last response, and whether the end of the list was reached.
    """
    items: list[Any] = []
    cursor: str | None = None
    number = 0
    while True:
        number += 1
        page = dict(query) if cursor is None else {**query, form.cursor: cursor}
        response = ctx.require(200, operation, ids, query=page)
        items += form.items_of(response)
        next_cursor = response.at(*form.next.split("."))
        if not isinstance(next_cursor, str) or not next_cursor:
            return items, response, True
        if next_cursor == cursor:
            demand = f"a {form.next} that moves on"
            ctx.judge(operation, response).that(demand, False, "the cursor that was sent")
            return items, response, True
        if enough(items) or number >= most:
            return items, response, False
        between(number)
        cursor = next_cursor


def ids_of(items: list[Any], name: str = "id") -> list[Any]:
    """Return one field of each item."""
    return [at(item, name) for item in items]


def side_by_side(ctx: Context, calls: Iterable[Callable[[], object]]) -> None:
    """Make independent calls, several at a time if requests take long.

    Raises:
        StoppedError: The run was asked to stop.
        Exception: The first exception that a call raised.
    """
    count = min(_MOST_AT_A_TIME, 1 + int(ctx.session.http.round_trip * _CALLERS_A_SECOND))
    if count == 1:
        # On a fast connection threads would only take turns.
        for call in calls:
            call()
        return
    with ThreadPoolExecutor(count, "contract-calls") as pool:
        futures = [pool.submit(call) for call in calls]
        try:
            for future in futures:
                future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def call_simultaneously(ctx: Context, calls: Sequence[Callable[[], _T]], limit: float) -> list[_T]:
    """Make calls at the same time.

    Args:
        ctx: The context.
        calls: The calls.
        limit: Seconds that all of them may take.

    Returns:
        Their results in order.

    Raises:
        InconclusiveError: A call took longer than the limit, or they could not begin together.
        StoppedError: The run was asked to stop.
        Exception: The first exception that a call raised.
    """
    results: dict[int, _T] = {}
    raised: list[Exception] = []
    start_line = threading.Barrier(len(calls))
    allowed = ctx.session.allowance(limit)

    def work(number: int, call: Callable[[], _T]) -> None:
        try:
            # All threads send at the same moment.
            start_line.wait(allowed)
            results[number] = call()
        except Exception as error:  # noqa: BLE001 - handed to the thread that waits
            raised.append(error)

    threads = [threading.Thread(target=work, args=pair, daemon=True) for pair in enumerate(calls)]
    for thread in threads:
        thread.start()
    give_up = time.monotonic() + allowed
    for thread in threads:
        while thread.is_alive() and time.monotonic() < give_up:
            thread.join(0.2)
            if ctx.session.http.stop.is_set():
                raise StoppedError
    for error in raised:
        if not isinstance(error, threading.BrokenBarrierError):
            raise error
    if len(results) < len(calls):
        note = f"requests took more than {limit:.0f} s"
        raise InconclusiveError(Outcome.NOT_REACHED, ctx.operations[0], note)
    return [results[number] for number in range(len(calls))]
