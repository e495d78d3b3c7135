"""A caller's own HTTP client, of httpx or of httpx2: hooks, errors, limits, streams, the key."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import httpx
import pytest

from synth_pools import APIConnectionError, APITimeoutError, AsyncContainerPoolsClient
from synth_pools._client.runtime.async_ import io
from tests.support import faults
from tests.support.fault_server import FaultServer, Seen
from tests.support.faults import Fault
from tests.support.leaks import KEY, count_threads, holders, traceback_with_locals
from tests.support.ports import HOST, HeldPort
from tests.support.surface import P, R

EVENT = b'id: %d\ndata: {"sequence": %d}\n\n'
LAST = b'id: 3\ndata: {"sequence": 3, "event": "rollout.completed"}\n\n'


NO_GZIP = faults.raw(faults.message(b"no gzip", 200, {"Content-Encoding": "gzip"}))


def client_of(server: FaultServer | str, http: Any, **options: Any) -> AsyncContainerPoolsClient:
    url = server if isinstance(server, str) else server.url
    options = {"max_retries": 0, "timeout": 20, **options}
    return AsyncContainerPoolsClient(api_key=KEY, base_url=url, http_client=http, **options)


class RequestError(Exception):
    """Error of another library, with the name of one of httpx's."""


@pytest.mark.parametrize("kind", [RequestError, LookupError, KeyboardInterrupt])
@pytest.mark.parametrize("when", ["request", "response"])
async def test_what_a_hook_raises_comes_through(
    server: FaultServer, supplied: ModuleType, kind: type[BaseException], when: str
) -> None:
    refuses = True

    async def hook(_: Any) -> None:
        if refuses:
            raise kind("no")

    limits = supplied.Limits(max_connections=1)
    async with supplied.AsyncClient(event_hooks={when: [hook]}, limits=limits) as http:
        client = client_of(server, http, max_retries=3)
        for _ in range(2):
            with pytest.raises(kind, match="^no$") as caught:
                await client.get_pool(P)
            assert KEY not in traceback_with_locals(caught.value)
            assert holders(caught.value) == []
        refuses = False
        assert await client.get_pool(P) == {"ok": True}, "its connection came back"
    assert len(server.requests) == (3 if when == "response" else 1), "none was repeated"


async def test_what_a_hook_raises_for_the_library_is_an_error_of_ours(
    server: FaultServer, supplied: ModuleType
) -> None:
    async def hook(_: Any) -> None:
        raise supplied.ReadTimeout("too late")

    async with supplied.AsyncClient(event_hooks={"response": [hook]}) as http:
        with pytest.raises(APITimeoutError) as caught:
            await client_of(server, http).get_pool(P)
    assert isinstance(caught.value, httpx.TimeoutException)
    assert caught.value.cause == "ReadTimeout"
    assert caught.value.__cause__ is caught.value.__context__ is None


async def test_no_request_that_a_hook_has_seen_keeps_the_key(
    server: FaultServer, supplied: ModuleType
) -> None:
    messages: list[Any] = []
    keys: list[str] = []

    async def note(message: Any) -> None:
        messages.append(message)
        keys.append(getattr(message, "request", message).headers["authorization"])

    server.play([faults.answer(), faults.answer({"detail": KEY}, 401), faults.reset()])
    hooks = {"request": [note], "response": [note]}
    async with supplied.AsyncClient(event_hooks=hooks, auth=supplied.BasicAuth("a", "b")) as http:
        client = client_of(server, http)
        await client.get_pool(P)
        for _ in range(2):
            with pytest.raises(Exception, match="/v1/pools") as caught:
                await client.get_pool(P)
            assert KEY not in traceback_with_locals(caught.value)
            assert holders(caught.value) == []
        assert holders([http, client]) == []
    assert len(keys) == 5
    assert set(keys) == {f"Bearer {KEY}"}
    requests = [getattr(message, "request", message) for message in messages]
    assert holders([request.headers.raw for request in requests]) == []


