"""Adapter of schemathesis: its engine's events become plain data of the kit.

The engine's entry function is not part of the tool's documented surface, so its minor version is
pinned and nothing else in the kit imports it.
"""

from __future__ import annotations

import atexit
import contextlib
import shutil
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any
from urllib.parse import unquote

import hypothesis.configuration
import schemathesis
from requests import RequestException
from schemathesis import engine as schemathesis_engine
from schemathesis.core.failures import Failure
from schemathesis.core.transport import Response
from schemathesis.engine import Status, events
from schemathesis.engine.recorder import Interaction, ScenarioRecorder
from schemathesis.generation.case import Case
from schemathesis.hooks import HookContext

from synth_pools.contract.fuzzing.engine import (
    TIME_IS_UP,
    CheckedExchange,
    EngineProblem,
    EngineSettings,
    FailedCheck,
    GeneratedRequest,
)
from synth_pools.contract.fuzzing.time_limit import events_in_time
from synth_pools.contract.http.reproduce import KEY, MASKED
from synth_pools.contract.results import Exchange

# Recorded bodies are judged, so they must be complete.
_WHOLE = {"enabled": False, "max-recorded-payload-size": 0}
_HIDDEN_HEADERS = {"x-schemathesis-testcaseid"}


def run_engine(
    spec: Mapping[str, Any], settings: EngineSettings, *, tick: Callable[[str, int], None]
) -> Iterator[CheckedExchange | EngineProblem]:
    """Run the engine until it is done or the deadline has passed.

    Args:
        spec: The document.
        settings: The settings.
        tick: A callback for the phase and the number of requests so far.

    Yields:
        Each exchange with its results, and each problem.

    Raises:
        KeyboardInterrupt: The engine was interrupted.
    """
    scratch = tempfile.mkdtemp(prefix="synth-pools-contract-")
    # Also at the end of the process: a worker of an interrupted run may still write.
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    with _quiet():
        hypothesis.configuration.set_hypothesis_home_dir(scratch)
        try:
            yield from _run(spec, settings, tick)
        finally:
            hypothesis.configuration.set_hypothesis_home_dir(None)
            shutil.rmtree(scratch, ignore_errors=True)


def _run(
    spec: Mapping[str, Any], settings: EngineSettings, tick: Callable[[str, int], None]
) -> Iterator[CheckedExchange | EngineProblem]:
    config = schemathesis.Config.from_dict(_configuration(settings))
    schema: Any = schemathesis.openapi.from_dict(dict(spec), config=config)
    if settings.read_only:
        # To include one method has no effect beside a configuration of single operations.
        described = {method.upper() for item in spec["paths"].values() for method in item}
        if others := sorted(described - {"GET"}):
            schema = schema.exclude(method=others)
    if settings.without:
        schema = schema.exclude(operation_id=sorted(settings.without))
    names = {
        f"{method.upper()} {path}": operation["operationId"]
        for path, item in spec["paths"].items()
        for method, operation in item.items()
        if isinstance(operation, dict) and "operationId" in operation
    }
    _register_hooks(schema, settings, names)
    stream = schemathesis_engine.from_schema(schema).execute()
    request_count = 0
    try:
        for event in events_in_time(stream, settings.deadline, is_stopped=settings.is_stopped):
            if isinstance(event, events.ScenarioFinished):
                request_count += len(event.recorder.interactions)
                tick(str(event.phase.value), request_count)
            yield from _found(event, settings, names)
    finally:
        # No worker may go on sending, even if the run is interrupted.
        stream.stop()
    if time.monotonic() > settings.deadline:
        yield EngineProblem(None, TIME_IS_UP, False)


def _found(
    event: events.EngineEvent, settings: EngineSettings, names: Mapping[str, str]
) -> Iterator[CheckedExchange | EngineProblem]:
    if isinstance(event, events.ScenarioFinished):
        if event.status is not Status.SKIP:
            yield from _judged(event.recorder, str(event.phase.value), settings, names)
    elif isinstance(event, events.NonFatalError):
        yield _problem(event, names)
    elif isinstance(event, events.FatalError):
        yield EngineProblem(None, f"{type(event.exception).__name__}: {event.exception}", False)
    elif isinstance(event, events.Interrupted) and not (
        # This package itself stopped the engine.
        time.monotonic() > settings.deadline or settings.is_stopped()
    ):
        raise KeyboardInterrupt


