"""Makes the HTTP clients that a pools client owns, in both colours.

The async one sends through aiohttp where `httpx_aiohttp` is installed: with many requests in flight
it is several times faster, because httpx's own pool looks through all connections and all waiting
requests each time one of them changes.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import ssl

import httpx

# More than a fleet needs, and few enough for the usual limit of 1024 open files.
_CALLS = httpx.Limits(max_connections=256, max_keepalive_connections=256)
# A stream holds its connection for as long as a rollout lasts: whoever opens a thousand wants them.
_STREAMS = httpx.Limits(max_connections=None, max_keepalive_connections=64)

_CERTIFICATE_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def http_client(timeout: httpx.Timeout, *, streams: bool = False) -> httpx.Client:
    """A blocking client with connections of its own."""
    return httpx.Client(
        timeout=timeout, limits=_STREAMS if streams else _CALLS, verify=_shared_context()
    )


def async_http_client(timeout: httpx.Timeout, *, streams: bool = False) -> httpx.AsyncClient:
    """An async client with connections of its own."""
    if has_aiohttp():
        from synth_pools.aiohttp_road import AiohttpClient

        return AiohttpClient(
            timeout=timeout, limits=_STREAMS if streams else _CALLS, verify=_shared_context()
        )
    return httpx.AsyncClient(
        timeout=timeout, limits=_STREAMS if streams else _CALLS, verify=_shared_context()
    )


@functools.cache
def has_aiohttp() -> bool:
    """Whether the extra of this name is installed."""
    return importlib.util.find_spec("httpx_aiohttp") is not None


def _shared_context() -> ssl.SSLContext:
    # Loading the certificates takes longer than everything else that making a client does.
    return _context_for(tuple(os.environ.get(name) for name in _CERTIFICATE_VARIABLES))


@functools.lru_cache(maxsize=8)
def _context_for(_certificates: tuple[str | None, ...]) -> ssl.SSLContext:
    return httpx.create_ssl_context()