async def test_a_redirect_to_another_origin_is_not_followed(
    server: FaultServer, supplied: ModuleType
) -> None:
    foreign = "http://127.0.0.1:1/v1/pools/other"
    server.play([faults.redirect(foreign, status) for status in (301, 302, 303, 307, 308)])
    async with supplied.AsyncClient(follow_redirects=True) as http:
        for _ in range(5):
            with pytest.raises(httpx.HTTPStatusError, match="redirects are not followed"):
                await client_of(server, http).get_pool(P)
    assert len(server.requests) == 5


async def test_a_cookie_is_kept_by_the_client_that_is_supplied(
    server: FaultServer, supplied: ModuleType
) -> None:
    server.play([faults.answer({}, Set_Cookie="lane=7; Path=/"), faults.answer()])
    async with supplied.AsyncClient() as http:
        for _ in range(2):
            await client_of(server, http).get_pool(P)
    assert [request.headers.get("cookie") for request in server.requests] == [None, "lane=7"]


@pytest.mark.parametrize(
    ("fault", "cause"),
    [
        (faults.stall(), "ReadTimeout"),
        (faults.reset(), "ReadError"),
        (faults.close(), "RemoteProtocolError"),
        (faults.cut(len(faults.OK) - 5), "RemoteProtocolError"),
        (faults.junk(), "RemoteProtocolError"),
        (NO_GZIP, "DecodingError"),
    ],
)
async def test_an_exchange_that_fails(
    server: FaultServer, supplied: ModuleType, fault: Fault, cause: str
) -> None:
    async with supplied.AsyncClient(timeout=None) as http:
        client = client_of(server, http)
        await client.get_pool(P)
        server.play(fault)
        limit = httpx.Timeout(20, read=0.2 if cause == "ReadTimeout" else 20)
        with pytest.raises(APIConnectionError) as caught:
            await client.with_options(timeout=limit).get_pool(P)
    assert (caught.value.cause, caught.value.sent) == (cause, True)
    assert isinstance(caught.value, httpx.TransportError)
    assert isinstance(caught.value, APITimeoutError) == (cause == "ReadTimeout")
    assert KEY not in traceback_with_locals(caught.value)


async def test_it_asks_for_what_is_decoded_in_bounded_steps_alone(
    server: FaultServer, supplied: ModuleType
) -> None:
    """A few bytes of another coding can hold a gigabyte."""
    async with supplied.AsyncClient(headers={"Accept-Encoding": "br, gzip, zstd"}) as http:
        client = client_of(server, http)
        await client.get_pool(P)
        assert server.requests[-1].headers["accept-encoding"] == "gzip"
        server.play(faults.raw(faults.message(b"{}", 200, {"Content-Encoding": "zstd"})))
        assert await client.get_pool(P) == {}


async def test_a_server_that_is_not_there(supplied: ModuleType) -> None:
    with HeldPort() as port:
        async with supplied.AsyncClient() as http:
            with pytest.raises(APIConnectionError) as caught:
                await client_of(f"http://{HOST}:{port.number}", http).create_pool({"name": "x"})
    assert (caught.value.cause, caught.value.sent) == ("ConnectError", False)


