"""HTTP client that records every exchange as it was on the wire.

Each request has a time limit. No redirect is followed and no response is cached or repaired: a
check sees what the backend sent.
"""

from __future__ import annotations

import json as json_module
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import httpx

from synth_pools.contract.document import Document
from synth_pools.contract.exceptions import BusyError, StoppedError, UnreachableError
from synth_pools.contract.http.reproduce import KEY, MASKED, NEARLY, OTHER_KEY
from synth_pools.contract.http.sse import SseMessage, SseReader
from synth_pools.contract.openapi.schemas import read_leniently
from synth_pools.contract.options import Access, ApiKey
from synth_pools.contract.results import Exchange

ABSENT: Any = type("Absent", (), {"__repr__": lambda _: "nothing", "__bool__": lambda _: False})()
CALL_SECONDS = 30.0
_LARGEST = 64 * 1024 * 1024
_BUSY_SECONDS = 20.0
# Number of durations of a request by which a limit is lengthened.
_ROUND_TRIPS = 20
# Share of the longest duration that remains after each request.
_FORGET = 0.98
# Length of the shortest masked secret: shorter ones occur in other words.
_SHORTEST = 8


@dataclass(frozen=True)
class Response:
    """A response to one request, or its absence."""

    exchange: Exchange

    @property
    def status(self) -> int | None:
        return self.exchange.status

    @cached_property
    def json(self) -> Any:
        """The body as JSON, or ABSENT; must not be changed."""
        try:
            return read_leniently(self.exchange.response_body)
        except (ValueError, RecursionError):
            return ABSENT

    def at(self, *path: str | int) -> Any:
        """Return the value at a path in the body, or ABSENT."""
        return at(self.json, *path)

    def list_at(self, *path: str | int) -> list[Any]:
        """Return the list at a path in the body, or an empty one."""
        value = self.at(*path)
        return value if isinstance(value, list) else []


@dataclass(frozen=True, slots=True)
class EventStream:
    """The received part of an event stream.

    Attributes:
        exchange: The request and the received bytes.
        reader: The messages.
        complete: True if the server ended it.
        late: True if the time limit came first.
    """

    exchange: Exchange
    reader: SseReader
    complete: bool
    late: bool = False

    @property
    def status(self) -> int | None:
        return self.exchange.status

    @property
    def messages(self) -> list[SseMessage]:
        """The messages without heartbeats, which have no place in the order."""
        return [message for message in self.reader.messages if message.event != "heartbeat"]

    @property
    def events(self) -> list[str]:
        """The types of the messages, without heartbeats."""
        return [message.event for message in self.messages]


