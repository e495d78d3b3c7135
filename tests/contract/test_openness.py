"""Freedom of backends: one that uses every freedom of the document conforms."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from synth_pools.contract import run_contract
from synth_pools.contract.results import Outcome
from synth_pools.local import LocalBackend
from tests.contract.faults.fault import (
    DOCUMENT,
    KEY,
    Blocks,
    Fault,
    Passing,
    error_response,
    json_response,
)
from tests.contract.faults.proxy import FaultProxy
from tests.contract.faults.wire import Request, Response, header
from tests.contract.selftest.serving import LOOPBACK
from tests.support.unanswered import waits_of

_EVERYTHING = tuple(DOCUMENT.operations)
_LATER_NAMES = {"pools", "tasks", "rollouts", "artifacts", "releases"}
_PREPARING_SECONDS = 0.3


async def _after(request: Request, response: Response, passing: Passing) -> Response:
    altered = Response(response.status, response.headers, response.body)
    downloaded = header(response.headers, "content-type") != "application/json"
    value = response.json()
    if downloaded or not isinstance(value, dict) or "_container_" in passing.operation:
        return altered
    if response.status >= 400:
        # The older form of an error may be there or not.
        if len(request.target) % 2:
            value.pop("detail", None)
        return altered.with_json(value)
    for thing in (value, *value.get("items", [])):
        _freely(thing, request.method)
    _prepares(value, request, response.status, passing)
    if "items" in value and passing.operation != "create_rollout_batch":
        for name in _LATER_NAMES & value.keys():
            value[name] = value["items"]
    return altered.with_json(value)


def _freely(thing: dict[str, Any], method: str) -> None:
    """Leave out an error's details, add fields, and show times of whole seconds in another zone."""
    (thing.get("error") or {}).pop("details", None)
    thing["x_of_the_future"] = {"any": ["thing"]}
    for task in thing.get("tasks") or []:
        # Added fields may differ from answer to answer.
        task["x_of_the_future"] = method
    for part in (thing, thing.get("timing") or {}, *(thing.get("tasks") or [])):
        for name in ("created_at", "updated_at"):
            if name in part:
                part[name] = part[name][:19] + "+00:00"


def _prepares(value: dict[str, Any], request: Request, status: int, passing: Passing) -> None:
    """Show a new pool as preparing for a moment."""
    if passing.operation == "create_pool" and status == 201:
        passing.memory[value["id"]] = time.monotonic()
    for thing in (value, *value.get("items", [])):
        created = passing.memory.get(thing.get("id"), 0.0)
        new = time.monotonic() < created + _PREPARING_SECONDS and not request.query
        if new and thing.get("status") == "active" and "tasks" in thing:
            thing["status"] = thing["state"] = "building"


async def _before(request: Request, passing: Passing) -> Response | None:
    count = passing.memory["count"] = passing.memory.get("count", 0) + 1
    if count % 40 == 0:
        busy = error_response(429, "too_many_requests")
        busy.headers.append(("Retry-After", "0"))
        return busy
    pool_id = passing.ids.get("pool_id")
    if passing.operation == "create_global_rollout":
        body = request.json()
        pool_id = body.get("pool_id") if isinstance(body, dict) else None
    created = passing.memory.get(pool_id, 0.0) if isinstance(pool_id, str) else 0.0
    new = time.monotonic() < created + _PREPARING_SECONDS
    if new and passing.operation in ("create_rollout", "create_global_rollout"):
        return error_response(409, "pool_not_active")
    return None


async def _stream(request: Request, blocks: Blocks, passing: Passing) -> Blocks:
    yield b"\xef\xbb\xbf: hello\r\nretry: 1000\r\n\r\n"
    number = 0
    async for block in blocks:
        number += 1
        yield block.replace(b"\n", b"\r\n")
        if number == 1:
            yield b"event: heartbeat\r\ndata: {}\r\n\r\n"


