"""Run of the kit: first contact, scenarios, state machine, client, generated requests, report."""

from __future__ import annotations

import contextlib
import os
import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from synth_pools.contract.clauses.finder import ClauseFinder
from synth_pools.contract.collector import ResultCollector
from synth_pools.contract.document import Document, read_specification, specification_text
from synth_pools.contract.exceptions import (
    BusyError,
    StoppedError,
    UnjudgeableError,
    UnreachableError,
)
from synth_pools.contract.foreign.run import (
    end_resources,
    foreign_key,
    foreign_url,
    judge_foreign,
    runs_generated_requests,
)
from synth_pools.contract.fuzzing.checks import CHECKS, FOREIGN_CHECKS
from synth_pools.contract.fuzzing.runner import run_fuzzing
from synth_pools.contract.harness.executor import ScenarioExecutor
from synth_pools.contract.harness.lanes import Lane
from synth_pools.contract.harness.late_reads import LateReads
from synth_pools.contract.harness.registry import ListedCheck, listed_scenarios
from synth_pools.contract.harness.run_record import Progress, RunRecord
from synth_pools.contract.harness.scope import chosen_operations
from synth_pools.contract.harness.waits import Rollout
from synth_pools.contract.http.client import HttpClient, is_loopback_url
from synth_pools.contract.http.stub_container import StubContainers
from synth_pools.contract.options import Access, ApiKey, Options, Profile
from synth_pools.contract.preflight import (
    ACCESS,
    check_access,
    check_names,
    checked_key,
    checked_url,
    first_contact,
    prove,
    try_containers,
)
from synth_pools.contract.results import Clause, Exchange, Layer, LayerResult, Report
from synth_pools.contract.roles.kinds import KINDS, subject_scenarios
from synth_pools.contract.roles.subject import Resource, linked_subject
from synth_pools.contract.roles.workflows import read_roles
from synth_pools.contract.rules.clauses import CLAUSES
from synth_pools.contract.rules.facts import FactBook
from synth_pools.contract.scenarios import all_scenarios, load_scenarios, smoke_scenarios
from synth_pools.contract.session import Session, client_for_run, remove_created, remove_leftovers

# Checks that are not scenarios, by the first part of their ids.
_FAMILIES = ("auth", "client", "model", "schema")
# Layers that go on beside the scenarios. Generated requests come last, since they create thousands
# of rollouts, before which the lists of all have what a scenario looks for.
_LANES = (("auth", "client"), ("model", "schema"))
# Longest wait for the end of a lane after an interruption.
_LANE_SECONDS = 12.0
# Longest wait for the answers to creations at the end of a run.
_CREATION_SECONDS = 15.0


