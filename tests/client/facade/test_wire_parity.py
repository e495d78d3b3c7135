"""Requests, results and errors, compared with those of published SDKs call by call."""

from __future__ import annotations

import ast
import asyncio
import inspect
import json
import zlib
from random import Random
from typing import Any
from urllib.parse import unquote

import httpx
import pytest

from synth_pools import (
    AsyncContainerPoolsClient,
    AsyncSynthClient,
    ContainerPoolsClient,
    SynthClient,
)
from tests.support import faults
from tests.support.fault_server import FaultServer
from tests.support.ports import HOST, HeldPort
from tests.support.published import ANCESTORS, PACKAGES, drive
from tests.support.published_driver import describe
from tests.support.recording import Recorded, RecordingServer, Reply
from tests.support.surface import CALLS, CONTENTS, FILES, LATER, Call, P, R, drawn_calls

KEY = "sk_test_parity_0123456789"
# A repeated call would be another request.
ONCE = {"max_retries": 0}
# Error of 0.17.4 for an answer that is not JSON; earlier releases raised that of `json`.
MISMATCH = "ContractMismatchError"

EVENTS = (
    b'data: {"event": "rollout.started", "rollout_id": "r", "n": 1.0}\n\n',
    b': heartbeat\n\nid: 2\nevent: reward\ndata:  \t{"event": "reward", "extra": null}\n\n',
    # Without its blank line.
    b'id: 3\ndata: {"event": "rollout.completed"}\n',
)
# Floats, nulls, big integers, unknown fields and states must be returned unchanged.
ANSWERS = [
    Reply(
        body=b'{"id": "x", "state": "from_the_future", "score": 1.0, "tiny": 1e-9,'
        b' "big": 12345678901234567890123, "none": null, "created_at": "2026-01-01T00:00:00Z",'
        b' "items": [{"a": []}], "extra": {"\\u00e9": "\xc3\xbc"}}'
    ),
    Reply.json({"pools": [{}], "items": [{}], "next_cursor": None}, 201),
    Reply.json([1, None], 202),
    Reply(body=b""),
    Reply(204, headers={}, body=b""),
    Reply.json(None),
    Reply(body=b"<html>", headers={"Content-Type": "text/html"}),
    Reply.json({"detail": "text"}, 400),
    Reply.json({"detail": [{"loc": ["body"], "msg": "m"}]}, 422, x_request_id="req_1"),
    Reply.json({"error": {"code": "c", "message": "m"}}, 409),
    Reply.json({"detail": {"code": "too_fast"}}, 429, Retry_After="3"),
    Reply(503, body=b"<html>", headers={"Content-Type": "text/html"}),
]


def wire(request: Recorded) -> dict[str, Any]:
    """Return what a service reads of a request, but for the headers that differ on purpose."""
    others = {"accept", "host", "idempotency-key", "user-agent"}
    headers = {name: text for name, text in request.headers.items() if name not in others}
    # Ours percent-encodes more characters of an id.
    path = unquote(request.path)
    return {
        "request": (request.method, path, request.query),
        "body": request.body,
        "headers": headers,
    }


def answer(request: Recorded) -> Reply:
    if request.path.endswith("/events"):
        return Reply.events(*EVENTS)
    return ANSWERS[zlib.crc32(repr(wire(request)["request"]).encode()) % len(ANSWERS)]


def sync_results(settings: dict[str, Any], calls: list[Call]) -> list[Any]:
    returned = []
    with ContainerPoolsClient(**settings) as client:
        for call in calls:
            try:
                value = call.on(client)
                returned.append(list(value) if call.is_stream else value)
            except (httpx.HTTPError, ValueError) as error:
                returned.append(describe(error))
    return returned


def async_results(settings: dict[str, Any], calls: list[Call]) -> list[Any]:
    async def run() -> list[Any]:
        returned = []
        async with AsyncContainerPoolsClient(**settings) as client:
            for call in calls:
                try:
                    value = call.on(client)
                    returned.append([e async for e in value] if call.is_stream else await value)
                except (httpx.HTTPError, ValueError) as error:
                    returned.append(describe(error))
        return returned

    return asyncio.run(run())


def check_same(call: Call, expected: Any, actual: Any) -> None:
    """Compare results; an error of ours also is the error of the published client."""
    if not isinstance(expected, dict) or "raised" not in expected:
        assert actual == expected, str(call)
        assert repr(actual) == repr(expected), f"{call}: 1 and 1.0 differ in JSON"
        return
    assert set(expected["classes"]) <= set(actual["classes"]), str(call)
    if expected["raised"].startswith(MISMATCH):
        assert "json.decoder.JSONDecodeError" in actual["classes"], str(call)
    for part in ("request", "response"):
        expected_part, actual_part = (json.dumps(of.get(part)) for of in (expected, actual))
        assert unquote(actual_part) == unquote(expected_part), str(call)


