"""Single calls: requests, refusals, answers."""

from __future__ import annotations

import gzip
import json
import math
import uuid
from typing import Any

import httpx
import pytest

from synth_pools import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncContainerPoolsClient,
    ConflictError,
    PoolTarget,
    RequestValidationError,
    ResponseDecodeError,
)
from tests.support.document import OPERATIONS, resolve
from tests.support.leaks import KEY
from tests.support.recording import Recorded, RecordingServer, Reply
from tests.support.surface import EVERY, Call, P, R, T

HTML = b"<html><title>Sign in</title>" + b"<p>x</p>" * 1000


@pytest.mark.one_library
@pytest.mark.parametrize("status", [200, 201, 202, 204])
async def test_an_empty_body_is_an_empty_object(
    server: RecordingServer, client: AsyncContainerPoolsClient, status: int
) -> None:
    server.reply_with(Reply(status, b"", {}))
    assert await client.delete_pool(P) == {}


@pytest.mark.one_library
@pytest.mark.parametrize("body", [b"[1.0, null]", b'"text"', b"0", b"null", b'{"a": {}}', b"{}"])
async def test_any_json_comes_back_as_it_is(
    server: RecordingServer, client: AsyncContainerPoolsClient, body: bytes
) -> None:
    server.reply_with(Reply(body=body))
    answer: Any = await client.get_pool(P)
    assert repr(answer) == repr(json.loads(body))


