"""Run of the kit against a container: first contact, scenarios level by level, report."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

from synth_pools.contract.clauses.finder import ClauseFinder
from synth_pools.contract.container.level import CLAUSES, CheckLevel, container_scenarios, level_of
from synth_pools.contract.container.submissions import (
    RolloutAnswer,
    Submission,
    SubmissionClient,
    submission_body,
)
from synth_pools.contract.document import Document, read_specification, specification_text
from synth_pools.contract.exceptions import (
    InconclusiveError,
    StopScenarioError,
    UnjudgeableError,
    UnreachableError,
)
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.executor import ScenarioExecutor
from synth_pools.contract.harness.expectations import Check
from synth_pools.contract.harness.registry import ListedCheck, listed_scenarios
from synth_pools.contract.harness.run_record import Progress, RunRecord
from synth_pools.contract.http.client import Response, at
from synth_pools.contract.options import Access
from synth_pools.contract.preflight import check_names, checked_key, checked_url
from synth_pools.contract.results import Clause, Exchange, Layer, Report
from synth_pools.contract.rules.verdict import excerpt
from synth_pools.contract.session import Session, client_for_run

DOCUMENT = "container.openapi.yaml"
# Seconds that the first rollout may take: it shows how long rollouts last here.
_FIRST_SECONDS = 600.0
# Rollouts for which the kit waits beyond those of the largest load.
_PATIENT_ROLLOUTS = 10
_CONTACT_SECONDS = 8.0
_CLEAN_UP_SECONDS = 5.0


def run_container_test(
    url: str,
    *,
    api_key: str | None = None,
    access: Access | None = None,
    level: str = "load",
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    max_time: float | None = None,
    rollout_request: Mapping[str, Any] | None = None,
    slow_request: Mapping[str, Any] | None = None,
    concurrency: int = 50,
    patience: float = 30.0,
    spec: Path | None = None,
    progress: Progress = lambda phase, done, total: None,  # noqa: ARG005
    on_report: Callable[[Report], None] = lambda report: None,  # noqa: ARG005
    on_exchange: Callable[[Exchange], None] = lambda exchange: None,  # noqa: ARG005
) -> Report:
    """Judge the container at a URL by container.openapi.yaml.

    Args:
        url: The base URL of the container.
        api_key: The key that it wants as `X-API-Key`; None if it wants none.
        access: The way to a container behind a gateway.
        level: The last level of checks: answers, protocol, rollouts or load.
        only: The checks to run, by the beginnings of their dotted ids; all if empty.
        skip: The checks to leave out, likewise.
        max_time: Seconds after which no further check begins; unlimited if None.
        rollout_request: Fields of every submission.
        slow_request: Fields of a submission whose rollout lasts until it is terminated.
        concurrency: The number of rollouts that it has to run at once.
        patience: Seconds to wait for an expected change.
        spec: The file to judge by; the container.openapi.yaml of this package if None.
        progress: A callback for the phase, and the numbers of finished and of all checks.
        on_report: A callback for the report, called in any case before the clean-up.
        on_exchange: A callback for every request with its response, in any thread.

    Returns:
        The report; see `run_contract`.

    Raises:
        ValueError: There is no such level.
        InterruptedRunError: It was interrupted by SIGINT; the error has the report so far.
    """
    last = CheckLevel(level)
    run = RunRecord(0, str(last), DOCUMENT)

    def judge() -> None:
        run.url = checked_url(url, version="")
        run.document = document = Document(read_specification(spec, DOCUMENT))
        run.finder = ClauseFinder(specification_text(spec, DOCUMENT), CLAUSES)
        check_names((*only, *skip), [scenario.id for scenario in container_scenarios()])
        with run.opened(
            document,
            checked_key(api_key) if api_key else "",
            client=SubmissionClient,
            max_time=max_time,
            patience=patience,
            on_exchange=on_exchange,
            access=access,
            only=tuple(only),
            skip=tuple(skip),
            rollout_request=rollout_request,
            slow_request=slow_request,
            concurrency=concurrency,
        ) as session:
            _judge(run, session, last, progress)

    return run.carry_out(judge, _end_rollouts, on_report)


def known_container_checks() -> list[ListedCheck]:
    """Return the id, the clause and the operations of each check, level by level."""
    return listed_scenarios(container_scenarios(), CLAUSES, DOCUMENT)


def _judge(run: RunRecord, session: Session, last: CheckLevel, progress: Progress) -> None:
    progress("first contact", 0, 1)
    _first_contact(run, session)
    wants = session.options.wants
    for level in CheckLevel:
        scenarios = [s for s in container_scenarios() if level_of(s.id) is level and wants(s.id)]
        executor = ScenarioExecutor(session, scenarios, partial(progress, level))
        executor.wait_for_all()
        run.obstacles += executor.obstacles
        if level is last or executor.obstacles:
            break


def _first_contact(run: RunRecord, session: Session) -> None:
    """Find out whether a container answers, and how long a rollout lasts there.

    Raises:
        UnjudgeableError: No container answers, or no rollout ends.
    """
    check = Check("preflight.contact", Clause(ids=CLAUSES["preflight.contact"]), ("run_rollout",))
    ctx = Context(session, check, Layer.PREFLIGHT)
    http, document = session.http, session.document
    patience, session.patience = session.patience, _FIRST_SECONDS
    began = time.monotonic()
    try:
        http.call("get_health", limit=_CONTACT_SECONDS)
        body = submission_body(ctx, "sync")
        session.created.add(body["rollout_id"])
        response = http.call("run_rollout", json=body, limit=_FIRST_SECONDS)
        if response.status == 404:
            older = replace(document.operations["run_rollout"], path="/rollout")
            document.operations["run_rollout"] = older
            response = http.call("run_rollout", json=body, limit=_FIRST_SECONDS)
    except UnreachableError as error:
        raise UnjudgeableError(
            f"nobody answers at {session.base_url} ({error}): is the container running there?"
        ) from None
    ctx.expect.record(response.exchange)
    answer = RolloutAnswer(response.exchange)
    if not (answer.has_ended or answer.is_under_way):
        raise UnjudgeableError(_no_rollout(session, answer))
    try:
        end = Submission(ctx, body["rollout_id"], answer).end()
    except (InconclusiveError, StopScenarioError):
        raise UnjudgeableError("the first rollout did not end") from None
    # A container may run one rollout after the other.
    most = session.options.concurrency + _PATIENT_ROLLOUTS
    session.patience = max(patience, most * (time.monotonic() - began))
    if end.has_failed:
        detail = at(end.json, "status_detail")
        run.notes.append(f"rollouts fail here ({detail}): give --rollout-request for better ones")


def _no_rollout(session: Session, response: Response) -> str:
    """Return the reason why no rollout can be run, with the remedy."""
    text = excerpt(response.exchange)
    if response.status is not None and response.status < 300:
        return f"the first answer tells neither a state nor a reward: {text}"
    if response.status == 404:
        return f"{session.base_url} has no POST /rollouts: is it a container?"
    if response.status in (401, 403):
        has_key = bool(session.options.api_key.reveal())
        return "the container refuses the key" if has_key else "it wants a key: give --api-key"
    return f"no rollout runs here: {text}; give --rollout-request with what one needs"


def _end_rollouts(session: Session) -> None:
    """Terminate the rollouts of the run that may be under way."""
    cleaner = client_for_run(session.options, session.document, SubmissionClient)
    with closing(session.http), closing(cleaner), suppress(UnreachableError):
        for rollout_id in session.created.remaining():
            ids = {"rollout_id": rollout_id}
            response = cleaner.call("terminate_rollout", ids, json={}, limit=_CLEAN_UP_SECONDS)
            if response.status is None:
                break