@pytest.mark.parametrize("release", ANCESTORS)
def test_every_call_sends_and_returns_the_same(server: RecordingServer, release: str) -> None:
    server.reply_with(answer)
    settings = {"api_key": KEY, "base_url": server.url}
    calls = CALLS + drawn_calls(Random(release))
    expected = drive(settings, calls, release=release)
    expected_requests = [*server.requests]
    for variant in (sync_results, async_results):
        server.requests.clear()
        actual = variant({**settings, **ONCE}, calls)
        requests = zip(calls, expected_requests, server.requests, strict=True)
        for call, expected_request, request in requests:
            assert wire(request) == wire(expected_request), str(call)
            if call in CALLS:
                assert request.target == expected_request.target, str(call)
            assert request.headers["authorization"] == f"Bearer {KEY}", str(call)
        for call, expected_result, result in zip(calls, expected, actual, strict=True):
            check_same(call, expected_result, result)


# Each failure, its fault and the exception of the published clients.
FAILURES: dict[str, tuple[faults.Fault, str]] = {
    "refused": (faults.close(), "httpx.ConnectError"),
    "reset": (faults.reset(), "httpx.ReadError"),
    "closed": (faults.close(), "httpx.RemoteProtocolError"),
    "garbage": (faults.junk(), "httpx.RemoteProtocolError"),
    "cut": (faults.cut(10), "httpx.RemoteProtocolError"),
    "silence": (faults.stall(), "httpx.ReadTimeout"),
}


@pytest.mark.parametrize("release", ANCESTORS)
def test_every_failure_raises_the_same(release: str) -> None:
    calls = [
        Call("get_pool", (P,)),
        Call("rollouts.create", (P, {"seed": 1})),
        Call("delete", (P,)),
        Call("agent_rollouts.events", (R,)),
    ]
    # A stream of 0.17.4 has no time limit.
    parts: list[tuple[list[str], list[Call], list[float]]] = [
        ([*FAILURES][:-1], calls, [30]),
        # A busy machine may need longer than a short limit to connect.
        (["silence"], calls[:2], [0.1, 1, 10]),
    ]
    with (
        HeldPort() as closed,
        FaultServer(choose=lambda request: FAILURES[request.path.split("/")[1]][0]) as server,
    ):
        for failures, some, limits in parts:
            urls = {failure: f"{server.url}/{failure}" for failure in failures}
            if "refused" in urls:
                urls["refused"] = f"http://{HOST}:{closed.number}"
            for limit in limits:
                settings = [
                    {"api_key": KEY, "base_url": url, "timeout": limit} for url in urls.values()
                ]
                expected, *variants = [
                    drive(settings, some, release=release),
                    *(
                        [
                            result
                            for keywords in settings
                            for result in variant({**keywords, **ONCE}, some)
                        ]
                        for variant in (sync_results, async_results)
                    ),
                ]
                if "httpx.ConnectTimeout" not in str([expected, *variants]):
                    break
            cases = [(failure, call) for failure in failures for call in some]
            for actual in variants:
                results = zip(cases, expected, actual, strict=True)
                for (failure, call), expected_result, result in results:
                    assert FAILURES[failure][1] in expected_result["classes"], f"{failure}: {call}"
                    check_same(call, expected_result, result)


def _parts(name: str) -> tuple[str, str, str]:
    return name.partition(".")


def test_the_table_holds_the_whole_published_surface() -> None:
    reference = {call.name.split(".")[0] if "." in call.name else call.name for call in CALLS}
    public = {
        name
        for name, value in inspect.getmembers(ContainerPoolsClient)
        if not name.startswith("_") and (inspect.isfunction(value) or name == "raw")
    }
    additions = {
        "close",
        "with_options",
        "iter_pools",
        "iter_rollouts",
        "iter_global_rollouts",
        "iter_runs",
    }
    additions |= {"get_or_create", "get_or_create_pool", "wait_pool_active", "wait_rollout"}
    additions |= {"iter_rollout_event_pages", "iter_global_rollout_event_pages"}
    additions |= {"events", "stream_pool_events", "iter_pool_logs", "follow_logs"}
    later = {call.name for call, _ in (*LATER, *CONTENTS, *FILES)}
    additions |= {name for name in later if "." not in name}
    assert public - additions == reference - {"rollouts", "agent_rollouts", "tasks", "metrics"}
    assert len(public - additions) == 47
    client = ContainerPoolsClient(api_key=KEY)
    for namespace in ("rollouts", "agent_rollouts", "tasks", "metrics"):
        nested = {name for name in dir(getattr(client, namespace)) if not name.startswith("_")}
        nested -= {"iter", "wait", "run", "run_many", "event_pages"}
        # A later method of either variant exists in both.
        sisters = ("rollouts", "agent_rollouts") if "rollouts" in namespace else (namespace,)
        nested -= {short for first, _, short in map(_parts, later) if first in sisters}
        assert nested == {
            call.name.partition(".")[2] for call in CALLS if call.name.startswith(f"{namespace}.")
        }