@dataclass
class HttpClient:
    """Client of the backend under test; threads may share it.

    Attributes:
        base_url: The base URL.
        key: The API key, which is masked in all records.
        document: The document of the operations.
        stop: An event that ends all waits and all further requests.
        round_trip: Seconds of the longest recent request.
        access: Headers, certificates and proxy of the backend.
        other_key: The key of another organisation.
        on_busy: A callback for each answer of a busy server; the request is then repeated.
        busy: The statuses of a busy server.
        untimed: The operations whose duration says nothing of the connection.
        creating: One item for each open request that creates a pool.
    """

    base_url: str
    key: ApiKey
    document: Document
    stop: threading.Event = field(default_factory=threading.Event)
    round_trip: float = 0.0
    access: Access = field(default_factory=Access)
    other_key: ApiKey | None = None
    on_busy: Callable[[Exchange], None] = lambda exchange: None  # noqa: ARG005
    busy: tuple[int, ...] = (429, 503)
    untimed: frozenset[str] = frozenset()
    creating: set[object] = field(default_factory=set)
    _client: httpx.Client = field(init=False, repr=False)

    def __post_init__(self) -> None:
        # The expiry is shorter than any server's, so that no request meets a closing connection.
        self._client = httpx.Client(
            limits=httpx.Limits(max_connections=None, keepalive_expiry=1.0),
            timeout=CALL_SECONDS,
            follow_redirects=False,
            trust_env=not is_loopback_url(self.base_url),
            verify=self.access.tls() if self.base_url.startswith("https:") else True,
            proxy=self.access.proxy,
        )

    def close(self) -> None:
        self._client.close()

    def call(
        self,
        operation: str,
        ids: Mapping[str, str] | None = None,
        *,
        query: Mapping[str, Any] | None = None,
        json: Any = ABSENT,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        authorization: str | None = MASKED,
        limit: float | None = None,
        until: Callable[[bytearray], bool] = lambda _: False,
    ) -> Response:
        """Send one request of an operation; repeat it while the server is busy.

        Args:
            operation: The id of the operation.
            ids: The path parameters, which are percent-encoded here.
            query: The query parameters.
            json: The body as JSON.
            content: The body as bytes, if `json` is absent.
            headers: Further headers.
            authorization: The header `authorization`, with a placeholder of the key; None for none.
            limit: Seconds that the response may take; None for `call_seconds`.
            until: Called with the body so far; the rest is not read once it returns True.

        Returns:
            The response; its status is None if there was no answer.

        Raises:
            UnreachableError: No server answers at the address.
            BusyError: The server is busy for too long.
            StoppedError: The run was asked to stop.
        """
        described = self.document.operations[operation]
        url = self.url(described.path, ids or {}, query)
        all_headers = _headers(json, headers, authorization)
        if json is not ABSENT:
            content = json_module.dumps(json, ensure_ascii=False, separators=(",", ":")).encode()
        within = self.call_seconds if limit is None else limit
        exchange = self.retry_while_busy(
            lambda: self.send(described.method, url, all_headers, content, operation, within, until)
        )
        return Response(exchange)

    @property
    def call_seconds(self) -> float:
        """Seconds that an answer may take here."""
        return self.allowance(CALL_SECONDS)

    def allowance(self, seconds: float) -> float:
        """Lengthen a limit if requests take long: on a slow connection or a busy machine."""
        return seconds + _ROUND_TRIPS * self.round_trip

    def retry_while_busy(self, send: Callable[[], Exchange]) -> Exchange:
        """Send again while the server is busy, for up to 20 s.

        Raises:
            BusyError: The server is busy for longer.
            StoppedError: The run was asked to stop.
        """
        give_up = time.monotonic() + _BUSY_SECONDS
        while True:
            exchange = send()
            if exchange.status not in self.busy:
                return exchange
            self.on_busy(exchange)
            pause = _retry_after(exchange)
            if time.monotonic() + pause > give_up:
                subject = exchange.operation or exchange.url
                raise BusyError(f"{subject} answers {exchange.status} for {_BUSY_SECONDS:.0f} s")
            if self.stop.wait(pause):
                raise StoppedError

    def authorized(self) -> dict[str, str]:
        """Return the headers of a request that belongs to no operation."""
        return {"authorization": MASKED}

    def url(self, path: str, ids: Mapping[str, str], query: Mapping[str, Any] | None = None) -> str:
        """Build the URL of a path template, with ids and query percent-encoded."""
        for name, value in ids.items():
            path = path.replace("{" + name + "}", quote(value, safe=""))
        tail = "?" + urlencode(query, doseq=True, quote_via=quote) if query else ""
        return self.base_url + path + tail

    def send(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        operation: str | None,
        limit: float = CALL_SECONDS,
        until: Callable[[bytearray], bool] = lambda _: False,
    ) -> Exchange:
        """Send one request and read the response to its end or to the limit; see `call`."""

        def take(response: httpx.Response, deadline: float) -> tuple[bytes, str | None]:
            content = bytearray()
            for chunk in response.iter_bytes():
                content += chunk
                if until(content):
                    break
                if time.monotonic() > deadline:
                    return bytes(content), f"the answer did not end within {limit:.0f} s"
                if len(content) > _LARGEST:
                    return bytes(content), f"the answer is larger than {_LARGEST} bytes"
            return bytes(content), None

        creation = object()
        if operation == "create_pool":
            self.creating.add(creation)
        try:
            exchange = self._exchange(method, url, headers, body, operation, limit, take)
        finally:
            self.creating.discard(creation)
        if exchange.trouble is None and operation not in self.untimed:
            self.round_trip = max(exchange.elapsed, _FORGET * self.round_trip)
        return exchange

    def stream(
        self,
        operation: str,
        ids: Mapping[str, str],
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        limit: float = CALL_SECONDS,
        until: Callable[[SseReader], bool] = lambda _: False,
    ) -> EventStream:
        """Read an event stream until the server ends it, `until` is true, or time is up."""
        described = self.document.operations[operation]
        all_headers = _headers(ABSENT, {"accept": "text/event-stream", **(headers or {})}, MASKED)
        reader, complete, enough = SseReader(), False, False

        def take(response: httpx.Response, deadline: float) -> tuple[bytes, str | None]:
            nonlocal complete, enough, reader
            # A retry begins with an empty reader.
            reader, complete, enough = SseReader(), False, False
            content = bytearray()
            for chunk in response.iter_bytes():
                content += chunk
                reader.feed(chunk)
                enough = until(reader) or len(content) > _LARGEST
                if enough or time.monotonic() > deadline or self.stop.is_set():
                    return bytes(content), None
            complete = True
            return bytes(content), None

        url = self.url(described.path, ids, query)
        exchange = self.retry_while_busy(
            lambda: self._exchange(described.method, url, all_headers, None, operation, limit, take)
        )
        broken = exchange.trouble is not None and not exchange.late
        return EventStream(exchange, reader, complete, not (complete or enough or broken))

    def _exchange(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        operation: str | None,
        limit: float,
        take: Callable[[httpx.Response, float], tuple[bytes, str | None]],
    ) -> Exchange:
        started = time.monotonic()
        if self.document.is_foreign:
            url, headers = self._with_key_in_place(url, headers)
        status: int | None = None
        raw_headers: list[tuple[str, str]] = []
        content, trouble, late = b"", None, False
        for attempt in (1, 2):
            if self.stop.is_set():
                raise StoppedError
            try:
                with self._client.stream(
                    method,
                    self._reveal(url),
                    headers=self._revealed(headers),
                    content=body,
                    timeout=limit,
                ) as response:
                    status = response.status_code
                    raw_headers = list(response.headers.multi_items())
                    content, trouble = take(response, started + limit)
                    late = trouble is not None and time.monotonic() > started + limit
                break
            except (httpx.ConnectError, httpx.ConnectTimeout) as error:
                if attempt == 2:
                    reason = str(error) or "no connection"
                    raise UnreachableError(f"{urlsplit(url).netloc}: {reason}") from None
                self.stop.wait(0.5)
            except (httpx.ReadTimeout, httpx.WriteTimeout):
                trouble = f"no answer within {limit:.0f} s" if status is None else "silence"
                late = True
                break
            except httpx.LocalProtocolError:
                # An unsendable request is a defect of the kit, not of the backend.
                raise
            except httpx.HTTPError as error:
                # Retry: the server may have just closed an idle connection.
                trouble = f"{type(error).__name__}: {error}"
                if status is not None or attempt == 2:
                    break
        return Exchange(
            method=method,
            url=self._mask(url),
            request_headers=(*headers.items(), *((name, "***") for name in self.access.headers)),
            request_body=body,
            status=status,
            response_headers=tuple((n, self._mask(v)) for n, v in raw_headers),
            response_body=self._mask_bytes(content),
            elapsed=time.monotonic() - started,
            trouble=trouble,
            operation=operation,
            late=late,
            began=started,
        )

    def _with_key_in_place(
        self, url: str, headers: Mapping[str, str]
    ) -> tuple[str, Mapping[str, str]]:
        """Move the key from the header `authorization` to the place that the document has."""
        rest = {name: value for name, value in headers.items() if name != "authorization"}
        key = headers.get("authorization", "").removeprefix("Bearer ")
        if not key or (key == KEY and not self.key.reveal()):
            return url, rest
        place = self.document.key_place
        if place.where == "query":
            return f"{url}{'&' if '?' in url else '?'}{place.name}={key}", rest
        if place.where == "cookie":
            return url, {**rest, "cookie": f"{place.name}={key}"}
        return url, {**rest, place.name: f"{place.prefix}{key}"}

    def _revealed(self, headers: Mapping[str, str]) -> dict[str, str]:
        revealed = {name: self._reveal(value) for name, value in headers.items()}
        return {**self.access.headers, **revealed}

    def is_right(self, authorization: str) -> bool:
        """Return True if a header with a placeholder becomes the right key."""
        return self._reveal(authorization) == self._reveal(MASKED)

    def _reveal(self, text: str) -> str:
        text = text.replace(OTHER_KEY, self.other_key.reveal() if self.other_key else "")
        for placeholder, key in self._keys().items():
            text = text.replace(placeholder, key)
        return text

    def _keys(self) -> dict[str, str]:
        """Return the key and the nearly right keys by their placeholders."""
        key = self.key.reveal()
        return dict(zip((KEY, *NEARLY), (key, key[:-1], key[1:], key.upper()), strict=True))

    @cached_property
    def _secrets(self) -> dict[str, bytes]:
        # A whole key comes before its parts.
        other_keys = [self.other_key.reveal()] if self.other_key else []
        every = (*self._keys().values(), *other_keys, *self.access.headers.values())
        return {secret: secret.encode() for secret in every if len(secret) >= _SHORTEST}

    def _mask(self, text: str) -> str:
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def _mask_bytes(self, content: bytes) -> bytes:
        for secret in self._secrets.values():
            content = content.replace(secret, b"***")
        return content