def run_contract(
    url: str,
    *,
    api_key: str | None = None,
    seed: int | None = None,
    profile: str = "full",
    only: Sequence[str] = (),
    skip: Sequence[str] = (),
    operations: Sequence[str] = (),
    without_operations: Sequence[str] = (),
    offered: bool = False,
    read_only: bool = False,
    max_time: float | None = None,
    pool_request: Mapping[str, Any] | None = None,
    rollout_request: Mapping[str, Any] | None = None,
    container_url: str | None = None,
    access: Access | None = None,
    other_key: str | None = None,
    restart: str | None = None,
    image: Mapping[str, Any] | None = None,
    scenarios: Sequence[Path] = (),
    patience: float = 30.0,
    spec: Path | None = None,
    subject: Path | None = None,
    progress: Progress = lambda phase, done, total: None,  # noqa: ARG005
    on_report: Callable[[Report], None] = lambda report: None,  # noqa: ARG005
    on_exchange: Callable[[Exchange], None] = lambda exchange: None,  # noqa: ARG005
) -> Report:
    """Judge the backend at a URL by openapi.yaml.

    A wrong argument or a broken backend raises nothing: the report says why the backend could not
    be judged.

    Args:
        url: The base URL of the backend, with or without `/v1`.
        api_key: The key; the variable SYNTH_API_KEY if None.
        seed: The seed, which repeats a run; if None, a new one, which the report shows.
        profile: "quick" or "full", which differ in the number of generated requests, or "smoke":
            quick scenarios alone.
        only: The checks to run, by the beginnings of their dotted ids; all if empty.
        skip: The checks to leave out, likewise.
        operations: The operations that the backend has so far, by id, tag or path; all if empty.
        without_operations: The operations that it lacks, likewise.
        offered: Whether to find out which operations it has.
        read_only: Whether to send only GET, for a backend in production.
        max_time: Seconds after which no further check begins; unlimited if None.
        pool_request: Fields of every pool definition.
        rollout_request: Fields of every rollout request.
        container_url: The container of every pool.
        access: The way to a backend behind a gateway.
        other_key: The key of another organisation, which must see nothing of the first.
        restart: A command for a shell that restarts the backend, and returns when it is done.
        image: A `config.image` whose containers serve rollouts, for a backend that starts images.
        scenarios: Python files with further scenarios.
        patience: Seconds to wait for an expected change.
        spec: The file to judge by; the openapi.yaml of this package if None.
        subject: The subject file of another API, whose scenarios are then played.
        progress: A callback for the phase, and the numbers of finished and of all checks.
        on_report: A callback for the report, called in any case before the clean-up.
        on_exchange: A callback for every request with its response, in any thread.

    Returns:
        The report. Its `exit_code` is 0 if the backend conforms, 1 if it departs, 2 if it could not
        be judged, for the reasons in `obstacles`.

    Raises:
        ValueError: There is no such profile.
        InterruptedRunError: It was interrupted by SIGINT; the error has the report so far.
    """
    amount = Profile(profile)
    run = RunRecord(secrets.randbelow(2**32) if seed is None else seed, str(amount))

    def judge() -> None:
        run.document = document = Document(contract := read_specification(spec))
        given_key = api_key or os.environ.get("SYNTH_API_KEY")
        _check(document, subject)
        if offered and document.is_foreign:
            raise UnjudgeableError("only backends of pools are probed: name the operations instead")
        if document.is_foreign:
            key, run.url = foreign_key(given_key, document.key_place), foreign_url(url, document)
            run.document_name = "the document" if spec is None else spec.name
        else:
            key, run.url = checked_key(given_key), checked_url(url)
        text = specification_text(spec)
        run.finder = ClauseFinder(text, CLAUSES)
        load_scenarios(scenarios)
        ids = [scenario.id for scenario in all_scenarios()]
        check_names((*only, *skip), ids, (*_FAMILIES, *(KINDS if document.is_foreign else ())))
        run.document.narrow(chosen_operations(run.document, operations, without_operations))
        with run.opened(
            document,
            key,
            facts=FactBook(document),
            max_time=max_time,
            patience=patience,
            on_exchange=on_exchange,
            access=access,
            profile=amount,
            only=tuple(only),
            skip=tuple(skip),
            read_only=read_only,
            pool_request=pool_request,
            rollout_request=rollout_request,
            container_url=container_url,
            spec=contract,
            offered=offered,
            other_key=None if other_key is None else ApiKey(checked_key(other_key)),
            restart=restart,
            image=image,
            has_subject=subject is not None,
        ) as session:
            session.collector.late_reads = LateReads(session)
            if session.collector.facts is not None:
                session.collector.facts.is_own = session.is_recorded
            session.http.on_busy = partial(session.collector.record, layer=Layer.SCENARIO)
            if not document.is_foreign:
                with _containers(session) as urls:
                    _judge(run, session, urls, progress)
                return
            _judge_foreign(run, session, _subject_of(document, subject), progress)

    return run.carry_out(judge, lambda session: _clean_up(run, session, progress), on_report)