def _configuration(settings: EngineSettings) -> dict[str, Any]:
    phases: dict[str, Any] = {
        name: {"enabled": name in settings.phases}
        for name in ("examples", "coverage", "fuzzing", "stateful")
    }
    # Without the methods that proxies and routers answer themselves; a read-only run tries
    # none.
    phases["coverage"]["unexpected-methods"] = (
        ["GET", "PUT", "POST", "DELETE", "PATCH"]
        if "unsupported_method" in settings.checks and not settings.read_only
        else []
    )
    # Ids in responses may belong to pools of others.
    for name in ("examples", "coverage", "fuzzing"):
        phases[name]["extra-data-sources"] = {"responses": False}
    phases["stateful"] |= {"max-steps": settings.steps, "inference": {"algorithms": []}}
    accepted = ["2xx", "304", "401", "403", "404", "409", "416", "429", "431", "5xx"]
    refused = ["400", "401", "403", "404", "405", "409", "413", "415", "422", "429", "431", "5xx"]
    access = settings.access
    auth, key_headers = _auth(settings)
    connection: dict[str, Any] = {
        "headers": {**access.headers, **key_headers},
        "tls-verify": str(access.ca) if access.ca else True,
        "request-cert": str(access.client_cert) if access.client_cert else None,
        "request-cert-key": str(access.client_key) if access.client_key else None,
        "proxy": access.proxy,
    }
    return {
        **{name: value for name, value in connection.items() if value},
        "base-url": settings.url,
        "seed": settings.seed,
        "cache": {"enabled": False},
        "workers": 1,
        "continue-on-failure": True,
        "request-timeout": settings.request_timeout,
        "max-stream-events": settings.stream_events,
        "max-redirects": 0,
        "suppress-health-check": ["all"],
        "warnings": False,
        "analysis": {"constants": {"enabled": False}},
        **({"auth": {"openapi": auth}} if auth else {}),
        "output": {"sanitization": {"enabled": False}, "truncation": _WHOLE},
        "generation": {
            "max-examples": settings.examples,
            "no-shrink": True,
            "database": "none",
            "allow-x00": False,
            "codec": "utf-8",
        },
        "phases": phases,
        "operations": [
            {
                "include-operation-id": sorted(settings.uncovered),
                "phases": {**phases, "coverage": {**phases["coverage"], "enabled": False}},
            }
        ]
        if settings.uncovered
        else [],
        "checks": {
            "enabled": False,
            **{name: {"enabled": True} for name in settings.checks},
            "positive_data_acceptance": {
                "enabled": "positive_data_acceptance" in settings.checks,
                "expected-statuses": accepted,
            },
            "negative_data_rejection": {
                "enabled": "negative_data_rejection" in settings.checks,
                "expected-statuses": refused,
            },
        },
    }


def _auth(settings: EngineSettings) -> tuple[dict[str, Any], dict[str, str]]:
    """Return the key by its security scheme, or as a header."""
    place, key = settings.key_place, settings.api_key.reveal()
    if place is None:
        return {"bearer": {"bearer": key}}, {}
    if not key:
        return {}, {}
    if place.where == "header":
        return {}, {place.name: f"{place.prefix}{key}"}
    return {place.scheme: {"api_key": key}}, {}


def _register_hooks(schema: Any, settings: EngineSettings, names: Mapping[str, str]) -> None:
    def filter_case(_: HookContext, case: Case[Any]) -> bool:
        # HTTP clients and servers normalize empty and dotted segments to another path.
        return not any(_changes_on_the_way(value) for value in case.path_parameters.values())

    def map_case(_: HookContext, case: Case[Any]) -> Case[Any]:
        settings.retarget(_request(case, names))
        return case

    def after_call(_: HookContext, case: Case[Any], response: Response) -> None:
        operation = names.get(case.operation.label, case.operation.label)
        settings.observe(operation, response.status_code, response.content or b"")

    def before_add_examples(_: HookContext, examples: list[Case[Any]]) -> None:
        # The document's own examples pass none of the other hooks.
        for case in examples:
            settings.retarget(_request(case, names))

    for hook in (filter_case, map_case, before_add_examples, after_call):
        schema.hook(hook)