def client_of(access: Access, *, asynchronous: bool = False) -> Any:
    """Return an httpx client for the client under test, with headers and proxy."""
    kind: Any = httpx.AsyncClient if asynchronous else httpx.Client
    return kind(headers=dict(access.headers), verify=access.tls(), proxy=access.proxy)


def at(value: Any, *path: str | int) -> Any:
    """Return the value at a path of keys and indexes, or ABSENT."""
    for step in path:
        if isinstance(step, str) and isinstance(value, dict):
            value = value.get(step, ABSENT)
        elif isinstance(step, int) and isinstance(value, list) and -len(value) <= step < len(value):
            value = value[step]
        else:
            return ABSENT
    return value


def is_loopback_url(url: str) -> bool:
    """Return True if the host of a URL names this machine."""
    host = (urlsplit(url).hostname or "").rstrip(".").lower()
    return host == "::1" or host.startswith("127.") or host.split(".")[-1] == "localhost"


def _headers(json: Any, more: Mapping[str, str] | None, key: str | None) -> dict[str, str]:
    headers = {} if key is None else {"authorization": key}
    if json is not ABSENT:
        headers["content-type"] = "application/json"
    return {**headers, **(more or {})}


def _retry_after(exchange: Exchange) -> float:
    text = exchange.header("retry-after") or ""
    return min(max(float(text), 0.1), 10.0) if text.isdigit() else 1.0
