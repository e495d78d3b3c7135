"""Requests and results, compared with those of the published SDK call by call."""

from __future__ import annotations

import asyncio
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from synth_pools import (
    AsyncContainerPoolsClient,
    AsyncSynthClient,
    ContainerPoolsClient,
    SynthClient,
)
from tests.support.published import drive
from tests.support.recording import Recorded, RecordingServer, Reply
from tests.support.surface import CALLS, CONTENTS, FILES, LATER, Call, P

KEY = "sk_test_parity_0123456789"

# Floats, nulls, big integers, unknown fields and states must be returned unchanged.
ANSWER = (
    b'{"id": "x", "state": "from_the_future", "score": 1.0, "big": 12345678901234567890123,'
    b' "tiny": 1e-9, "none": null, "created_at": "2026-01-01T00:00:00Z", "items": [{"a": []}],'
    b' "extra": {"\\u00e9": "\xc3\xbc"}}'
)
EVENTS = (
    b'data: {"event": "rollout.started", "rollout_id": "r", "n": 1.0}\n\n',
    b': heartbeat\n\nid: 2\nevent: reward\ndata: {"event": "reward", "extra": null}\n\n',
    b'id: 3\ndata: {"event": "rollout.completed"}\n\n',
)


def answer(request: Recorded) -> Reply:
    if request.path.endswith("/events"):
        return Reply.events(*EVENTS)
    return Reply(body=ANSWER)


@pytest.fixture
def server() -> Iterator[RecordingServer]:
    with RecordingServer(answer) as server:
        yield server


def sync_results(settings: dict[str, Any], calls: list[Call]) -> list[Any]:
    returned = []
    with ContainerPoolsClient(**settings) as client:
        for call in calls:
            value = call.on(client)
            returned.append(list(value) if call.is_stream else value)
    return returned


def async_results(settings: dict[str, Any], calls: list[Call]) -> list[Any]:
    async def run() -> list[Any]:
        returned = []
        async with AsyncContainerPoolsClient(**settings) as client:
            for call in calls:
                value = call.on(client)
                returned.append([e async for e in value] if call.is_stream else await value)
        return returned

    return asyncio.run(run())


def on_the_wire(request: Recorded) -> dict[str, Any]:
    return {
        "method": request.method,
        "target": request.target,
        "body": request.body,
        "json": request.json,
        "authorization": request.headers.get("authorization"),
        "content-type": request.headers.get("content-type"),
    }


@pytest.mark.parametrize("variant", [sync_results, async_results])
def test_every_call_sends_and_returns_the_same(server: RecordingServer, variant: Any) -> None:
    settings = {"api_key": KEY, "base_url": server.url}
    reference = drive(settings, CALLS)
    expected = [on_the_wire(request) for request in server.requests]
    server.requests.clear()

    returned = variant(settings, CALLS)

    requests = [on_the_wire(request) for request in server.requests]
    for call, expected_request, actual_request in zip(CALLS, expected, requests, strict=True):
        assert actual_request == expected_request, str(call)
        assert actual_request["authorization"] == f"Bearer {KEY}", str(call)
    for call, expected_request, actual_request in zip(CALLS, reference, returned, strict=True):
        assert actual_request == expected_request, str(call)
        assert repr(actual_request) == repr(expected_request), f"{call}: 1 and 1.0 differ in JSON"


def _parts(name: str) -> tuple[str, str, str]:
    return name.partition(".")


def test_the_table_holds_the_whole_published_surface() -> None:
    reference = {call.name.split(".")[0] if "." in call.name else call.name for call in CALLS}
    public = {
        name
        for name, value in inspect.getmembers(ContainerPoolsClient)
        if not name.startswith("_") and (inspect.isfunction(value) or name == "raw")
    }
    additions = {"close", "with_options", "iter_pools", "iter_rollouts", "iter_global_rollouts"}
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
    reference, *actual = [on_the_wire(request) for request in server.requests]
    assert actual == [reference, reference]
    assert reference["authorization"] == f"Bearer {KEY}"


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
    first, second = [on_the_wire(request) for request in server.requests]
    assert first == second
    assert first["target"] == f"/v1/pools/{P}"


def test_signatures_are_those_of_the_published_client() -> None:
    source = Path(__file__).parents[2] / "support/published_signatures.txt"
    expected = dict(
        re.split(r"(?=\()", line, maxsplit=1) for line in source.read_text("utf-8").splitlines()
    )
    for name, signature in expected.items():
        for kind in (ContainerPoolsClient, AsyncContainerPoolsClient):
            parameters = inspect.signature(getattr(kind, name)).parameters.values()
            plain = [
                parameter.replace(annotation=inspect.Parameter.empty)
                for parameter in parameters
                if parameter.name != "idempotency_key"
            ]
            assert str(inspect.Signature(plain)) == signature, f"{kind.__name__}.{name}"
