"""Scenarios of single answers: health, descriptions, and what is left out."""

from __future__ import annotations

from synth_pools.contract.container.level import scenario
from synth_pools.contract.container.submissions import refuse_left_out
from synth_pools.contract.exceptions import InconclusiveError
from synth_pools.contract.harness.context import Context

_DESCRIPTIONS = ("get_info", "get_metadata", "get_task_info", "get_program", "get_taskset")


@scenario("answers.health", "get_health", clauses="Health.healthy#689d", reads_only=True)
def answers_health(ctx: Context) -> None:
    checks = {"x-synth-pools-call": "health-check"}
    for headers in ({}, checks):
        response = ctx.call("get_health", headers=headers | ctx.session.http.authorized())
        refuse_left_out(response, "get_health")
        ctx.expect.status(response, 200, "get_health")


@scenario(
    "answers.descriptions",
    *_DESCRIPTIONS,
    clauses="get_info#90f9#c2f1, responses NotOffered#c640",
    reads_only=True,
)
def answers_descriptions(ctx: Context) -> None:
    for name in _DESCRIPTIONS:
        try:
            for query in (None, {"seed": 7, "kit": "ü & =?#/%41"}):
                response = ctx.call(name, query=query)
                if query is None:
                    refuse_left_out(response, name)
                # A container may refuse a seed; that it breaks down is seen by the rules.
                elif 400 <= (response.status or 0) < 500:
                    continue
                ctx.expect.status(response, 200, name)
        except InconclusiveError as absent:
            ctx.expect.inconclusive(name, absent.note, absent.outcome)


@scenario("answers.absent", "get_health", clauses="info#feae", reads_only=True)
def answers_absent(ctx: Context) -> None:
    http = ctx.session.http
    url = http.url("/no-such-route-of-the-contract-kit", {})
    response = ctx.raw("GET", url, http.authorized(), None, None)
    judge = ctx.judge("get_health", response)
    judge.answered("404 for a route that it does not have", response.status == 404)