# Wait for 15 seconds of silence.
_SILENCE = ("events.heartbeat", "pool_events.heartbeat")
_FREE = Fault("free", "none", (), _EVERYTHING, before=_before, after=_after, stream=_stream)


def _waits_of(backend: LocalBackend) -> str:
    run = backend._run
    assert run is not None
    assert run.thread._loop is not None
    return waits_of(run.thread._loop)


@pytest.mark.system
@pytest.mark.timeout(600)
def test_every_freedom_at_once() -> None:
    with LocalBackend(api_key=KEY) as backend, FaultProxy(backend.url, _FREE, KEY) as proxy:
        report = run_contract(
            proxy.url,
            api_key=KEY,
            seed=1,
            profile="quick",
            # The skipped checks send much and read few of the altered answers.
            skip=("schema", *_SILENCE, "values", "errors.invalid", "errors.too_large"),
        )
        # An unanswered request waits still: the proxy does not notice a closed connection.
        is_stalled = any("no answer within" in group.first.got for group in report.groups)
        waits = _waits_of(backend) if is_stalled else ""
    departed = [f"{g.first.check} {g.operations}: {g.first.expected}; {g.first.got}"
            for g in report.groups]  # fmt: skip
    assert (departed, report.obstacles) == ([], ()), waits
    assert report.exit_code == 0


async def _no_slow_rollouts(request: Request, passing: Passing) -> Response | None:
    """Offer no echo target, and refuse loopback by policy."""
    if passing.operation == "get_capabilities":
        return json_response(200, {"targets": ["arbitrary"], "features": {}, "version": "1"})
    if LOOPBACK.search(request.body):
        return error_response(403, "forbidden_container_url")
    return None


@pytest.mark.timeout(600)
def test_states_that_cannot_be_produced_are_named() -> None:
    strict = Fault("strict", "none", (), _EVERYTHING, before=_no_slow_rollouts)
    with LocalBackend(api_key=KEY) as backend, FaultProxy(backend.url, strict, KEY) as proxy:
        report = run_contract(
            proxy.url,
            api_key=KEY,
            seed=1,
            only=("pools", "cancel", "states", "events", "containers"),
            skip=_SILENCE,
        )
    assert (report.departures, report.exit_code) == ((), 0)
    unreached = {o.check for o in report.outcomes if o.outcome is Outcome.NOT_REACHED}
    assert {"cancel.running", "states.arrows", "events.live", "containers.sent"} <= unreached
    assert json.dumps([o.note for o in report.outcomes if o.check == "cancel.running"])


async def _less_exactly(request: Request, response: Response, passing: Passing) -> Response:
    """Show times in whole seconds, in queries in other texts, and no configuration."""
    value = response.json()
    if not isinstance(value, dict):
        return response
    for thing in (value, *value.get("items", [])):
        for name in {"created_at", "started_at", "finished_at"} & thing.keys():
            thing[name] = thing[name] and f"{thing[name][:19]}Z"
        for name in {"configuration", "configuration_digest"} & thing.keys():
            thing[name] = None
    if columns := value.get("columns"):
        value["rows"] = [list(map(_in_sql, columns, row)) for row in value["rows"]]
    return response.with_json(value)


def _in_sql(column: str, value: Any) -> Any:
    """Show a time in milliseconds without its zone, and no configuration."""
    if value and (column.endswith("_at") or column == "timestamp"):
        return f"{value[:10]} {value[11:23]}"
    return None if column == "configuration_digest" else value


@pytest.mark.system
def test_less_exact_answers() -> None:
    checks = ("runs.configuration", "queries.rows", "queries.columns", "states.shares")
    fault = Fault("less_exact", "none", (), _EVERYTHING, after=_less_exactly)
    with LocalBackend(api_key=KEY) as backend, FaultProxy(backend.url, fault, KEY) as proxy:
        report = run_contract(proxy.url, api_key=KEY, seed=1, only=checks)
    assert (report.exit_code, report.obstacles) == (0, ())