def _request(case: Case[Any], names: Mapping[str, str]) -> GeneratedRequest:
    meta = case.meta
    parts = {} if meta is None else meta.components
    negative = (str(place.value) for place, part in parts.items() if part.mode.is_negative)
    return GeneratedRequest(
        names.get(case.operation.label, case.operation.label),
        case.method,
        case.path_parameters,
        case.headers,
        case.body,
        frozenset(negative),
    )


def _changes_on_the_way(value: object) -> bool:
    text = unquote(str(value))
    return text in ("", ".", "..") or any(ord(char) < 32 or ord(char) == 127 for char in text)


def _judged(
    recorder: ScenarioRecorder, phase: str, settings: EngineSettings, names: Mapping[str, str]
) -> Iterator[CheckedExchange]:
    exchanges: dict[str, Exchange] = {}
    for case_id, interaction in recorder.interactions.items():
        label = recorder.cases[case_id].value.operation.label
        operation = names.get(label, label)
        exchanges[case_id] = _exchange(interaction, operation, settings)
    for case_id, exchange in exchanges.items():
        checks = recorder.checks.get(case_id, [])
        failed = tuple(
            _failed(recorder, exchanges, case_id, node.name, node.failure_info.failure)
            for node in checks
            if node.status is Status.FAILURE and node.failure_info is not None
        )
        passed = tuple(node.name for node in checks if node.status is Status.SUCCESS)
        yield CheckedExchange(exchange.operation or "", phase, exchange, passed, failed)


def _failed(
    recorder: ScenarioRecorder,
    exchanges: Mapping[str, Exchange],
    case_id: str,
    check: str,
    failure: Failure,
) -> FailedCheck:
    """Return a failure with the requests before it; the check's extra request is last."""
    cases = recorder.iter_chain_cases(
        case_id=failure.case_id or case_id, related_case_ids=failure.related_case_ids()
    )
    chain = tuple(exchanges[case.id] for case in cases if case.id in exchanges)
    return FailedCheck(check, failure.title, failure.message, chain)


def _exchange(interaction: Interaction, operation: str, settings: EngineSettings) -> Exchange:
    request, response = interaction.request, interaction.response
    headers = tuple(
        (name, _shown_value(name, value, settings))
        for name, values in request.headers.items()
        for value in map(str, values)
        if name.lower() not in _HIDDEN_HEADERS
    )
    uri = request.uri
    if settings.key_place is not None and (key := settings.api_key.reveal()):
        uri = uri.replace(key, KEY)
        headers = tuple((name, value.replace(key, KEY)) for name, value in headers)
    call = Exchange(request.method, uri, headers, request.body, operation=operation)
    if response is None:
        return replace(call, trouble="no answer within the time limit, or the connection broke")
    received = ((name, value) for name, values in response.headers.items() for value in values)
    return replace(
        call,
        status=response.status_code,
        response_headers=tuple(received),
        response_body=response.content or b"",
        elapsed=response.elapsed,
        trouble="left before its end" if response.stream_cut_short else None,
    )


def _shown_value(name: str, value: str, settings: EngineSettings) -> str:
    if name.lower() in {header.lower() for header in settings.access.headers}:
        return "***"
    return MASKED if value == f"Bearer {settings.api_key.reveal()}" else value


def _problem(event: events.NonFatalError, names: Mapping[str, str]) -> EngineProblem:
    operation = names.get(event.label) if event.related_to_operation else None
    title = event.info.title
    network = isinstance(event.value, RequestException) or title in (
        "Network Error",
        "Unresponsive Operation",
        "Unhealthy API",
    )
    lines = [title, *event.info.message.splitlines(), *event.info.extras]
    text = "; ".join(line.strip() for line in lines if line.strip())
    return EngineProblem(operation, text[:400], network)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
