"""Places of the API key: the Authorization header on the wire, and no other."""

from __future__ import annotations

import logging
from typing import Any

import httpx
import pytest

from synth_pools import (
    APIConnectionError,
    APIStatusError,
    APITimeoutError,
    AsyncContainerPoolsClient,
    AsyncSynthClient,
    ConfigurationError,
    RequestValidationError,
    ResponseDecodeError,
    StreamDecodeError,
    SynthPoolsError,
)
from tests.support.leaks import KEY, holders, reachable, traceback_with_locals
from tests.support.ports import LARGE, deaf_listener
from tests.support.recording import RecordingServer, Reply
from tests.support.surface import Call, P, R

ECHO = f'{{"detail": "the key {KEY} is wrong"}}'.encode()


@pytest.mark.one_library
def test_the_search_finds_what_is_there() -> None:
    class Slotted:
        __slots__ = ("inner",)

    slotted = Slotted()
    slotted.inner = {"a": [(KEY.encode(),)]}  # type: ignore[attr-defined]
    assert holders({"x": slotted}) == [KEY.encode()]
    assert holders(Slotted()) == []


async def test_clients_do_not_hold_it(
    server: RecordingServer, client: AsyncContainerPoolsClient, library: str
) -> None:
    front_door = AsyncSynthClient(api_key=KEY, base_url=server.url)
    for holder in (client, front_door):
        assert KEY not in repr(holder)
        assert KEY not in str(holder)
    await client.create_rollout(P, {"seed": 1})
    await front_door.pools.get_pool(P)
    server.reply_with(Reply.events(b"data: {}\n\n"))
    stream = client.stream_rollout_events(P, R)
    await stream.__anext__()
    await stream.aclose()
    assert server.last.headers["authorization"] == f"Bearer {KEY}"
    server.reply_with(Reply())
    await client.get_pool(P)
    assert holders([client, front_door, stream]) == []
    searched = {type(item).__name__ for item in reachable(client)}
    connection = {"httpx": "HTTP11Connection", "sockets": "Connection"}[library]
    assert any(connection in name for name in searched), "connections were searched too"
    await front_door.aclose()


