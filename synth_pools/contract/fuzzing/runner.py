"""Runner of generated requests to every operation."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from synth_pools.contract.collector import ResultCollector
from synth_pools.contract.exceptions import BusyError
from synth_pools.contract.fuzzing.checks import CHECKS, FOREIGN_CHECKS, departure_of, is_excused
from synth_pools.contract.fuzzing.engine import (
    TIME_IS_UP,
    CheckedExchange,
    EngineProblem,
    EngineSettings,
)
from synth_pools.contract.fuzzing.engine_process import Targeting, run_in_process
from synth_pools.contract.fuzzing.seeds import SeedError, make_targeting
from synth_pools.contract.fuzzing.targeting import ForeignTargeting
from synth_pools.contract.options import Profile
from synth_pools.contract.results import Clause, Column, Departure, Layer, LayerResult, Outcome
from synth_pools.contract.rules.event_streams import check_event_stream
from synth_pools.contract.rules.verdict import excerpt
from synth_pools.contract.session import Session

_EXAMPLES = {Profile.QUICK: 2, Profile.FULL: 40}
_STEPS = {Profile.QUICK: 5, Profile.FULL: 8}
_PHASES = {
    Profile.QUICK: ("examples", "coverage", "fuzzing"),
    Profile.FULL: ("examples", "coverage", "fuzzing", "stateful"),
}
# Operations that take the body of a creation; scenarios try its fields with them, too.
_TWINS = frozenset(
    ("replace_pool", "update_pool", "create_global_rollout", "update_task", "patch_task")
)
_ANSWERS = Clause("Errors", "every request is answered")
_TELL_EVERY = 1.0


def run_fuzzing(session: Session, progress: Callable[[str], None] = lambda _: None) -> LayerResult:
    """Send generated requests; verdicts go to the session's collector.

    Args:
        session: The run.
        progress: A callback for a line of progress.

    Returns:
        The obstacle that kept the layer from judging, if there is one.
    """
    document = session.document
    try:
        targeting: Targeting
        if document.is_foreign:
            targeting = ForeignTargeting(session.subject_ids)
        else:
            targeting = make_targeting(session)
    except (SeedError, BusyError) as error:
        return LayerResult(obstacle=f"generated requests had no pool to go to: {error}")
    options, collector = session.options, session.collector
    checks = FOREIGN_CHECKS if document.is_foreign else tuple(CHECKS)
    reported_at = 0.0
    absent = session.not_offered()
    for operation, why in absent.items():
        _inconclusive(collector, Outcome.NOT_OFFERED, "schema.offered", operation, why)

    def tick(phase: str, sent: int) -> None:
        nonlocal reported_at
        if time.monotonic() - reported_at > _TELL_EVERY:
            reported_at = time.monotonic()
            progress(f"generated requests: {phase}, {sent} sent")

    settings = EngineSettings(
        url=options.url,
        api_key=options.api_key,
        seed=options.seed,
        # The same limit as for other waits, since a busy machine answers slowly.
        request_timeout=session.patience,
        examples=_EXAMPLES[options.profile],
        phases=_PHASES[options.profile],
        steps=_STEPS[options.profile],
        read_only=options.read_only,
        uncovered=_TWINS if options.profile is Profile.QUICK else frozenset(),
        without=frozenset(absent) | (document.every.keys() - document.operations),
        checks=tuple(name for name in checks if options.wants(CHECKS[name].id)),
        deadline=options.deadline,
        is_stopped=session.http.stop.is_set,
        access=options.access,
        key_place=document.key_place if document.is_foreign else None,
    )
    obstacle: str | None = None
    note: str | None = None
    for result in run_in_process(
        options.spec, settings, targeting, register=session.register_pool, tick=tick
    ):
        if isinstance(result, CheckedExchange):
            _take(session, collector, result)
        elif result.network and session.is_proof(settings.request_timeout):
            collector.departed(_silence(result))
        elif result.operation is not None:
            _inconclusive(
                collector, Outcome.NOT_REACHED, "schema.requests", result.operation, result.text
            )
        elif result.text == TIME_IS_UP:
            note = f"generated requests: {result.text}"
        else:
            obstacle = obstacle or f"generated requests: {result.text}"
    return LayerResult(obstacle=obstacle, note=note)


def _inconclusive(
    collector: ResultCollector, outcome: Outcome, check: str, operation: str, note: str
) -> None:
    collector.inconclusive(outcome, check, operation, Column.STATUS, Layer.SCHEMA, note)


def _take(session: Session, collector: ResultCollector, checked: CheckedExchange) -> None:
    document, exchange = session.document, checked.exchange
    if document.is_absent(exchange.method, exchange.url):
        return
    addressed = document.operation_of(exchange.method, exchange.url)
    name = addressed.id if addressed else None
    collector.record(replace(exchange, operation=name or exchange.operation), Layer.SCHEMA)
    if exchange.status == 501:
        note = excerpt(exchange)
        _inconclusive(collector, Outcome.NOT_OFFERED, "schema.offered", checked.operation, note)
    results = check_event_stream(document, addressed, exchange)
    collector.add_results(results, checked.operation, exchange, Layer.SCHEMA)
    for check in checked.passed:
        item = CHECKS[check]
        collector.held(item.id, checked.operation, item.column, Layer.SCHEMA)
    reads_keys = session.offers("idempotency_keys")
    for failed in checked.failed:
        if not is_excused(document, checked, failed, reads_keys=reads_keys):
            collector.departed(departure_of(document, checked, failed))


def _silence(problem: EngineProblem) -> Departure:
    operation = problem.operation or ""
    return Departure(
        "schema.answer",
        operation,
        _ANSWERS,
        "an answer within the time limit",
        problem.text,
        None,
        Layer.SCHEMA,
        Column.STATUS,
        cause="schema.answer",
    )