def clean_leftovers(
    url: str, *, api_key: str | None = None, spec: Path | None = None
) -> tuple[int, int]:
    """Archive the pools that earlier runs left over, which are recognised by their names.

    Args:
        url: The base URL of the backend.
        api_key: The key; the variable SYNTH_API_KEY if None.
        spec: The document; the openapi.yaml of this package if None.

    Returns:
        The numbers of archived pools and of pools that could not be archived.

    Raises:
        UnjudgeableError: No backend of this kind answers, or it is too busy.
    """
    key = ApiKey(checked_key(api_key or os.environ.get("SYNTH_API_KEY")))
    base = checked_url(url)
    contract = read_specification(spec)
    document = Document(contract)
    if document.is_foreign:
        raise UnjudgeableError("only pools are recognised as leftovers: remove them by hand")
    http = HttpClient(base, key, document)
    options = Options(base, key, "00000000", 0, spec=contract)
    try:
        first_contact(Session(options, document, http, ResultCollector(document)))
        return remove_leftovers(http)
    except UnreachableError as error:
        raise UnjudgeableError(f"the connection was lost ({error})") from None
    except BusyError as error:
        raise UnjudgeableError(f"the server is too busy: {error}") from None
    finally:
        http.close()


def known_checks(spec: Path | None = None, subject: Path | None = None) -> list[ListedCheck]:
    """Return the id, the clause and the operations of each check; no operations stand for all.

    Args:
        spec: The file to judge by; the openapi.yaml of this package if None.
        subject: The subject file of another API.

    Raises:
        UnjudgeableError: A file cannot be read, or the subject file is not of this document.
    """
    document = Document(read_specification(spec))
    _check(document, subject)
    names = FOREIGN_CHECKS if document.is_foreign else tuple(CHECKS)
    checks: list[ListedCheck] = [(CHECKS[name].id, CHECKS[name].clause, ()) for name in names]
    checks.append(("auth.refused", ACCESS, ()))
    if document.is_foreign:
        scenarios = subject_scenarios(_subject_of(document, subject))
        checks += [(item.id, item.clause, item.operations(document)) for item in scenarios]
    else:
        checks += listed_scenarios(all_scenarios(), CLAUSES)
        client = Clause("Growth", "every method of the client reads what raw HTTP reads")
        checks += [(f"client.{kind}", client, ()) for kind in ("sync", "async")]
        checks.append(("model.walk", Clause("Pools: states", "random calls, together"), ()))
    return sorted(checks, key=lambda check: check[0])


def _check(document: Document, subject: Path | None) -> None:
    """Refuse references that lead nowhere, and a subject file for the API of this package."""
    if document.is_foreign:
        document.check_references()
    elif subject is not None:
        raise UnjudgeableError("a subject file is for another API: give its document with it")


def _subject_of(document: Document, file: Path | None) -> dict[str, Resource]:
    return read_roles(file, document) if file else linked_subject(document)


def _judge(run: RunRecord, session: Session, urls: Mapping[str, str], progress: Progress) -> None:
    options = session.options
    first_contact(session)
    progress("first contact", 0, 1)
    rollout: Rollout | None = None
    if not options.read_only:
        if urls:
            try_containers(session, dict(urls))
        rollout = prove(session)
    progress("first contact", 1, 1)

    existing = session.document.operations
    smoke = options.profile is Profile.SMOKE
    if not smoke:
        # Before there are threads: the engine of the state machine goes through all modules, and
        # an import in another thread would end that.
        _load_engines()
    scenarios = [
        scenario
        for scenario in (smoke_scenarios() if smoke else all_scenarios())
        if options.wants(scenario.id)
        and any(name in existing for name in scenario.operations(session.document))
        and not ("other_key" in scenario.needs and options.other_key is None)
        and not ("restart" in scenario.needs and options.restart is None)
    ]
    executor = ScenarioExecutor(
        session, scenarios, lambda done, total: progress("scenarios", done, total)
    )

    def may_begin() -> bool:
        return not (run.obstacles or executor.obstacles or _late(run, session))

    lanes = [
        Lane(
            [layer for layer in layers if _is_wanted(layer, options)],
            partial(_carry_out, run, session, rollout),
            may_begin,
        )
        for layers in _LANES
    ]
    try:
        # How far a layer is changes too often for a line each time.
        executor.wait_for_all(lanes, lambda phase: progress(phase, 0, int(phase in _FAMILIES)))
    finally:
        # After an interruption nothing may be sent beside the clean-up.
        session.http.stop.set()
        for lane in lanes:
            lane.join(_LANE_SECONDS)
        run.obstacles += executor.obstacles