@pytest.mark.one_library
@pytest.mark.parametrize(
    "setting",
    [
        {"timeout": -1},
        {"timeout_seconds": "x"},
        {"max_retries": -1},
        {"base_url": "nonsense"},
        {"base_url": KEY},
        {"backend_base": f"http://user:{KEY}@host"},
        {"http_client": object()},
        {"api_key": f"{KEY}\n{KEY}"},
        {"api_key": KEY.encode()},
    ],
)
def test_a_refused_configuration_does_not_show_it(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AsyncContainerPoolsClient(**{"api_key": KEY, **setting})
    assert KEY not in str(caught.value)
    assert holders(caught.value) == []
    # A key in another argument is not recognised, and tracebacks contain arguments.
    if KEY not in repr({name: value for name, value in setting.items() if name != "api_key"}):
        assert KEY not in traceback_with_locals(caught.value)


@pytest.mark.parametrize("setting", [{"timeout": -1}, {"base_url": "x"}, {"http_client": 7}])
def test_a_refused_front_door_does_not_show_it(setting: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError) as caught:
        AsyncSynthClient(**{"api_key": KEY, **setting})
    assert KEY not in traceback_with_locals(caught.value)


FAILURES: list[tuple[Reply | None, type[SynthPoolsError]]] = [
    (None, APIConnectionError),
    (Reply(cut=True), APIConnectionError),
    (Reply(401, ECHO, {"X-Request-ID": KEY, "X-Echo": f"Bearer {KEY}"}), APIStatusError),
    (Reply(302, b"", {"Location": "/v1/pools"}), APIStatusError),
    (Reply(500, f"<title>{KEY}</title>".encode()), APIStatusError),
    (Reply(200, f"not JSON: {KEY}".encode()), ResponseDecodeError),
]


@pytest.mark.parametrize(("reply", "kind"), FAILURES)
async def test_failed_calls_do_not_show_it(
    server: RecordingServer,
    client: AsyncContainerPoolsClient,
    reply: Reply | None,
    kind: type[SynthPoolsError],
) -> None:
    server.reply_with(reply or (lambda _: None))
    for call in (
        Call("create_pool", ({"name": "x"},)),
        Call("rollouts.create", (P, {"seed": 1})),
        Call("get_pool", (P,)),
    ):
        with pytest.raises(kind) as caught:
            await call.on(client)
        clean(caught.value)
    if reply is not None and reply.status != 200:
        with pytest.raises(kind) as caught:
            await client.stream_rollout_events(P, R).__anext__()
        clean(caught.value)
    assert f"Bearer {KEY}" in server.last.headers["authorization"]


def clean(error: BaseException) -> None:
    assert KEY not in str(error)
    assert KEY not in traceback_with_locals(error)
    assert holders(error) == []
    assert error.__cause__ is None
    assert error.__context__ is None
    # Nor in objects that local variables of our frames refer to.
    step = error.__traceback__
    while step is not None:
        if "synth_pools" in step.tb_frame.f_code.co_filename:
            requests = {k: v for k, v in step.tb_frame.f_locals.items() if k in ("request", "call")}
            assert holders(requests) == []
        step = step.tb_next


async def test_a_refused_connection_does_not_show_it() -> None:
    client = AsyncContainerPoolsClient(api_key=KEY, base_url="http://127.0.0.1:1")
    with pytest.raises(APIConnectionError) as caught:
        await client.get_pool(P)
    clean(caught.value)
    with pytest.raises(APIConnectionError) as caught:
        await client.stream_rollout_events(P, R).__anext__()
    clean(caught.value)
    await client.aclose()


async def test_a_timeout_does_not_show_it(server: RecordingServer) -> None:
    def answer(_: object) -> Reply:
        server.client_left.wait(60)
        return Reply()

    server.reply_with(answer)
    client = AsyncContainerPoolsClient(api_key=KEY, base_url=server.url, timeout=0.2)
    with pytest.raises(APITimeoutError) as caught:
        await client.create_pool({"name": "x" * 100})
    clean(caught.value)
    server.client_left.set()
    await client.aclose()
    # A call that fails while the request is sent.
    with deaf_listener() as deaf:
        limits = httpx.Timeout(0.2, connect=60)
        client = AsyncContainerPoolsClient(api_key=KEY, base_url=deaf, timeout=limits)
        with pytest.raises(APITimeoutError, match="WriteTimeout|ReadTimeout") as caught:
            await client.create_pool({"name": LARGE})
        clean(caught.value)
        await client.aclose()


async def test_a_refused_request_does_not_show_it(client: AsyncContainerPoolsClient) -> None:
    requests: tuple[dict[str, Any], ...] = ({"a": {1}}, {"a": float("nan")})
    for request in requests:
        with pytest.raises(RequestValidationError) as caught:
            await client.create_pool(request)
        clean(caught.value)
    with pytest.raises(RequestValidationError) as caught:
        await client.get_pool("x" * 100_000)
    clean(caught.value)


async def test_a_broken_stream_does_not_show_it(
    server: RecordingServer, client: AsyncContainerPoolsClient
) -> None:
    server.reply_with(Reply.events(b"data: {}\n\n", cut=True))
    stream = client.stream_rollout_events(P, R)
    await stream.__anext__()
    with pytest.raises(APIConnectionError) as caught:
        await stream.__anext__()
    clean(caught.value)
    server.reply_with(Reply.events(f"data: {KEY}\n\n".encode()))
    with pytest.raises(StreamDecodeError) as decoding:
        await client.stream_rollout_events(P, R).__anext__()
    assert KEY not in str(decoding.value)
    assert holders(decoding.value) == []


async def test_logs_do_not_show_it(
    server: RecordingServer, caplog: pytest.LogCaptureFixture, library: str
) -> None:
    caplog.set_level(logging.DEBUG)
    async with AsyncContainerPoolsClient(api_key=KEY, base_url=server.url) as client:
        await client.get_pool(P)
        server.reply_with(Reply(500, ECHO))
        with pytest.raises(APIStatusError):
            await client.create_pool({"name": "x"})
        server.reply_with(lambda _: None)
        with pytest.raises(APIConnectionError):
            await client.create_pool({"name": "x"})
    if library == "httpx":
        assert any(record.name.startswith("httpcore") for record in caplog.records)
    assert any(record.name == "synth_pools" for record in caplog.records)
    for record in caplog.records:
        assert KEY not in record.getMessage()
        assert KEY not in repr(record.args)
