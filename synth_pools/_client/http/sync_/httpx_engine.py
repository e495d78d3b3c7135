# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/http/async_/httpx_engine.py

"""Engine over an HTTP client of httpx or httpx2: a caller's, or a plain one for proxies."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from ssl import SSLContext
from typing import Any

from synth_pools._client.http import Client, Limits, Request, Response
from synth_pools._client.http.content_encoding import decodable
from synth_pools._client.http.httpx_clients import (
    check_client,
    failure_of,
    is_multiplexed,
    limit_sockets,
)
from synth_pools._client.http.messages import (
    ExchangeError,
    OutgoingRequest,
    PoolLimits,
    ResponseHeaders,
)
from synth_pools._client.http.sync_.engine import Engine, HTTPClient, IncomingResponse
from synth_pools._client.runtime.sync_.interrupts import Alarm
from synth_pools._client.runtime.sync_.io import end_reading
from synth_pools._client.secret import Secret

_ENDED_BY_CONNECTION = (b"HTTP/1.0", b"HTTP/1.1")
_LENGTHS = ("content-length", "transfer-encoding")


def plain_client(context: SSLContext, limits: PoolLimits, proxy: str | None) -> Client:
    """Return an HTTP client over a proxy, or None, that keeps no cookies."""
    bounds = Limits(
        max_connections=limits.connections,
        max_keepalive_connections=limits.idle,
        keepalive_expiry=limits.idle_seconds,
    )
    no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))
    return Client(limits=bounds, verify=context, cookies=no_cookies, proxy=proxy, trust_env=False)


class HttpxEngine(Engine):
    """Engine over an HTTP client, including everything that the client adds to a request.

    Args:
        http: The client.
        alarm: Wakes the calls that wait for it.
        is_own: Whether the client has no other users, so that the alarm may end its connections.

    Attributes:
        keeps_limits: Whether its sockets keep to the time limit of the thread that uses them.
        is_multiplexed: Whether its requests may share a connection.

    Raises:
        ConfigurationError: The client is not from httpx or httpx2, or is of the other variant.
    """

    def __init__(self, http: HTTPClient, alarm: Alarm, *, is_own: bool = False) -> None:
        check_client(http, Client.__name__)
        self.http = http
        self.alarm = alarm
        self.keeps_limits = limit_sockets(http, alarm if is_own else None)
        self.is_multiplexed = is_multiplexed(http)

    @property
    def is_closed(self) -> bool:
        return self.http.is_closed

    def headers_of(self, request: OutgoingRequest) -> Mapping[str, str]:
        headers: Mapping[str, str] = self._build(request).headers
        return headers

    def send(self, request: OutgoingRequest, secret: Secret) -> IncomingResponse:
        failure: ExchangeError | None = None
        try:
            response = self.alarm.call(self._send, self._build(request), secret)
        except Exception as error:
            failure = failure_of(error)
            if failure is None:
                raise
        else:
            answer = _Response(response, request.url, self)
            if "transfer-encoding" not in answer.headers or "content-length" not in answer.headers:
                return answer
            answer.close()
            problem = "the answer has both a length and chunks"
            failure = ExchangeError("RemoteProtocolError", problem)
        raise failure

    def close(self) -> None:
        self.http.close()

    # For requests, authentication and time limits each library refuses objects of the other's
    # classes, and accepts tuples and functions.

    def _build(self, request: OutgoingRequest) -> Any:
        built = self.http.build_request(
            request.method,
            request.url,
            headers=request.headers,
            content=request.content,
            timeout=request.limits,
        )
        # With other codings, which httpx decodes at once, a few bytes may become a gigabyte.
        codings = built.headers.get("Accept-Encoding")
        if codings is not None:
            built.headers["Accept-Encoding"] = decodable(codings)
        return built

    def _send(self, request: Request, secret: Secret) -> Response:
        auth = functools.partial(_authorize, secret)
        try:
            response: Response = self.http.send(
                request, auth=auth, follow_redirects=False, stream=True
            )
        finally:
            # Responses and errors refer to their request.
            request.headers.pop("Authorization", None)
        return response


class _Response(IncomingResponse):
    __slots__ = ("_alarm", "_response")

    def __init__(self, response: Response, url: str, engine: HttpxEngine) -> None:
        super().__init__(response.status_code, ResponseHeaders(response.headers.raw), url)
        version = response.extensions.get("http_version")
        self.is_shared = version == b"HTTP/2"
        # HTTP/2, and a transport of the caller's own, tell the end of a body without a length.
        if version in _ENDED_BY_CONNECTION:
            self.has_length = not self.headers.keys().isdisjoint(_LENGTHS)
        self.keeps_limits = engine.keeps_limits
        self._alarm = engine.alarm
        self._response = response
        self._chunks = None

    def read(self, size_limit: int) -> None:
        try:
            self._alarm.call(super().read, size_limit)
        except TimeoutError:
            # Raised below, where nothing refers to the frames of the connection.
            pass
        else:
            return
        raise ExchangeError("ReadError", "the client was closed")

    def pieces(self) -> Iterator[bytes]:
        return _translated(self._response.stream)

    def wake(self) -> None:
        end_reading(self._response, is_shared=self.is_shared)

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


def _authorize(secret: Secret, request: Request) -> Request:
    request.headers["Authorization"] = f"Bearer {secret.reveal()}"
    return request