def _is_wanted(layer: str, options: Options) -> bool:
    if options.profile is Profile.SMOKE and layer != "auth":
        return False
    return options.wants_of(layer) and not (layer == "model" and options.read_only)


def _load_engines() -> tuple[Callable[[Session], LayerResult], Callable[[Session], LayerResult]]:
    # They take a moment to import, which is too long if nothing answers.
    from synth_pools.contract.client.runner import run_client_checks
    from synth_pools.contract.stateful.state_machine import run_state_machine

    return run_client_checks, run_state_machine


def _carry_out(
    run: RunRecord,
    session: Session,
    rollout: Rollout | None,
    layer: str,
    tell: Callable[[str], None],
) -> None:
    """Carry out a layer that is no scenario."""
    if layer == "auth":
        try:
            check_access(session, rollout)
        except StoppedError:
            if _late(run, session):
                run.obstacles.append("the time ran out before access was judged")
            raise
        return
    run_client_checks, run_state_machine = _load_engines()
    if layer == "client":
        result = run_client_checks(session)
    elif layer == "model":
        result = run_state_machine(session)
    else:
        result = run_fuzzing(session, tell)
    # A layer that was stopped is no obstacle: what stopped it is.
    if not session.http.stop.is_set() or _late(run, session):
        run.add(result)


def _judge_foreign(
    run: RunRecord, session: Session, subject: dict[str, Resource], progress: Progress
) -> None:
    run.notes += judge_foreign(session, subject, progress)
    if not session.options.read_only:
        scenarios = [s for s in subject_scenarios(subject) if session.options.wants(s.id)]
        executor = ScenarioExecutor(
            session, scenarios, lambda done, total: progress("scenarios", done, total)
        )
        executor.wait_for_all()
        run.obstacles += executor.obstacles
    if runs_generated_requests(session) and not _late(run, session):
        progress("schema", 0, 1)
        run.add(run_fuzzing(session, lambda text: progress(text, 0, 0)))


def _late(run: RunRecord, session: Session) -> bool:
    if time.monotonic() < session.options.deadline:
        return False
    note = "the time ran out before every layer had its turn"
    if note not in run.notes:
        run.notes.append(note)
    return True


@contextlib.contextmanager
def _containers(session: Session) -> Iterator[Mapping[str, str]]:
    """Start stub containers if the backend can reach them and the run may create pools."""
    if session.options.read_only or not is_loopback_url(session.base_url):
        yield {}
        return
    with StubContainers() as containers:
        session.received = containers.received
        yield containers.urls


def _clean_up(run: RunRecord, session: Session, progress: Progress) -> None:
    if session.created.remaining():
        progress("clean-up", 0, 1)
    # The answer to a deletion that overtakes its creation is 404, and the pool would stay.
    deadline = time.monotonic() + _CREATION_SECONDS
    while session.http.creating and time.monotonic() < deadline:
        time.sleep(0.01)
    sweeper = client_for_run(session.options, session.document)
    try:
        end_resources(sweeper, session.ends)
        remaining = remove_created(sweeper, session.created)
    finally:
        sweeper.close()
        session.http.close()
    if remaining and "delete_pool" not in session.document.operations:
        run.notes.append(
            f"{remaining} pools of this run stay: they cannot be removed without delete_pool"
        )
    elif remaining:
        run.notes.append(
            f"{remaining} pools of this run are left over; remove them with --cleanup, "
            f"their names begin with {session.pool_id('')}"
        )
