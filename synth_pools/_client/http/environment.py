"""Settings of the environment: engines, proxies and certificates, checked before they are used.

TLS contexts are shared by all clients: making one takes longer than making a client. An HTTP
library reports an unusable value only at the first call, by exceptions of many kinds that do not
name the variable. Messages never show a value: a proxy's URL may hold a password.
"""

from __future__ import annotations

import functools
import os
import ssl
import sys
from collections.abc import Callable
from importlib.util import find_spec
from typing import TypeVar
from urllib.request import getproxies

from synth_pools._client.http import URL, Client, InvalidURL, Proxy, create_ssl_context
from synth_pools.errors import ConfigurationError

T = TypeVar("T")

# Variable that can name httpx, to send through it instead of sockets, which are faster.
_ENGINE = "SYNTH_POOLS_ENGINE"
# Libraries that replace the network of httpx in tests.
_MOCKS = {"pytest_httpx", "respx"}

_SOCKS = ("socks5", "socks5h")
_PROXIED = ("http", "https", "all")

# In the order in which they are read: the first two by the HTTP library, the last by Python.
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


def is_direct(base_url: str, context: ssl.SSLContext) -> bool:
    """Check that nothing requires httpx: no proxy, no setting, no library that mocks it.

    Raises:
        ConfigurationError: A variable cannot be used; the message names it.
    """
    engine = os.environ.get(_ENGINE, "").strip().lower()
    if engine not in ("", "httpx"):
        raise ConfigurationError(f"{_ENGINE} must be httpx, or not set")
    if engine or not _MOCKS.isdisjoint(sys.modules):
        return False
    if not getproxies():
        return True
    # Let httpx decide which hosts need no proxy.
    with with_proxies(lambda: Client(verify=context)) as http:
        return http._transport_for_url(URL(base_url)) is http._transport  # noqa: SLF001


def with_proxies(create: Callable[[], T]) -> T:
    """Create an HTTP client that reads the proxies of the environment.

    Raises:
        ConfigurationError: A variable cannot be used; the message names it.
    """
    proxies = getproxies()
    for scheme in _PROXIED:
        problem = _problem(proxies.get(scheme, ""))
        if problem:
            raise ConfigurationError(f"{_variable(scheme)} {problem}")
    try:
        return create()
    except (InvalidURL, ValueError):
        if not proxies.get("no"):
            raise
    # Raised here, where nothing refers to the frames that hold the passwords of the proxies.
    raise ConfigurationError(f"{_variable('no')} holds a host that cannot be read")


def _problem(value: str) -> str | None:
    if not value:
        return None
    try:
        url = Proxy(value if "://" in value else f"http://{value}").url
        has_host = bool(url.host)
    except (InvalidURL, ValueError):
        url, has_host = None, False
    if url is None or not has_host:
        return (
            "is not the URL of a proxy: it must begin with http://, https:// or socks5:// and name "
            "a host"
        )
    if url.scheme in _SOCKS and find_spec("socksio") is None:
        return "names a SOCKS proxy, which needs the package socksio: pip install 'httpx[socks]'"
    return None


def _variable(scheme: str) -> str:
    # `getproxies` reads them in this order.
    name = f"{scheme}_proxy"
    spellings = [name, *(variable for variable in os.environ if variable.lower() == name)]
    settings = (spelling for spelling in spellings if spelling in os.environ)
    return next(settings, "the system's proxy setting")


def context_for(base_url: str) -> ssl.SSLContext:
    """Return the TLS context for a base URL, with the certificates that the environment names.

    Reading them takes milliseconds, which is long for a short program that calls a local backend.
    If no connection can use TLS (redirects stay within their origin), no certificate is read, so
    the context trusts no server.

    Raises:
        ConfigurationError: A file that the environment names cannot be read.
    """
    if base_url.startswith("http://") and not getproxies():
        return _empty_context()
    return _context_for(tuple(os.environ.get(name) for name in _CERTIFICATES))


@functools.cache
def _empty_context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@functools.lru_cache(maxsize=8)
def _context_for(_certificates: tuple[str | None, ...]) -> ssl.SSLContext:
    try:
        return create_ssl_context()
    except OSError as error:
        problem = error.strerror or str(error)
    raise ConfigurationError(f"{_culprit()} names a file that cannot be used: {problem}")


def _culprit() -> str:
    """Return the name of the variable that makes the TLS context fail."""
    file = os.environ.get(_CERTIFICATES[0])
    names = [name for name in _CERTIFICATES if os.environ.get(name)]
    if file:
        try:
            ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(file)
        except OSError:
            return _CERTIFICATES[0]
    return names[-1] if names else "the installed package certifi"
