"""TLS contexts, shared by all clients: making one takes longer than making a client."""

from __future__ import annotations

import functools
import os
import ssl
from urllib.request import getproxies

from synth_pools._client.http import create_ssl_context
from synth_pools.errors import ConfigurationError

# By the time that they are read: what the HTTP library takes, then what Python takes itself.
_VARIABLES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


def context_for(base_url: str) -> ssl.SSLContext:
    """Return the TLS context for a base URL, with the certificates that the environment names.

    Reading them takes milliseconds, which a short program against a backend on its own machine
    would feel. Where nothing can come to speak TLS, redirects are not followed, no certificate is
    read and so none is trusted.

    Args:
        base_url: Base URL of the service.

    Raises:
        ConfigurationError: What a variable of the environment names cannot be read.
    """
    if base_url.startswith("http://") and not getproxies():
        return _trusting_nobody()
    return _context_for(tuple(os.environ.get(name) for name in _VARIABLES))


@functools.cache
def _trusting_nobody() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@functools.lru_cache(maxsize=8)
def _context_for(_certificates: tuple[str | None, ...]) -> ssl.SSLContext:
    try:
        return create_ssl_context()
    except OSError as error:
        problem = error.strerror or str(error)
    raise ConfigurationError(f"{_culprit()} names a file that cannot be used: {problem}")


def _culprit() -> str:
    """Return the variable that keeps a context from being made."""
    file = os.environ.get(_VARIABLES[0])
    named = [name for name in _VARIABLES if os.environ.get(name)]
    if file:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
        except OSError:
            return _VARIABLES[0]
    return named[-1] if named else "the installed package certifi"
