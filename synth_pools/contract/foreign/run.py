"""Run for a document that is not this package's: first contact, keys, generated requests."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import Any

from synth_pools.contract.document import Document, KeyPlace, Operation
from synth_pools.contract.exceptions import (
    BusyError,
    InconclusiveError,
    MissingOperationError,
    StoppedError,
    StopScenarioError,
    UnjudgeableError,
    UnreachableError,
)
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.expectations import Check
from synth_pools.contract.http.client import ABSENT, HttpClient, Response
from synth_pools.contract.options import Profile
from synth_pools.contract.preflight import checked_key, checked_url
from synth_pools.contract.results import Clause, Column, Layer
from synth_pools.contract.roles.subject import Resource, make
from synth_pools.contract.rules.verdict import excerpt
from synth_pools.contract.session import Session

_CONTACT_SECONDS = 8.0
_CONTACTS = 5
_REFUSALS = (401, 403)
_ACCESS = Clause("security", "a missing or wrong key is refused")


def foreign_url(url: str, document: Document) -> str:
    """Return the base URL of a backend; without a path, that of the first server is its path."""
    base = checked_url(url, version="")
    if "/" not in base.partition("://")[2]:
        base += document.base_path
    else:
        document.base_path = "/" + base.partition("://")[2].partition("/")[2]
    return base


def foreign_key(key: str | None, place: KeyPlace) -> str:
    """Return the key as it stands behind the prefix of its place; "" for none."""
    if not key:
        return ""
    text = checked_key(key)
    return base64.b64encode(text.encode()).decode() if place.prefix == "Basic " else text


def judge_foreign(
    session: Session, subject: dict[str, Resource], progress: Callable[[str, int, int], None]
) -> list[str]:
    """Make first contact, one of each resource, and calls without the key.

    Args:
        session: The run.
        subject: The resources of which one is made; a resource that cannot be made is removed.
        progress: A callback for the phase, and the numbers of finished and of all checks.

    Returns:
        Notes on resources that cannot be made.

    Raises:
        UnjudgeableError: Nobody answers, nothing of the document is there, or the subject file
            makes no resource.
    """
    progress("first contact", 0, 1)
    _first_contact(session)
    notes: list[str] = []
    for resource in () if session.options.read_only else [*subject.values()]:
        try:
            _make_first(session, subject, resource)
        except MissingOperationError as error:
            del subject[resource.name]
            notes.append(f"no {resource.name} is made: {error}")
        except UnjudgeableError as error:
            if session.options.has_subject:
                raise
            # The body of a resource that links tell of is a guess.
            del subject[resource.name]
            notes.append(f"{error}: give a subject file to play its scenarios")
    if session.options.wants_of("auth"):
        _check_access(session)
    progress("first contact", 1, 1)
    return notes


def _first_contact(session: Session) -> None:
    check = Check("preflight.contact", Clause("paths", "an operation answers"), ())
    ctx = Context(session, check, Layer.PREFLIGHT)
    responses: list[Response] = []
    locked: list[Response] = []
    # Those with a requirement come first: their answer tells whether the key is right.
    simple = sorted(_simple(session.document), key=lambda operation: not operation.needs_key)
    for operation in simple[:_CONTACTS]:
        try:
            responses.append(session.http.call(operation.id, limit=_CONTACT_SECONDS))
        except UnreachableError as error:
            raise UnjudgeableError(
                f"nobody answers at {session.base_url} ({error}): is the backend running there?"
            ) from None
        locked += responses[-1:] if operation.needs_key else []
        ctx.expect.record(responses[-1].exchange)
        if responses[-1].status is None:
            trouble = responses[-1].exchange.trouble
            raise UnjudgeableError(
                f"{session.base_url} does not answer as an HTTP server would ({trouble})"
            )
    statuses = {response.status for response in locked or responses}
    if statuses and statuses <= {*_REFUSALS, 404}:
        refused = statuses & {*_REFUSALS}
        remedy = "give the right key with --api-key" if refused else "give its base URL"
        answer = excerpt((locked or responses)[0].exchange, 120)
        raise UnjudgeableError(
            f"nothing of the document is at {session.base_url} ({answer}): {remedy}"
        )


def _make_first(session: Session, subject: Mapping[str, Resource], resource: Resource) -> None:
    """Make a resource, whose ids other checks use.

    Raises:
        UnjudgeableError: It cannot be made, so that the subject file needs another body.
    """
    clause = Clause(resource.name, "the body of the subject file makes one")
    ctx = Context(session, Check("preflight.subject", clause, (resource.create,)), Layer.PREFLIGHT)
    try:
        session.subject_ids.update(make(ctx, subject, resource).ids)
    except (StopScenarioError, InconclusiveError):
        answer = excerpt(ctx.expect.trail[-1], 200) if ctx.expect.trail else "no answer"
        raise UnjudgeableError(
            f"no {resource.name} can be made: {resource.create} answers {answer}"
        ) from None


def end_resources(
    http: HttpClient, ends: Mapping[tuple[tuple[str, str], ...], tuple[str, Any]]
) -> None:
    """Delete or end what the scenarios of a subject file made, the newest first."""
    for ids, (operation, body) in reversed(list(ends.items())):
        try:
            names = http.document.operations[operation].own_ids(dict(ids))
            http.call(operation, names, json=body, limit=_CONTACT_SECONDS)
        except (BusyError, MissingOperationError, StoppedError, UnreachableError):
            return


def _simple(document: Document) -> list[Operation]:
    """Return the operations that need neither an id nor a query."""
    return [
        operation
        for operation in document.operations.values()
        if operation.method == "GET"
        and not (operation.id_names or operation.required_query or operation.streams)
    ]


def _check_access(session: Session) -> None:
    """Expect every operation with a security requirement to refuse calls without the key."""
    operations = [op for op in session.document.operations.values() if op.needs_key]
    check = Check("auth.refused", _ACCESS, tuple(operation.id for operation in operations))
    ctx = Context(session, check, Layer.PREFLIGHT)
    for operation in operations:
        if session.options.read_only and operation.method != "GET":
            continue
        if not session.options.api_key.reveal():
            ctx.expect.inconclusive(operation.id, "no key was given: give it with --api-key")
            continue
        for defect, authorization in _DEFECTS.items():
            _expect_refusal(ctx, operation, defect, authorization)


_DEFECTS: Mapping[str, str | None] = {
    "no key was sent": None,
    "the key is wrong": "Bearer wrong-key-of-the-contract-kit",
}


def _expect_refusal(
    ctx: Context, operation: Operation, defect: str, authorization: str | None
) -> None:
    existing = ctx.session.subject_ids
    ids = {name: existing.get(name, "contract-kit") for name in operation.id_names}
    body = {} if operation.request is not None else ABSENT
    try:
        http = ctx.session.http
        response = http.call(
            operation.id, ids, json=body, authorization=authorization, limit=_CONTACT_SECONDS
        )
        status = response.status or 0
        # The requirement documents a refusal, if the operation does not.
        is_listed = status not in _REFUSALS or operation.response(status) is not None
        ctx.expect.record(response.exchange, judged=is_listed)
        ctx.expect.in_time(response.exchange)
    except InconclusiveError as lack:
        ctx.expect.inconclusive(operation.id, lack.note)
        return
    if response.status in _REFUSALS or (response.status or 500) < 300:
        judge = ctx.judge(operation.id, response, column=Column.AUTH)
        judge.answered(f"401: {defect}", response.status in _REFUSALS)
    else:
        note = f"{excerpt(response.exchange, 60)}, before it looks at the key"
        ctx.expect.inconclusive(operation.id, note)


def runs_generated_requests(session: Session) -> bool:
    """Return True if the profile and the chosen checks let generated requests be sent."""
    return session.options.profile is not Profile.SMOKE and session.options.wants_of("schema")
