# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/httpx_engine.py

"""Engines over httpx: a client of it or of httpx2 that the caller supplied, and one of our own."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from typing import Any, cast

from synth_pools._client.http import URL, Client, Request, Response, SyncByteStream
from synth_pools._client.http.content_encoding import decodable
from synth_pools._client.http.httpx_pool import (
    check_client,
    expire_surplus,
    failure_of,
    give_back,
    pool_of,
    renew,
)
from synth_pools._client.http.messages import ExchangeError, OutgoingRequest, ResponseHeaders
from synth_pools._client.http.sync_.engine import (
    Engine,
    HTTPClient,
    IncomingResponse,
)
from synth_pools._client.http.sync_.httpx_client import wake_reader
from synth_pools._client.runtime.sync_.interrupts import Alarm, limit_waiting
from synth_pools._client.secret import Secret


class HttpxEngine(Engine):
    """Engine over a caller-supplied HTTP client, with all that it does to a request.

    Attributes:
        http: The client.
        alarm: Wakes whoever waits for it.

    Raises:
        ConfigurationError: It is no client of httpx or httpx2, or one of the other variant.
    """

    is_callers = True

    def __init__(self, http: HTTPClient, alarm: Alarm) -> None:
        check_client(http, Client.__name__)
        self.http = http
        self.alarm = alarm

    @property
    def is_closed(self) -> bool:
        return self.http.is_closed

    def headers_of(self, request: OutgoingRequest) -> Mapping[str, str]:
        return self._build(request).headers

    def send(self, request: OutgoingRequest, secret: Secret) -> IncomingResponse:
        failure: ExchangeError | None = None
        try:
            response = self.alarm.call(self._send, self._build(request), secret)
        except Exception as error:
            failure = failure_of(error)
            if failure is None:
                raise
        else:
            answer = _Response(response, request.url, self.alarm, is_callers=self.is_callers)
            if "transfer-encoding" not in answer.headers or "content-length" not in answer.headers:
                return answer
            answer.close()
            problem = "the answer has both a length and chunks"
            failure = ExchangeError("RemoteProtocolError", problem)
        raise failure

    def close(self) -> None:
        self.http.close()

    # Each library takes its own requests, authentication and time limits, and refuses those of the
    # other; a function and a tuple both take.

    def _build(self, request: OutgoingRequest) -> Request:
        built: Request = self.http.build_request(
            request.method,
            request.url,
            headers=request.headers,
            content=request.content,
            timeout=request.limits,
        )
        # Of what else the caller's library decodes, a few bytes may become a gigabyte at once.
        asked = built.headers.get("Accept-Encoding")
        if asked is not None:
            built.headers["Accept-Encoding"] = decodable(asked)
        return built

    def _send(self, request: Request, secret: Secret) -> Response:
        auth = functools.partial(_authorize, secret)
        try:
            response: Response = self.http.send(
                request, auth=auth, follow_redirects=False, stream=True
            )
        finally:
            # Answers and errors hold on to their request.
            request.headers.pop("Authorization", None)
        return response


class DirectHttpxEngine(HttpxEngine):
    """Engine over an HTTP client of our own, straight to its transport.

    What `send` of httpx adds to that takes a third of a whole call on the loopback interface:
    hooks, cookies, authentication and redirects, none of which a client of ours has.
    """

    is_callers = False

    def __init__(self, http: Client, alarm: Alarm, base_url: str) -> None:
        super().__init__(http, alarm)
        url = URL(base_url)
        self._host = url.netloc.decode("ascii")
        # What the environment says about proxies is decided in there, once for one host.
        self._transport = http._transport_for_url(url)
        self._pool = pool_of(self._transport)

    def _build(self, request: OutgoingRequest) -> Request:
        limits = request.limits._asdict()
        limits["pool"] = limit_waiting(limits["pool"])
        return Request(
            request.method,
            _parsed(request.url),
            headers=request.connection_headers(self._host),
            content=request.content,
            extensions={"timeout": limits},
        )

    def _send(self, request: Request, secret: Secret) -> Response:
        if self.http.is_closed:
            raise RuntimeError("the HTTP client is closed")
        _authorize(secret, request)
        try:
            response = self._transport.handle_request(request)
        except BaseException:
            if self._pool is not None:
                self._pool._close_connections(renew(self._pool))
            raise
        finally:
            del request.headers["Authorization"]
        response.request = request
        if self._pool is not None:
            response.stream = _OwnBody(cast("SyncByteStream", response.stream), self._pool)
        return response


@functools.lru_cache(maxsize=512)
def _parsed(url: str) -> URL:
    # A pool, a rollout's state or the first page of a list are asked for again and again.
    return URL(url)


class _Response(IncomingResponse):
    __slots__ = ("_alarm", "_response")

    def __init__(self, response: Response, url: str, alarm: Alarm, *, is_callers: bool) -> None:
        super().__init__(response.status_code, ResponseHeaders(response.headers.raw), url)
        self.is_shared = response.extensions.get("http_version") == b"HTTP/2"
        self.is_callers = is_callers
        self._alarm = alarm
        self._response = response
        self._chunks = None

    def read(self, most: int) -> None:
        try:
            self._alarm.call(super().read, most)
        except TimeoutError:
            # Raised further down: nothing is to refer to the connection's own frames.
            pass
        else:
            return
        raise ExchangeError("ReadError", "the client was closed")

    def pieces(self) -> Iterator[bytes]:
        return _translated(cast("SyncByteStream", self._response.stream))

    def wake(self) -> None:
        wake_reader(self._response)

    def close(self) -> None:
        self._response.close()


def _translated(body: Any) -> Iterator[bytes]:
    failure: ExchangeError | None = None
    try:
        for piece in body:
            yield piece
    except Exception as error:
        failure = failure_of(error)
        if failure is None:
            raise
    if failure is not None:
        raise failure


class _OwnBody(SyncByteStream):
    """Body after which its connection is used again only if nothing else came over it."""

    def __init__(self, body: SyncByteStream, pool: Any) -> None:
        self._body = body
        self._pool = pool

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._body)

    def close(self) -> None:
        expire_surplus(self._body)
        try:
            self._body.close()
        finally:
            if give_back(self._pool, self._body):
                self._pool._close_connections(renew(self._pool))


def _authorize(secret: Secret, request: Request) -> Request:
    request.headers["Authorization"] = f"Bearer {secret.reveal()}"
    return request
