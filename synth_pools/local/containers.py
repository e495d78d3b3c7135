"""Containers over HTTP. Nothing that one of them answers, or does not, may harm the backend."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

import httpx

from . import jsontext
from .checked_network import CheckedTransport, ForbiddenAddressError
from .errors import FORBIDDEN
from .settings import Settings
from .targets import Answer, Probe, Report, TargetError

_log = logging.getLogger(__name__)

# Shorter than the 5 seconds after which most servers close an idle connection: a request that meets
# the closing could not be told from one that was lost while it ran.
_KEEPALIVE_SECONDS = 2.0
_KEEPALIVE_CONNECTIONS = 64
_TERMINATE_SECONDS = 5.0
_EXCERPT = 1000

# How containers say that they do not have this rollout, or no such route at all.
_NOT_KEPT = frozenset({404, 405, 410, 501})


class ContainerClient:
    """One pool of connections to all containers."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        limits = httpx.Limits(
            max_connections=None,
            max_keepalive_connections=_KEEPALIVE_CONNECTIONS,
            keepalive_expiry=_KEEPALIVE_SECONDS,
        )
        self._http = httpx.AsyncClient(
            transport=CheckedTransport(limits, settings),
            # The environment's proxies and netrc are not for calls to this machine.
            trust_env=False,
            follow_redirects=False,
            # Every call has a limit of its own; how many there are the scheduler decides.
            timeout=httpx.Timeout(None, connect=settings.connect_timeout_seconds),
            headers={
                "user-agent": "synth-pools-backend",
                "accept": "application/json",
                # The size limit counts bytes as they come: compressed ones would undercut it.
                "accept-encoding": "identity",
            },
        )

    def at(self, url: str) -> HttpContainer:
        return HttpContainer(self, url)

    async def close(self) -> None:
        await self._http.aclose()

    @property
    def probe_seconds(self) -> float:
        return self._settings.probe_timeout_seconds

    async def call(
        self, method: str, url: str, body: bytes | None, limit_seconds: float
    ) -> tuple[int, bytes]:
        """One exchange: the status and the whole body, or a `TargetError` that says what failed."""
        headers = {} if body is None else {"content-type": "application/json"}
        try:
            async with (
                asyncio.timeout(limit_seconds),
                _failures_told(url),
                self._http.stream(method, url, content=body, headers=headers) as response,
            ):
                return response.status_code, await self._read(response, url)
        except TimeoutError:
            raise TargetError(
                "container_timeout",
                f"The container at {url} gave no answer within {limit_seconds:g} seconds.",
                {"url": url, "timeout_seconds": limit_seconds},
            ) from None

    async def _read(self, response: httpx.Response, url: str) -> bytes:
        limit = self._settings.max_container_bytes
        received = bytearray()
        async for chunk in response.aiter_bytes():
            received += chunk
            if len(received) > limit:
                raise TargetError(
                    "container_bad_response",
                    f"The container at {url} answered with more than {limit} bytes.",
                    {"url": url},
                )
        return bytes(received)


class HttpContainer:
    """The `Target` at one address."""

    def __init__(self, client: ContainerClient, url: str) -> None:
        self._client = client
        self._url = url

    async def probe(self, what: Probe) -> Answer:
        url = _join(self._url, f"/{what}")
        status, raw = await self._client.call("GET", url, None, self._client.probe_seconds)
        return await _answer(url, status, raw, 0)

    async def execute(self, body: bytes, limit_seconds: float) -> Answer:
        deadline = time.monotonic() + limit_seconds
        url = _join(self._url, "/rollouts")
        status, raw = await self._client.call("POST", url, body, limit_seconds)
        if status == 404:
            url = _join(self._url, "/rollout")
            remaining = max(0.0, deadline - time.monotonic())
            status, raw = await self._client.call("POST", url, body, remaining)
        return await _answer(url, status, raw, len(body))

    async def run(self, payload: dict[str, Any], limit_seconds: float, report: Report) -> Answer:
        del report  # a container that is asked once and answers once has nothing to report
        return await self.execute(jsontext.dumps(payload).encode("ascii"), limit_seconds)

    async def look_up(self, rollout_id: str) -> Answer | None:
        url = _join(self._url, f"/rollouts/{quote(rollout_id, safe='')}")
        status, raw = await self._client.call("GET", url, None, self._client.probe_seconds)
        if status in _NOT_KEPT:
            return None
        return await _answer(url, status, raw, 0)

    async def terminate(self, rollout_id: str) -> None:
        url = _join(self._url, f"/rollouts/{quote(rollout_id, safe='')}/terminate")
        # Many containers do not have it, and the rollout is over for us either way.
        with contextlib.suppress(TargetError):
            status, _ = await self._client.call("POST", url, b"{}", _TERMINATE_SECONDS)
            _log.debug("terminate of %s answered %d", rollout_id, status)


@contextlib.asynccontextmanager
async def _failures_told(url: str) -> AsyncIterator[None]:
    details: dict[str, Any] = {"url": url}
    try:
        yield
    except ForbiddenAddressError as error:
        details["cause"] = FORBIDDEN
        raise TargetError("container_unreachable", str(error), details) from None
    except (httpx.ConnectError, httpx.ConnectTimeout, httpx.UnsupportedProtocol) as error:
        details["cause"] = str(error) or type(error).__name__
        raise TargetError(
            "container_unreachable", f"No container answered at {url}.", details
        ) from None
    except httpx.InvalidURL as error:
        details["cause"] = str(error)
        raise TargetError("container_unreachable", f"{url} cannot be called.", details) from None
    except (httpx.TransportError, httpx.DecodingError) as error:
        details["cause"] = str(error) or type(error).__name__
        raise TargetError(
            "container_bad_response",
            f"The container at {url} broke off before its answer was complete.",
            details,
        ) from None


async def _answer(url: str, status: int, raw: bytes, sent: int) -> Answer:
    if not 200 <= status < 300:
        raise TargetError(
            "container_http_error",
            f"The container at {url} answered {status}.",
            {"url": url, "status": status, "body": _excerpt(raw)},
            status,
        )
    try:
        document = await jsontext.loads_politely(raw)
    except jsontext.BrokenJsonError as error:
        raise TargetError(
            "container_bad_response",
            f"The container at {url} answered something that is no JSON: {error}.",
            {"url": url, "status": status, "body": _excerpt(raw)},
        ) from None
    if not isinstance(document, dict):
        raise TargetError(
            "container_bad_response",
            f"The container at {url} answered JSON that is no object.",
            {"url": url, "status": status, "body": _excerpt(raw)},
        )
    return Answer(document, raw, sent, len(raw))


def _excerpt(raw: bytes) -> Any:
    """The body for people who look for the cause: parsed where it is short JSON, else its start."""
    if len(raw) <= _EXCERPT:
        with contextlib.suppress(jsontext.BrokenJsonError):
            return jsontext.loads(raw)
    return raw[:_EXCERPT].decode("utf-8", "replace")


def _join(base: str, path: str) -> str:
    parts = urlsplit(base)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + path))