async def test_a_transport_with_errors_of_its_own(
    server: FaultServer, supplied: ModuleType, waits: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Treat an error that is derived from one of the library's as that one is treated."""

    class NoTicket(supplied.ConnectError):  # type: ignore[name-defined,misc]
        pass

    tickets = iter([False, True])

    class Gate(supplied.AsyncHTTPTransport):  # type: ignore[name-defined,misc]
        async def handle_async_request(self, request: Any) -> Any:
            if not next(tickets, False):
                raise NoTicket("no ticket")
            return await super().handle_async_request(request)

    async def note(seconds: float) -> None:
        waits.append(seconds)

    async with supplied.AsyncClient(transport=Gate()) as http:
        client = client_of(server, http, max_retries=1)
        monkeypatch.setattr(client._transport, "sleep", note)
        assert await client.create_pool({"name": "x"}) == {"ok": True}
        with pytest.raises(APIConnectionError) as caught:
            await client.create_pool({"name": "x"})
    assert (caught.value.cause, caught.value.sent) == ("ConnectError", False)
    assert (len(server.requests), len(waits)) == (1, 2)


async def test_a_deadline(server: FaultServer, supplied: ModuleType) -> None:
    async with supplied.AsyncClient() as http:
        client = client_of(server, http)
        assert await client.with_options(deadline=20).get_pool(P) == {"ok": True}
        server.play(faults.stall_at(20))
        with pytest.raises(APITimeoutError, match="within the deadline") as caught:
            await client.with_options(deadline=0.3).get_pool(P)
        assert caught.value.cause == "DeadlineExceeded"
        assert KEY not in traceback_with_locals(caught.value)
        server.kick()
        server.play()
        assert await client.get_pool(P) == {"ok": True}


ENDLESS = {
    "silence": faults.stall(),
    "silence in the body": faults.stall_at(len(faults.OK) - 4),
    "a head in single bytes": faults.dribble(0.02),
    "a body in single bytes": faults.chunked([b" "] * 10_000, pause=0.02),
}


@pytest.mark.parametrize("name", ENDLESS)
async def test_expired_deadlines_leave_nothing_behind(
    server: FaultServer, supplied: ModuleType, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A busy machine may take long for a few turns of the loop.
    monkeypatch.setattr(io, "_TURNS_SECONDS", 60.0, raising=False)
    limits = supplied.Limits(max_connections=4)
    async with supplied.AsyncClient(limits=limits) as http:
        # One connection is there before the client is.
        assert (await http.get(server.url)).status_code == 200
        client = client_of(server, http, max_retries=0)
        hasty = client.with_options(deadline=0.05)
        before = count_threads()
        server.play(ENDLESS[name])
        for _ in range(50):
            with pytest.raises(APITimeoutError, match="within the deadline"):
                await hasty.get_pool(P)
        assert count_threads() <= before
        assert not http._transport._pool.connections
        server.play()
        assert await client.get_pool(P) == {"ok": True}
        assert (await http.get(server.url)).status_code == 200


async def test_a_deadline_holds_over_a_transport_of_the_callers_own(
    server: FaultServer, supplied: ModuleType
) -> None:
    class Own(supplied.AsyncHTTPTransport):  # type: ignore[misc, name-defined]
        """Transport whose waits the client does not know."""

    async with supplied.AsyncClient(transport=Own()) as http:
        server.play(faults.stall())
        with pytest.raises(APITimeoutError, match="within the deadline"):
            await client_of(server, http, max_retries=0, deadline=0.05).get_pool(P)
        server.kick()


def one_stream_that_breaks(request: Seen) -> Fault:
    if not request.path.endswith("/events"):
        return faults.answer()
    if "last-event-id" in request.headers or request.query:
        return faults.events([LAST])
    return faults.events([EVENT % (1, 1), EVENT % (2, 2)], end="reset")


async def test_a_stream_is_taken_up_again_and_gives_its_connection_back(
    server: FaultServer, supplied: ModuleType
) -> None:
    server.play(choose=one_stream_that_breaks)
    limits = supplied.Limits(max_connections=1)
    async with supplied.AsyncClient(limits=limits) as http:
        async with client_of(server, http, max_retries=2) as client:
            events = [event async for event in client.rollouts.events(P, R)]
            assert [event["sequence"] for event in events] == [1, 2, 3]
            async with client.rollouts.events(P, R) as stream:
                assert (await anext(stream))["sequence"] == 1
                with pytest.raises(APITimeoutError) as caught:
                    await client.with_options(timeout=0.2, max_retries=0).get_pool(P)
                assert (caught.value.cause, caught.value.sent) == ("PoolTimeout", False)
            assert await client.get_pool(P) == {"ok": True}
        assert not http.is_closed
        assert (await http.get(server.url)).status_code == 200


@pytest.mark.parametrize("most", [1, 7])
async def test_its_own_limit_of_connections_is_known(supplied: ModuleType, most: int) -> None:
    http = supplied.AsyncClient(limits=supplied.Limits(max_connections=most))
    async with http, AsyncContainerPoolsClient(api_key=KEY, http_client=http) as client:
        assert client._transport.most_calls == most