async def test_a_compressed_body_is_read(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    packed = gzip.compress(b'{"id": "x"}')
    server.reply_with(Reply(body=packed, headers={"Content-Encoding": "gzip"}))
    assert await client.get_pool(P) == {"id": "x"}
    server.reply_with(Reply(body=b"not gzip", headers={"Content-Encoding": "gzip"}))
    with pytest.raises(APIConnectionError, match="DecodingError"):
        await client.get_pool(P)
    server.reply_with(
        Reply(409, gzip.compress(b'{"detail": "Taken"}'), {"Content-Encoding": "gzip"})
    )
    with pytest.raises(ConflictError, match="Taken") as caught:
        await client.get_pool(P)
    assert caught.value.response.json() == {"detail": "Taken"}


@pytest.mark.one_library
@pytest.mark.parametrize("body", [HTML, b"{'a': 1}", b"{", b" ", b"\xff\xfe", b"9" * 5000])
async def test_a_body_that_is_no_json_is_shown_by_its_beginning(
    server: RecordingServer, client: AsyncContainerPoolsClient, body: bytes
) -> None:
    server.reply_with(Reply(body=body, headers={"X-Request-ID": "req_5"}))
    with pytest.raises(ResponseDecodeError, match="GET /v1/pools/pool_1 -> 200") as caught:
        await client.get_pool(P)
    error = caught.value
    assert error.excerpt == body[:200].decode("utf-8", "replace")
    assert (error.status_code, error.request_id) == (200, "req_5")
    assert error.__context__ is None, "the decoder's exception carries the whole body"


@pytest.mark.parametrize(
    ("pool_id", "segment"),
    [
        ("a/b", "a%2Fb"),
        ("a b", "a%20b"),
        ("50%", "50%25"),
        ("%2e%2e", "%252e%252e"),
        ("ü/€", "%C3%BC%2F%E2%82%AC"),
        ("a?b#c", "a%3Fb%23c"),
        ("../../v2", "..%2F..%2Fv2"),
        ("...", "..."),
        ("~-._:@", "~-._%3A%40"),
        ("\n", None),
        (PoolTarget.HARBOR, "harbor"),
    ],
)
async def test_ids_are_percent_encoded(
    server: RecordingServer, client: AsyncContainerPoolsClient, pool_id: str, segment: str | None
) -> None:
    if segment is None:
        with pytest.raises(RequestValidationError):
            await client.get_rollout(pool_id, R)
        return
    await client.get_rollout(pool_id, R)
    assert server.last.target == f"/v1/pools/{segment}/rollouts/{R}"


@pytest.mark.one_library
@pytest.mark.parametrize("bad", ["", " ", ".", "..", None, 7])
async def test_every_id_of_every_call_is_guarded(
    server: RecordingServer, client: AsyncContainerPoolsClient, bad: Any
) -> None:
    attempt_count = 0
    for call in EVERY:
        for position, value in enumerate(call.args):
            if value not in (P, T, R):
                continue
            name = {P: "pool_id", T: "task_id", R: "rollout_id"}[value]
            args = (*call.args[:position], bad, *call.args[position + 1 :])
            with pytest.raises(ValueError, match=name) as caught:
                await make_call(client, call._replace(args=args))
            assert isinstance(caught.value, RequestValidationError)
            attempt_count += 1
    assert attempt_count > 60
    assert server.connections == 0


async def make_call(client: AsyncContainerPoolsClient, call: Call) -> Any:
    value = call.on(client)
    # A stream refuses its arguments at once, before it is iterated.
    if not call.is_stream:
        value = await value
    return value


@pytest.mark.one_library
async def test_an_id_longer_than_any_url_is_refused(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    with pytest.raises(RequestValidationError, match="URL"):
        await client.get_pool("x" * 100_000)
    assert server.connections == 0


@pytest.mark.one_library
@pytest.mark.parametrize("value", [{"x": 1, "seed": 1, "a": 2}, None, [], "seed"])
async def test_rollout_requests_are_checked_before_they_are_sent(
    server: RecordingServer, client: AsyncContainerPoolsClient, value: Any
) -> None:
    words = "unsupported keys: a, x " if isinstance(value, dict) else "must be a mapping"
    for call in (
        Call("create_rollout", (P, value)),
        Call("rollouts.create", (P, value)),
        Call("create_global_rollout", (value,)),
        Call("agent_rollouts.create", (value,)),
    ):
        with pytest.raises(ValueError, match=words):
            await make_call(client, call)
    assert server.connections == 0


@pytest.mark.one_library
@pytest.mark.parametrize(
    "value", [None, [], "x", 7, {"a": math.nan}, {"a": [math.inf]}, {"a": {1}}, {"a": b"x"}]
)
async def test_bodies_that_are_no_json_objects_are_refused_before_they_are_sent(
    server: RecordingServer, client: AsyncContainerPoolsClient, value: Any
) -> None:
    for call in EVERY:
        if call.args and isinstance(call.args[-1], dict):
            # The keys of a rollout request are checked first; they are valid here.
            bad = {"env": value} if isinstance(value, dict) else value
            with pytest.raises(ValueError, match="request"):
                await make_call(client, call._replace(args=(*call.args[:-1], bad)))
    assert server.connections == 0


@pytest.mark.one_library
@pytest.mark.parametrize("name", ["list_pools", "list_rollouts", "list_global_rollouts"])
@pytest.mark.parametrize(
    "bad", [{"limit": "7"}, {"limit": 1.5}, {"limit": True}, {"state": 7}, {"cursor": b""}]
)
async def test_parameters_of_the_wrong_type_are_refused_before_they_are_sent(
    server: RecordingServer, client: AsyncContainerPoolsClient, name: str, bad: dict[str, Any]
) -> None:
    args = (P,) if name == "list_rollouts" else ()
    with pytest.raises(RequestValidationError, match=next(iter(bad))):
        await make_call(client, Call(name, args, bad))
    assert server.connections == 0


async def test_parameters_that_are_none_are_not_sent(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    await client.list_pools(state=None, limit=5, cursor=None)
    assert server.last.query == [("limit", "5")]
    await client.list_pools(state="", cursor="")
    assert server.last.query == [("state", ""), ("limit", "100"), ("cursor", "")]


async def test_an_idempotency_key_is_made_if_none_is_given(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    for name, args in (
        ("create_rollout", (P, {})),
        ("rollouts.create", (P, {})),
        ("create_global_rollout", ({},)),
        ("agent_rollouts.create", ({},)),
    ):
        await make_call(client, Call(name, args))
        first = uuid.UUID(server.last.headers["idempotency-key"])
        await make_call(client, Call(name, args))
        assert uuid.UUID(server.last.headers["idempotency-key"]) != first
        await make_call(client, Call(name, args, {"idempotency_key": "once-1"}))
        assert server.last.headers["idempotency-key"] == "once-1"
        with pytest.raises(RequestValidationError, match="idempotency_key"):
            await make_call(client, Call(name, args, {"idempotency_key": "two\nlines"}))


LISTS = [
    name
    for name, operation in OPERATIONS.items()
    if any(resolve(part)["name"] == "Prefer" for part in operation.node.get("parameters", ()))
]


@pytest.mark.parametrize("name", LISTS)
async def test_a_list_answers_with_all_that_the_service_has(
    server: RecordingServer, client: AsyncContainerPoolsClient, name: str
) -> None:
    ids = [P] * OPERATIONS[name].path.count("{")
    answer: dict[str, Any] = {"items": [], "pools": [], "next_cursor": None}
    server.reply_with(Reply.json(answer))
    assert await getattr(client, name)(*ids) == answer
    assert "prefer" not in server.last.headers
    wishing = client.with_options(headers={"prefer": "handling=lenient"})
    await getattr(wishing, name)(*ids)
    assert server.last.headers["prefer"] == "handling=lenient"


def test_the_document_has_lists() -> None:
    assert len(LISTS) > 5


async def test_only_iterators_ask_for_less(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    wishing = client.with_options(headers={"X-Team": "a"})
    server.reply_with(Reply.json({"items": [], "next_cursor": None}))
    for items in (wishing.iter_pools(), wishing.rollouts.iter(P), wishing.agent_rollouts.iter()):
        assert [item async for item in items] == []
        assert server.last.headers["prefer"] == "return=minimal"
        assert server.last.headers["x-team"] == "a"
    wishing = client.with_options(headers={"prefer": "handling=lenient"})
    assert [item async for item in wishing.iter_pools()] == []
    assert server.last.headers["prefer"] == "handling=lenient"


async def test_hundreds_of_calls_use_one_connection(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    for number in range(300):
        await client.get_pool(f"pool_{number}")
    assert len(server.requests) == 300
    assert server.connections == 1


async def test_errors_keep_the_connection(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    server.reply_with(Reply.json({"detail": "No"}, 404))
    for _ in range(10):
        with pytest.raises(APIStatusError):
            await client.get_pool(P)
    assert server.connections == 1


async def test_an_error_says_what_was_asked_and_what_the_service_said(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    body = {"detail": "It exists.", "error": {"code": "pool_exists", "message": "-"}}
    server.reply_with(Reply.json(body, 409, x_request_id="req_1", retry_after="3"))
    with pytest.raises(ConflictError) as caught:
        await client.create_pool({"name": "x"})
    error = caught.value
    assert str(error) == "POST /v1/pools -> 409 pool_exists: It exists. (request id req_1)"
    assert (error.code, error.body, error.retry_after) == ("pool_exists", body, 3.0)
    assert error.response.headers["content-type"] == "application/json"
    assert "authorization" not in error.request.headers
    assert "authorization" not in error.response.request.headers
    with pytest.raises(httpx.HTTPStatusError):
        await client.create_pool({"name": "x"})


async def test_a_redirect_is_not_followed(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    with RecordingServer() as elsewhere:
        server.reply_with(Reply(307, b"", {"Location": f"{elsewhere.url}/v1/pools"}))
        with pytest.raises(APIStatusError, match="307 .*redirects are not followed") as caught:
            await client.create_pool({"name": "x"})
        assert elsewhere.connections == 0
    assert type(caught.value) is APIStatusError
    server.reply_with(Reply(302, b"", {"Location": "http://[bad"}))
    with pytest.raises(APIStatusError, match="302"):
        await client.get_pool(P)


async def test_a_refused_connection() -> None:
    client = AsyncContainerPoolsClient(api_key=KEY, base_url="http://127.0.0.1:1")
    with pytest.raises(APIConnectionError, match="GET /v1/pools/pool_1 -> no answer") as caught:
        await client.get_pool(P)
    assert caught.value.cause == "ConnectError"
    assert "[Errno 111]" in str(caught.value)
    assert not isinstance(caught.value, APITimeoutError)
    await client.aclose()


async def test_an_answer_that_breaks_off(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    for answer in (lambda _: None, Reply(cut=True), Reply(stream=(b'{"a"', b":"), cut=True)):
        server.reply_with(answer)
        with pytest.raises(APIConnectionError, match="RemoteProtocolError") as caught:
            await client.get_pool(P)
        assert caught.value.__context__ is None
        assert caught.value.__cause__ is None
    server.reply_with(Reply())
    assert await client.get_pool(P) == {}


async def test_an_answer_that_does_not_come(server: RecordingServer) -> None:
    def answer(request: Recorded) -> Reply:
        server.client_left.wait(60)
        return Reply()

    server.reply_with(answer)
    # A busy machine may need longer to connect than a short limit.
    for limit in (0.2, 2.0, 20.0):
        async with AsyncContainerPoolsClient(
            api_key=KEY, base_url=server.url, timeout_seconds=limit
        ) as client:
            with pytest.raises(APITimeoutError) as caught:
                await client.get_pool(P)
        if not isinstance(caught.value, httpx.ConnectTimeout):
            break
    server.client_left.set()
    assert f"sent nothing for {limit:g} s" in str(caught.value)
    assert isinstance(caught.value, httpx.TimeoutException)


async def test_nested_names_and_raw_are_the_same_client(client: AsyncContainerPoolsClient) -> None:
    assert client.raw is client
    assert client.raw() is client
    assert await client.raw().get_pool(P) == {}
