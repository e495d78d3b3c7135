"""Scenarios under load: many rollouts, slow and lost clients, repetition, a second pool."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from http.client import HTTPConnection, HTTPSConnection
from typing import Any, TypeVar
from urllib.parse import urlsplit

from synth_pools.contract.container.level import scenario
from synth_pools.contract.container.submissions import (
    TELEMETRY,
    send,
    submission_body,
    submit,
    under_way,
)
from synth_pools.contract.exceptions import InconclusiveError, StopScenarioError, UnreachableError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.waits import call_simultaneously
from synth_pools.contract.results import Outcome

_CLIENTS = 10
_PATIENCES = 10
_CONNECT_SECONDS = 10.0
# Seconds after which a client leaves that does not wait for its answer.
_LEAVING_SECONDS = 0.05
_Result = TypeVar("_Result")


def _at_once(ctx: Context, calls: Sequence[Callable[[], _Result]]) -> list[_Result]:
    # Each judges its own patience.
    return call_simultaneously(ctx, calls, _PATIENCES * ctx.session.patience)


def _rollouts(ctx: Context, count: int, *modes: str, **more: Any) -> list[Callable[[], None]]:
    """Return calls that each run a rollout to its end; what departs is recorded."""

    def run(body: Mapping[str, Any]) -> None:
        with contextlib.suppress(StopScenarioError):
            send(ctx, body).end()

    cycle = itertools.islice(itertools.cycle(modes), count)
    return [partial(run, submission_body(ctx, mode, **more)) for mode in cycle]


@scenario("load.many", "run_rollout", clauses="info#1d3d#1482", alone=True)
def load_many(ctx: Context) -> None:
    _at_once(ctx, _rollouts(ctx, ctx.session.options.concurrency, "sync", "async"))


@scenario("load.health", "get_health", clauses="Health.healthy#689d", alone=True)
def load_health(ctx: Context) -> None:
    def watch() -> None:
        # Silence says nothing while rollouts run.
        response = ctx.call("get_health", limit=ctx.session.patience)
        is_well = (response.status or 0) < 500 and response.at("healthy") is not False
        judge = ctx.judge("get_health", response)
        judge.answered("it is well while it runs rollouts", is_well)

    _at_once(ctx, [*_rollouts(ctx, _CLIENTS, "sync"), *([watch] * 3)])


@scenario("load.slow_clients", "run_rollout", "get_health", clauses="info#b73a", alone=True)
def load_slow_clients(ctx: Context) -> None:
    parts = urlsplit(ctx.session.base_url)
    with contextlib.ExitStack() as stack:
        for number in range(2 * _CLIENTS):
            client = HTTPConnection(parts.netloc, timeout=_CONNECT_SECONDS)
            if parts.scheme == "https":
                tls = ctx.session.options.access.tls()
                client = HTTPSConnection(parts.netloc, timeout=_CONNECT_SECONDS, context=tls)
            stack.callback(client.close)
            try:
                if number % 2:
                    # The answer is never read.
                    client.request("GET", f"{parts.path}/health")
                    continue
                # Only the beginning of the body is sent.
                client.putrequest("POST", f"{parts.path}/rollouts")
                client.putheader("content-type", "application/json")
                client.putheader("content-length", "4000")
                client.endheaders(b'{"rollout_id": "contract-kit-half')
            except OSError as error:
                note = f"no further connection: {error}"
                raise InconclusiveError(Outcome.NOT_REACHED, "run_rollout", note) from None
        _goes_on(ctx, "while others are slow")


@scenario("load.lost_clients", "run_rollout", "get_health", clauses="info#b73a", alone=True)
def load_lost_clients(ctx: Context) -> None:
    def leave(body: Mapping[str, Any]) -> None:
        ctx.session.created.add(str(body["rollout_id"]))
        with contextlib.suppress(UnreachableError):
            ctx.session.http.call("run_rollout", json=body, limit=_LEAVING_SECONDS)

    bodies = [submission_body(ctx, "sync") for _ in range(_CLIENTS)]
    _at_once(ctx, [partial(leave, body) for body in bodies])
    _goes_on(ctx, "after others have left")


def _goes_on(ctx: Context, when: str) -> None:
    """Expect a health check and a rollout to be answered."""
    response = ctx.call("get_health", limit=ctx.session.patience)
    ctx.expect.in_time(response.exchange)
    ctx.judge("get_health", response).answered(f"an answer {when}", response.status is not None)
    submit(ctx, "sync").end()


@scenario("load.repeated", "run_rollout", clauses="info#3d30", alone=True)
def load_repeated(ctx: Context) -> None:
    for mode in ("sync", "async"):
        body = submission_body(ctx, mode)
        for submission in _at_once(ctx, [partial(send, ctx, body)] * 2):
            submission.end()


@scenario("load.second_pool", "run_rollout", clauses="info#1d3d#1482", alone=True)
def load_second_pool(ctx: Context) -> None:
    second = _rollouts(ctx, _CLIENTS, "async", telemetry=TELEMETRY)
    _at_once(ctx, [*_rollouts(ctx, _CLIENTS, "sync"), *second])


@scenario("load.cancelled", "terminate_rollout", clauses="terminate_rollout#7960", alone=True)
def load_cancelled(ctx: Context) -> None:
    with under_way(ctx, 3) as [first, cancelled, last]:
        cancelled.terminate()
        for submission in (first, last):
            answer = submission.read()
            goes_on = answer.is_under_way or not answer.has_failed
            judge = ctx.judge("terminate_rollout", answer)
            judge.answered("the other rollouts go on", goes_on)
