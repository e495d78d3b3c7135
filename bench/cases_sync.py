"""Cases with one call after the other, in one thread."""

from __future__ import annotations

import http.client
import json
import ssl
import sys
from collections.abc import Callable
from contextlib import ExitStack, closing
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit

from bench.cases import (
    HEADERS,
    HTTP_CLIENT,
    HTTPX,
    HTTPX2,
    KEY,
    OLDER,
    OURS,
    POOL,
    ROLLOUT,
    Addresses,
    Case,
    import_older,
    installed_only,
    repeat,
)
from bench.server import EVENTS, LONG, POOL_ID
from synth_pools import ContainerPoolsClient
from synth_pools._client.http import response_reader

_POOL_PATH = f"/v1/pools/{POOL_ID}"
_EVENTS_PATH = f"{_POOL_PATH}/rollouts/{LONG}/events"

# A call on a library of HTTP alone, with its method, its path and its JSON.
Call = Callable[[str, str, Any], Any]


# Only the row that names it may import it, as without the extra that brings it.
_FAST = "msgspec.json"


def without_msgspec() -> None:
    """Let the standard library decode answers."""
    sys.modules[_FAST] = None  # type: ignore[assignment]
    response_reader.fast_decoder.cache_clear()


def with_msgspec(calls: Callable[[int], None]) -> Callable[[int], None]:
    """Let msgspec decode large answers during the calls."""

    def run(number: int) -> None:
        del sys.modules[_FAST]
        response_reader.fast_decoder.cache_clear()
        import_module(_FAST)
        try:
            calls(number)
        finally:
            without_msgspec()

    return run


def sync_cases(addresses: Addresses, stack: ExitStack) -> list[Case]:
    """Return the cases, with clients that `stack` closes."""
    without_msgspec()
    bare: dict[str, Call] = {}
    streams: dict[str, Callable[[], None]] = {}
    for name in (HTTPX, HTTPX2):
        bare[name], streams[name] = _like_httpx(name, addresses.plain, stack)
    bare[HTTP_CLIENT], streams[HTTP_CLIENT] = _http_client(addresses.plain, stack)
    trusting = ssl.create_default_context(cafile=addresses.authority)
    secure = {
        name: _like_httpx(name, addresses.secure, stack, trusting)[0] for name in (HTTPX, HTTPX2)
    }
    secure[HTTP_CLIENT] = _http_client(addresses.secure, stack, trusting)[0]

    ours = stack.enter_context(ContainerPoolsClient(api_key=KEY, base_url=addresses.plain))
    limited = ours.with_options(deadline=30.0)
    ours_secure = stack.enter_context(ContainerPoolsClient(api_key=KEY, base_url=addresses.secure))
    older: Any = None
    older_secure: Any = None
    if (pools := import_older()) is not None:
        older = pools.ContainerPoolsClient(api_key=KEY, backend_base=addresses.plain)
        older_secure = pools.ContainerPoolsClient(api_key=KEY, backend_base=addresses.secure)

    def contenders_of(
        calls: dict[str, Call], method: str, path: str, body: Any = None
    ) -> dict[str, Callable[[int], None]]:
        def repeated(call: Call) -> Callable[[int], None]:
            return repeat(lambda: call(method, path, body))

        return {name: repeated(call) for name, call in calls.items()}

    def events_of(client: Any) -> None:
        check_number(sum(1 for _ in client.stream_rollout_events(POOL_ID, LONG)))

    cases = [
        Case(
            "GET, 1 KB",
            200,
            3.5,
            contenders_of(bare, "GET", _POOL_PATH)
            | {
                OURS: repeat(lambda: ours.get_pool(POOL_ID)),
                OLDER: repeat(lambda: older.get_pool(POOL_ID)),
            },
        ),
        Case(
            "GET, 1 KB, with a deadline",
            200,
            3.0,
            contenders_of(bare, "GET", _POOL_PATH)
            | {OURS: repeat(lambda: limited.get_pool(POOL_ID))},
        ),
        Case(
            "GET, 1 KB, TLS",
            200,
            3.0,
            contenders_of(secure, "GET", _POOL_PATH)
            | {
                OURS: repeat(lambda: ours_secure.get_pool(POOL_ID)),
                OLDER: repeat(lambda: older_secure.get_pool(POOL_ID)),
            },
        ),
        Case(
            "POST, 1 KB",
            200,
            3.5,
            contenders_of(bare, "POST", "/v1/pools", POOL)
            | {
                OURS: repeat(lambda: ours.create_pool(POOL)),
                OLDER: repeat(lambda: older.create_pool(POOL)),
            },
        ),
        Case(
            "create a rollout",
            200,
            3.5,
            contenders_of(bare, "POST", f"{_POOL_PATH}/rollouts", ROLLOUT)
            | {
                OURS: repeat(lambda: ours.create_rollout(POOL_ID, ROLLOUT)),
                OLDER: repeat(lambda: older.create_rollout(POOL_ID, ROLLOUT)),
            },
        ),
        Case(
            "page of 100, 60 KB",
            60,
            1.8,
            contenders_of(bare, "GET", "/v1/pools?limit=100")
            | {
                OURS: repeat(lambda: ours.list_pools(limit=100)),
                OLDER: repeat(lambda: older.list_pools(limit=100)),
            },
        ),
        Case(
            "page of 100, 60 KB, with msgspec",
            60,
            2.4,
            contenders_of(bare, "GET", "/v1/pools?limit=100")
            | {OURS: with_msgspec(repeat(lambda: ours.list_pools(limit=100)))},
        ),
        Case(
            f"stream of {EVENTS:,} events",
            1,
            2.0,
            {name: repeat(stream) for name, stream in streams.items()}
            | {OURS: repeat(lambda: events_of(ours)), OLDER: repeat(lambda: events_of(older))},
        ),
    ]
    return installed_only(cases)