def test_base_urls_lead_to_the_same_place(server: RecordingServer) -> None:
    endings = ["", "/", "//", "/v1", "/v1/", "/api", "/api/", "/api/v1", "/api/v1/", "/pre/fix/v1"]
    variants = [
        {"api_key": KEY, name: server.url + ending}
        for ending in endings
        for name in ("base_url", "backend_base")
    ]
    calls = [Call("get_pool", (P,))]
    drive(variants, calls)
    reference = [request.target for request in server.requests]
    for variant in (sync_results, async_results):
        server.requests.clear()
        for settings in variants:
            variant(settings, calls)
        assert [request.target for request in server.requests] == reference


def test_the_environment_gives_key_and_address(
    server: RecordingServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    environment = {"SYNTH_API_KEY": f"  {KEY} ", "SYNTH_BACKEND_URL": f"{server.url}/v1"}
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    calls = [Call("get_pool", (P,))]
    drive({}, calls, environment=environment)
    sync_results({}, calls)
    async_results({}, calls)
    expected, *actual = [wire(request) for request in server.requests]
    assert actual == [expected, expected]
    assert expected["headers"]["authorization"] == f"Bearer {KEY}"


def test_backend_base_wins_over_base_url(server: RecordingServer) -> None:
    settings = {
        "api_key": KEY,
        "backend_base": f"{server.url}/first",
        "base_url": f"{server.url}/second",
    }
    calls = [Call("get_pool", (P,))]
    drive(settings, calls)
    sync_results(settings, calls)
    assert [request.target for request in server.requests] == [f"/first/v1/pools/{P}"] * 2


def test_the_front_door_leads_to_the_same_calls(server: RecordingServer) -> None:
    settings: dict[str, Any] = {"api_key": KEY, "base_url": server.url, "timeout": 5.0}

    async def run() -> None:
        async with AsyncSynthClient(**settings) as client:
            await client.pools.get_pool(P)

    with SynthClient(**settings) as client:
        client.pools.get_pool(P)
        assert client.timeout == 5.0
    asyncio.run(run())
    first, second = [wire(request) for request in server.requests]
    assert first == second
    assert server.last.target == f"/v1/pools/{P}"


# Classes of the published module, and what a client of ours has in their place.
CLASSES = {
    "ContainerPoolsClient": "",
    "_PoolRolloutsClient": "rollouts",
    "_AgentRolloutsClient": "agent_rollouts",
    "_PoolTasksClient": "tasks",
    "_PoolMetricsClient": "metrics",
}


@pytest.mark.parametrize("release", ANCESTORS)
def test_signatures_are_those_of_the_published_client(release: str) -> None:
    module = ast.parse((PACKAGES / release / "synth_ai/sdk/pools.py").read_text(encoding="utf-8"))
    methods = [
        (CLASSES[kind.name], method)
        for kind in module.body
        if isinstance(kind, ast.ClassDef) and kind.name in CLASSES
        for method in kind.body
        # `raw` is a property of the published client.
        if isinstance(method, ast.FunctionDef) and method.name.strip("_") == method.name != "raw"
    ]
    assert len(methods) == 68
    for namespace, method in methods:
        # A bound method has no `self`.
        expected = ", ".join(parameters_of(method)[1:])
        for kind in (ContainerPoolsClient, AsyncContainerPoolsClient):
            client: Any = kind(api_key=KEY)
            function = getattr(getattr(client, namespace) if namespace else client, method.name)
            actual = [
                parameter.replace(annotation=inspect.Parameter.empty)
                for parameter in inspect.signature(function).parameters.values()
                if parameter.name not in ("idempotency_key", "filters")
            ]
            assert str(inspect.Signature(actual)) == f"({expected})", f"{kind.__name__}.{function}"
    (created,) = [
        method
        for kind in module.body
        if isinstance(kind, ast.ClassDef) and kind.name == "ContainerPoolsClient"
        for method in kind.body
        if isinstance(method, ast.FunctionDef) and method.name == "__init__"
    ]
    for kind in (ContainerPoolsClient, AsyncContainerPoolsClient):
        settings = {f"{it.name}={it.default}" for it in inspect.signature(kind).parameters.values()}
        assert set(parameters_of(created)[2:]) <= settings


def parameters_of(method: ast.FunctionDef) -> list[str]:
    """Return the parameters of a method with their defaults, without annotations."""
    for argument in (*method.args.args, *method.args.kwonlyargs):
        argument.annotation = None
    return ast.unparse(method.args).split(", ")
