"""Layer 1: generated requests to every operation, judged by the document."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace

from synth_pools.contract.collector import Findings
from synth_pools.contract.document import Document
from synth_pools.contract.exceptions import BusyError
from synth_pools.contract.fuzzing.checks import CHECKS, departure_of, is_excused
from synth_pools.contract.fuzzing.schemathesis_engine import (
    EngineSettings,
    Judged,
    Trouble,
    run_engine,
)
from synth_pools.contract.fuzzing.seeds import FixtureError, make_steering
from synth_pools.contract.fuzzing.targeting import Steering
from synth_pools.contract.options import Options, Profile
from synth_pools.contract.results import Clause, Column, Departure, Layer, LayerResult, Outcome
from synth_pools.contract.rules.event_streams import stream_rules
from synth_pools.contract.rules.verdict import excerpt
from synth_pools.contract.session import World, not_offered

Progress = Callable[[str], None]

_EXAMPLES = {Profile.QUICK: 5, Profile.FULL: 40}
_STEPS = {Profile.QUICK: 5, Profile.FULL: 8}
_PHASES = {
    Profile.QUICK: ("examples", "coverage", "fuzzing"),
    Profile.FULL: ("examples", "coverage", "fuzzing", "stateful"),
}
_ANSWERS = Clause("Errors", "every request is answered")
_TELL_EVERY = 1.0


def run(options: Options, world: World, progress: Progress = lambda _: None) -> LayerResult:
    """Fills the world's findings; the result says only what kept the layer from judging."""
    try:
        steering = make_steering(world)
    except (FixtureError, BusyError) as error:
        return LayerResult(obstacle=f"generated requests had no pool to go to: {error}")
    return LayerResult(obstacle=_drive(options, world, steering, progress))


def _drive(options: Options, world: World, steering: Steering, progress: Progress) -> str | None:
    profile = options.profile
    document, findings = world.document, world.findings
    told = 0.0
    absent = not_offered(world)
    for operation, note in absent.items():
        findings.lacking(
            Outcome.NOT_OFFERED, "schema.offered", operation, Column.STATUS, Layer.SCHEMA, note
        )

    def tick(phase: str, sent: int) -> None:
        nonlocal told
        if time.monotonic() - told > _TELL_EVERY:
            told = time.monotonic()
            progress(f"generated requests: {phase}, {sent} sent")

    settings = EngineSettings(
        url=options.url,
        api_key=options.api_key.reveal(),
        seed=options.seed,
        examples=_EXAMPLES[profile],
        phases=_PHASES[profile],
        steps=_STEPS[profile],
        read_only=options.read_only,
        without=frozenset(absent),
        checks=tuple(name for name, check in CHECKS.items() if options.wants(check.id)),
        steer=steering,
        observe=steering.observe,
        deadline=options.deadline,
    )
    obstacle: str | None = None
    for found in run_engine(options.spec, settings, tick=tick):
        if isinstance(found, Judged):
            _take(document, findings, found)
        elif found.network:
            findings.departed(_silence(found))
        elif found.operation is not None:
            findings.lacking(
                Outcome.NOT_REACHED,
                "schema.requests",
                found.operation,
                Column.STATUS,
                Layer.SCHEMA,
                found.text,
            )
        else:
            obstacle = obstacle or f"generated requests: {found.text}"
    return obstacle


def _take(document: Document, findings: Findings, found: Judged) -> None:
    exchange = found.exchange
    addressed = document.operation_of(exchange.method, exchange.url)
    name = addressed.id if addressed else None
    findings.saw(replace(exchange, operation=name or exchange.operation), Layer.SCHEMA)
    if exchange.status == 501:
        findings.lacking(
            Outcome.NOT_OFFERED,
            "schema.offered",
            found.operation,
            Column.STATUS,
            Layer.SCHEMA,
            excerpt(exchange),
        )
    for judgement in stream_rules(document, addressed, exchange):
        if judgement.got is None:
            findings.held(judgement.check, found.operation, judgement.column, Layer.SCHEMA)
            continue
        findings.departed(
            Departure(
                judgement.check,
                found.operation,
                judgement.clause,
                judgement.expected,
                judgement.got,
                exchange,
                Layer.SCHEMA,
                judgement.column,
                cause=judgement.cause,
            )
        )
    for check in found.held:
        known = CHECKS[check]
        findings.held(known.id, found.operation, known.column, Layer.SCHEMA)
    for failed in found.failed:
        if not is_excused(document, found, failed):
            findings.departed(departure_of(document, found, failed))


def _silence(trouble: Trouble) -> Departure:
    operation = trouble.operation or ""
    return Departure(
        "schema.answer",
        operation,
        _ANSWERS,
        "an answer within the time limit",
        trouble.text,
        None,
        Layer.SCHEMA,
        Column.STATUS,
        cause=f"schema.answer|{operation}",
    )
