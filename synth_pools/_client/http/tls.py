"""TLS contexts, shared by all clients: making one takes longer than making a client."""

from __future__ import annotations

import functools
import os
import ssl
from urllib.request import getproxies

from synth_pools._client.http import create_ssl_context

_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR")


def context_for(base_url: str) -> ssl.SSLContext:
    """Return the TLS context for a base URL, with the certificates that the environment names.

    Reading them takes milliseconds, which a short program against a backend on its own machine
    would feel. Where nothing can come to speak TLS, redirects are not followed, no certificate is
    read and so none is trusted.
    """
    if base_url.startswith("http://") and not getproxies():
        return _trusting_nobody()
    return _context_for(tuple(os.environ.get(name) for name in _VARIABLES))


@functools.cache
def _trusting_nobody() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@functools.lru_cache(maxsize=8)
def _context_for(_certificates: tuple[str | None, ...]) -> ssl.SSLContext:
    return create_ssl_context()
