"""What a connection is trusted by: made once, since that takes longer than a client does."""

from __future__ import annotations

import functools
import os
import ssl

import httpx

_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def shared_context() -> ssl.SSLContext:
    """The certificates that the environment names, for all clients and both colours."""
    return _context_for(tuple(os.environ.get(name) for name in _VARIABLES))


@functools.lru_cache(maxsize=8)
def _context_for(_certificates: tuple[str | None, ...]) -> ssl.SSLContext:
    return httpx.create_ssl_context()
