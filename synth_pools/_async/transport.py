"""Sends what the generated request builders describe, and hands back the service's own JSON."""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from typing import Any

import httpx

from synth_pools.config import ClientConfig, Secret
from synth_pools.errors import (
    APIConnectionError,
    APIStatusError,
    ClientClosedError,
    ConfigurationError,
    RequestValidationError,
    ResponseDecodeError,
)
from synth_pools.failures import connection_error, without_frames
from synth_pools.requests import encode_json
from synth_pools.responses import decode_error, status_error

# What a generated `_get_kwargs` returns: method, url (a path), and maybe params, headers, json.
Call = dict[str, Any]

# The service sends a heartbeat every 15 s: this long a silence means that the stream is dead.
_STREAM_SILENCE_SECONDS = 60.0
_CONNECTIONS = 100


class _BearerAuth(httpx.Auth):
    """Puts the key into a request only while it is sent, so that no client object holds it."""

    __slots__ = ("_secret",)

    def __init__(self, secret: Secret) -> None:
        self._secret = secret

    def auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["Authorization"] = f"Bearer {self._secret.reveal()}"
        try:
            yield request
        finally:
            # Answers and errors hold on to their request.
            request.headers.pop("Authorization", None)


class AsyncTransport:
    """Owns one pool of connections, made at the first request, or borrows a caller's client."""

    def __init__(self, config: ClientConfig, http_client: httpx.AsyncClient | None = None) -> None:
        # First of all: tracebacks show half-made transports too.
        self._config = config
        self._closed = False
        if http_client is not None and not isinstance(http_client, httpx.AsyncClient):
            raise ConfigurationError(
                f"http_client must be an httpx.{httpx.AsyncClient.__name__}, "
                f"not {type(http_client).__name__}"
            )
        try:
            httpx.URL(config.base_url)
        except httpx.InvalidURL as error:
            problem = str(error)
        else:
            problem = ""
        if problem:
            raise ConfigurationError(f"the base URL cannot be used: {problem}")
        self._auth = _BearerAuth(config.api_key)
        self._timeout = httpx.Timeout(config.timeout)
        self._stream_silence = max(config.timeout, _STREAM_SILENCE_SECONDS)
        self._stream_timeout = httpx.Timeout(config.timeout, read=self._stream_silence)
        self._http = http_client
        self._owns_http = http_client is None
        self._lock = threading.Lock()

    @property
    def config(self) -> ClientConfig:
        return self._config

    @property
    def is_closed(self) -> bool:
        return self._closed

    def __repr__(self) -> str:
        return f"{self._config.base_url}{' (closed)' if self._closed else ''}"

    def check_open(self) -> None:
        """Raise `ClientClosedError` if it is closed."""
        if self._closed:
            raise ClientClosedError("the client is closed: make a new one")

    async def aclose(self) -> None:
        """Close the connections; a caller's own HTTP client stays open. Can be repeated."""
        with self._lock:
            self._closed = True
            http, self._http = self._http, None
        if http is not None and self._owns_http:
            await http.aclose()

    async def call(self, call: Call) -> dict[str, Any]:
        """Send a request and return the JSON of its answer; ``{}`` for an empty body."""
        http = self._http_client()
        request = self._build(http, call, self._timeout, accept="application/json")
        response = await self._send(http, request, call)
        if not response.is_success:
            raise self._status_error(call, response)
        if not response.content:
            return {}
        try:
            answer: dict[str, Any] = json.loads(response.content)
        except (ValueError, RecursionError):
            # Raised further down: the decoder's own exception would bring the whole body along.
            failure = self._decode_error(call, response, "the body is not JSON")
        else:
            return answer
        raise failure

    async def open_stream(self, call: Call) -> httpx.Response:
        """Send a request and return its answer with an unread event stream; close it after use."""
        http = self._http_client()
        request = self._build(http, call, self._stream_timeout, accept="text/event-stream")
        response = await self._send(http, request, call, stream=True)
        # What is not an event stream would otherwise pass for one without any events.
        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        if response.is_success and kind not in ("application/json", "text/html"):
            return response
        failure: APIConnectionError | None = None
        try:
            await response.aread()
        except httpx.RequestError as error:
            failure = self.stream_error(call, error)
        finally:
            await response.aclose()
        if failure is not None:
            raise failure
        if response.is_success:
            raise self._decode_error(call, response, f"an event stream was expected, not {kind}")
        raise self._status_error(call, response)

    def stream_error(self, call: Call, error: httpx.RequestError) -> APIConnectionError:
        """The error to raise for a stream that broke, outside of the ``except`` block."""
        problem = "the event stream of {origin} broke"
        return self._connection_error(call, error, self._stream_silence, problem)

    def _http_client(self) -> httpx.AsyncClient:
        http = self._http
        if http is None:
            # Many threads may make the first call at once; there must be one pool all the same.
            with self._lock:
                self.check_open()
                http = self._http
                if http is None:
                    http = self._http = httpx.AsyncClient(
                        timeout=self._timeout,
                        limits=httpx.Limits(
                            max_connections=_CONNECTIONS, max_keepalive_connections=_CONNECTIONS
                        ),
                    )
        return http

    def _build(
        self, http: httpx.AsyncClient, call: Call, timeout: httpx.Timeout, *, accept: str
    ) -> httpx.Request:
        content = encode_json(call["json"]) if "json" in call else None
        try:
            return http.build_request(
                call["method"],
                self._config.base_url + call["url"],
                params=call.get("params") or None,
                headers={"Accept": accept, **call.get("headers", {})},
                content=content,
                timeout=timeout,
            )
        except httpx.InvalidURL as error:
            problem = str(error)
        raise RequestValidationError(f"the request's URL cannot be used: {problem}")

    async def _send(
        self, http: httpx.AsyncClient, request: httpx.Request, call: Call, *, stream: bool = False
    ) -> httpx.Response:
        failure: APIConnectionError | ClientClosedError
        try:
            return await http.send(request, auth=self._auth, follow_redirects=False, stream=stream)
        except httpx.RequestError as error:
            silence = self._stream_silence if stream else self._config.timeout
            failure = self._connection_error(call, error, silence)
        except BaseException as error:
            # Cancellation, an interrupt, or another thread that closes the client.
            if not (isinstance(error, RuntimeError) and http.is_closed):
                without_frames(error)
                raise
            failure = ClientClosedError("the client was closed")
        raise failure

    def _connection_error(
        self,
        call: Call,
        error: httpx.RequestError,
        silence: float,
        problem: str = "no answer from {origin}",
    ) -> APIConnectionError:
        return connection_error(
            error,
            method=call["method"].upper(),
            url=self._config.base_url + call["url"],
            path=call["url"],
            limit=silence if isinstance(error, httpx.ReadTimeout) else self._config.timeout,
            problem=problem,
        )

    def _status_error(self, call: Call, response: httpx.Response) -> APIStatusError:
        key = self._config.api_key
        return status_error(
            method=call["method"].upper(),
            url=str(response.request.url),
            path=call["url"],
            status_code=response.status_code,
            headers=[(name, key.redact_bytes(value)) for name, value in response.headers.raw],
            content=key.redact_bytes(response.content),
        )

    def _decode_error(
        self, call: Call, response: httpx.Response, problem: str
    ) -> ResponseDecodeError:
        return decode_error(
            problem,
            method=call["method"].upper(),
            path=call["url"],
            status_code=response.status_code,
            request_id=response.headers.get("x-request-id"),
            content=self._config.api_key.redact_bytes(response.content),
        )
