"""Log, hooks and spans of a client."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest

from synth_pools import (
    APIConnectionError,
    AsyncContainerPoolsClient,
    NotFoundError,
    RequestInfo,
    ResponseInfo,
    ServerError,
)
from synth_pools._client.instrumentation.tracing import span
from tests.support import faults
from tests.support.fault_server import FaultServer
from tests.support.leaks import KEY
from tests.support.surface import P, R
from tests.support.tracing import recorded_spans

SIGNED = "signature-4711"
SECRET_BODY: dict[str, Any] = {"seed": 1, "metadata": {"hush": "body-4711"}}


def messages(caplog: pytest.LogCaptureFixture, level: int) -> list[str]:
    return [
        record.getMessage()
        for record in caplog.records
        # Backends of other tests write into loggers below it.
        if record.name == "synth_pools" and record.levelno == level
    ]


async def test_one_line_of_debugging_for_each_attempt(
    server: FaultServer, client: AsyncContainerPoolsClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="synth_pools")
    script = [faults.html(502), faults.answer({}, 200, X_Request_Id="req_1")]
    server.play(script, keeps_keys=True)
    await client.create_rollout(P, SECRET_BODY)
    first, retry, question, second = messages(caplog, logging.DEBUG)
    assert first.startswith(f"POST /v1/pools/{P}/rollouts -> 502 in ")
    assert "attempt 1" in first
    assert "retry 1 of 2 in" in retry
    assert question.startswith("GET /v1/capabilities -> 200 in ")
    assert f"POST /v1/pools/{P}/rollouts -> 200 in " in second
    assert "ms, attempt 2, request id req_1" in second


async def test_normal_use_is_silent_above_debugging(
    server: FaultServer, client: AsyncContainerPoolsClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="synth_pools")
    server.play([faults.answer(), faults.reset(), faults.answer(), faults.answer({}, 404)])
    await client.get_pool(P)
    await client.get_pool(P)
    with pytest.raises(NotFoundError):
        await client.get_pool(P)
    assert [record for record in caplog.records if record.name == "synth_pools"] == []


async def test_the_last_retry_is_a_warning(
    server: FaultServer, client: AsyncContainerPoolsClient, caplog: pytest.LogCaptureFixture
) -> None:
    server.play(faults.answer({"detail": f"{KEY} {SIGNED}"}, 503))
    with pytest.raises(ServerError):
        await client.get_pool(P)
    (warning,) = messages(caplog, logging.WARNING)
    assert warning.startswith(f"GET /v1/pools/{P} -> 503; retry 2 of 2 in ")


async def test_nothing_secret_is_logged(
    server: FaultServer, client: AsyncContainerPoolsClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="synth_pools")
    server.play(
        [
            faults.answer({"echo": KEY, "url": SIGNED}, 200, X_Request_Id=KEY),
            faults.answer({"detail": f"{KEY} {SIGNED}"}, 500, X_Request_Id=KEY),
            faults.reset(),
        ]
    )
    view = client.with_options(headers={"X-Own": SIGNED}, max_retries=0)
    await view.create_rollout(P, SECRET_BODY)
    with pytest.raises(ServerError):
        await view.list_pools(cursor=SIGNED)
    with pytest.raises(APIConnectionError):
        await view.list_pools(cursor=SIGNED)
    text = "\n".join(messages(caplog, logging.DEBUG))
    assert text.count("\n") == 2
    assert "RequestError" not in text
    for secret in (KEY, SIGNED, "body-4711", "Bearer"):
        assert secret not in text
        assert not any(secret in repr(record.args) for record in caplog.records)


def recording_hooks(**settings: Any) -> tuple[list[Any], dict[str, Any]]:
    infos: list[Any] = []
    return infos, {"on_request": infos.append, "on_response": infos.append, **settings}


@pytest.mark.parametrize("hook", ["on_request", "on_response"])
async def test_one_hook_needs_no_other(server: FaultServer, hook: str) -> None:
    infos: list[Any] = []
    settings: dict[str, Any] = {hook: infos.append}
    async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url, **settings) as client:
        await client.get_pool(P)
    assert len(infos) == 1


async def test_hooks_see_every_attempt(server: FaultServer) -> None:
    infos, settings = recording_hooks(api_key=KEY, base_url=server.url)
    server.play(
        [
            faults.reset(),
            faults.answer({}, 429, Retry_After="0.01", X_Request_Id="req_1"),
            faults.answer({}, 200, X_Request_Id="req_2", Set_Cookie="hush"),
        ],
        keeps_keys=True,
    )
    async with AsyncContainerPoolsClient(**settings) as client:
        await client.rollouts.create(P, SECRET_BODY)
    assert [type(info) for info in infos] == [RequestInfo, ResponseInfo] * 5
    # Before each repetition the service is asked whether it keeps keys.
    questions = [*infos[2:4], *infos[6:8]]
    assert {info.operation for info in questions} == {"get_capabilities"}
    infos = [info for info in infos if info not in questions]
    requests, responses = infos[::2], infos[1::2]
    assert [info.attempt for info in requests] == [1, 2, 3]
    assert {(info.operation, info.method, info.path) for info in infos} == {
        ("create_rollout", "POST", f"/v1/pools/{P}/rollouts")
    }
    # The log contains headers unchanged, and some headers of an answer are secrets.
    assert not any("headers" in repr(info) or "hush" in repr(info) for info in infos)
    keys = {info.headers["idempotency-key"] for info in requests}
    assert keys == {server.requests[0].headers["idempotency-key"]}
    assert [info.status_code for info in responses] == [None, 429, 200]
    assert [info.request_id for info in responses] == [None, "req_1", "req_2"]
    lost_answer, refused, well = responses
    assert isinstance(lost_answer.error, APIConnectionError)
    assert lost_answer.headers == {}
    assert refused.error.retry_after == 0.01
    assert well.error is None
    assert well.headers["content-type"] == "application/json"
    assert all(0 < info.seconds < 10 for info in responses)
    for info in infos:
        assert KEY not in repr(info)
        assert "headers" not in repr(info)
        assert not {"authorization", "set-cookie"} & set(info.headers)
        assert KEY not in str(dict(info.headers))


async def test_hooks_see_streams(server: FaultServer) -> None:
    infos, settings = recording_hooks(api_key=KEY, base_url=server.url)
    server.play(faults.events([b'data: {"event": "rollout.completed"}\n\n']))
    async with AsyncContainerPoolsClient(**settings) as client:
        assert len([event async for event in client.stream_rollout_events(P, R)]) == 1
    request, response = infos
    assert request.operation == response.operation == "stream_rollout_events"
    assert response.status_code == 200


async def test_views_keep_the_hooks(server: FaultServer) -> None:
    infos, settings = recording_hooks(api_key=KEY, base_url=server.url)
    async with AsyncContainerPoolsClient(**settings) as client:
        await client.with_options(timeout=3).get_pool(P)
    assert len(infos) == 2


async def test_a_hook_that_fails_costs_nothing(
    server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(info: object) -> None:
        raise RuntimeError("a mistake")

    async with AsyncContainerPoolsClient(
        api_key=KEY, base_url=server.url, on_request=fail, on_response=fail
    ) as client:
        assert await client.get_pool(P) == {"ok": True}
    logged = messages(caplog, logging.ERROR)
    assert logged == ["on_request raised; the call goes on", "on_response raised; the call goes on"]


async def test_a_call_is_a_span(server: FaultServer, client: AsyncContainerPoolsClient) -> None:
    server.play([faults.html(502), faults.answer(), faults.answer({"detail": KEY}, 404)])
    with recorded_spans() as spans:
        await client.get_pool(P)
        with pytest.raises(NotFoundError):
            await client.get_pool(P)
    well, failed_span = spans
    assert well.name == failed_span.name == "GET /v1/pools/{pool_id}"
    assert well.kind.name == "CLIENT"
    assert well.attributes is not None
    assert dict(well.attributes) == {
        "http.request.method": "GET",
        "server.address": "127.0.0.1",
        "server.port": int(server.url.rpartition(":")[2]),
        "synth_pools.operation": "get_pool",
        "url.template": "/v1/pools/{pool_id}",
    }
    assert well.status.status_code.name == "UNSET"
    assert failed_span.status.status_code.name == "ERROR"
    # The text of an error may be any text of the service.
    assert failed_span.status.description is None
    assert not failed_span.events
    assert failed_span.attributes is not None
    assert failed_span.attributes["error.type"] == "NotFoundError"
    assert failed_span.attributes["http.response.status_code"] == 404
    assert KEY not in failed_span.to_json()


async def test_what_is_no_error_of_a_call_is_not_written_into_its_span() -> None:
    """Its text may hold anything of the program, and it is not a failure of the service."""
    opened = span("get_pool", "GET", "/v1", "http://127.0.0.1:9")
    with recorded_spans() as spans, pytest.raises(LookupError), opened:
        raise LookupError(SIGNED)
    (only,) = spans
    assert only.events == ()
    assert only.status.is_unset
    assert SIGNED not in only.to_json()


async def test_spans_add_nothing_to_the_wire(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    await client.get_pool(P)
    with recorded_spans():
        await client.get_pool(P)
    plain, traced = server.requests
    assert traced.headers == plain.headers


async def test_who_asks_is_told(server: FaultServer, client: AsyncContainerPoolsClient) -> None:
    from synth_pools import __version__

    await client.get_pool(P)
    assert server.requests[0].headers["user-agent"] == f"synth-pools/{__version__}"


async def test_a_correlation_id_goes_through_as_it_is(
    server: FaultServer, client: AsyncContainerPoolsClient
) -> None:
    await client.create_rollout(P, {"trace_correlation_id": "Ä-1 "})
    assert server.requests[0].json == {"trace_correlation_id": "Ä-1 "}


async def test_a_retry_says_how_the_connection_ended(
    server: FaultServer, client: AsyncContainerPoolsClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, logger="synth_pools")
    server.play([faults.reset(), faults.answer({})])
    await client.get_pool(P)
    (retry,) = (text for text in messages(caplog, logging.DEBUG) if "retry" in text)
    # The exception has the name that it has in the HTTP library.
    assert re.match(rf"GET /v1/pools/{P} -> (Read|Write|RemoteProtocol)Error; retry 1 of ", retry)