def check_number(events: int) -> None:
    """Check that a stream was read to its end.

    Raises:
        RuntimeError: The server sent another number of events.
    """
    if events != EVENTS:
        raise RuntimeError(f"{events} events arrived, not {EVENTS}")


def _like_httpx(
    package: str, url: str, stack: ExitStack, trusting: ssl.SSLContext | None = None
) -> tuple[Call, Callable[[], None]]:
    """Return a call and a stream of events on httpx, or on a library with its interface."""
    # Not an import statement: some libraries are only in the environment of the benchmark.
    library: Any = import_module(package)
    client = stack.enter_context(
        library.Client(base_url=url, headers=HEADERS, timeout=30.0, verify=trusting or False)
    )

    def call(method: str, path: str, body: Any) -> Any:
        return client.request(method, path, json=body).raise_for_status().json()

    def stream() -> None:
        count = 0
        with client.stream("GET", _EVENTS_PATH) as response:
            for line in response.iter_lines():
                if line.startswith("data:"):
                    count += bool(json.loads(line[5:]))
        check_number(count)

    return call, stream


def _http_client(
    url: str, stack: ExitStack, trusting: ssl.SSLContext | None = None
) -> tuple[Call, Callable[[], None]]:
    """Return a call and a stream of events on the standard library alone."""
    host = urlsplit(url).netloc
    connection = stack.enter_context(
        closing(
            http.client.HTTPSConnection(host, timeout=30.0, context=trusting)
            if trusting
            else http.client.HTTPConnection(host, timeout=30.0)
        )
    )

    def answer(method: str, path: str, body: Any) -> http.client.HTTPResponse:
        content = None if body is None else json.dumps(body).encode()
        typed = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, path, content, HEADERS | typed)
        response = connection.getresponse()
        if response.status >= 400:
            raise RuntimeError(f"status {response.status}")
        return response

    def call(method: str, path: str, body: Any) -> Any:
        return json.loads(answer(method, path, body).read())

    def stream() -> None:
        lines = answer("GET", _EVENTS_PATH, None)
        check_number(sum(bool(json.loads(line[5:])) for line in lines if line[:5] == b"data:"))

    return call, stream
