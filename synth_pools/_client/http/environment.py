"""Settings of the environment: engines, proxies and certificates, checked before they are used.

TLS contexts are shared by all clients: making one takes longer than making a client. An HTTP
library reports an unusable value only at the first call, by exceptions of many kinds that do not
name the variable. Messages never show a value: a proxy's URL may hold a password.
"""

from __future__ import annotations

import contextlib
import functools
import os
import re
import ssl
import sys
from importlib.util import find_spec
from pathlib import Path
from urllib.request import getproxies

from synth_pools._client.http import URL, InvalidURL, Proxy, create_ssl_context
from synth_pools.errors import ConfigurationError

# Variable that can name httpx, to send through it instead of sockets, which are faster.
_ENGINE = "SYNTH_POOLS_ENGINE"
# Libraries that replace the network of httpx in tests.
_MOCKS = {"pytest_httpx", "respx"}

_SOCKS = ("socks5", "socks5h")
_PROXIED = ("http", "https", "all")
_PORTS = {"http": 80, "https": 443}
_NO_BRACKETS = str.maketrans("", "", "[]")

# In the order in which they are read: the first two by the HTTP library, the last by Python.
_CERTIFICATES = ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE")


def uses_httpx() -> bool:
    """Check whether a setting, or a library that mocks httpx, requires httpx in place of sockets.

    Raises:
        ConfigurationError: The setting cannot be used.
    """
    engine = os.environ.get(_ENGINE, "").strip().lower()
    if engine not in ("", "httpx"):
        raise ConfigurationError(f"{_ENGINE} must be httpx, or not set")
    return bool(engine) or not _MOCKS.isdisjoint(sys.modules)


def proxy_for(base_url: str) -> str | None:
    """Return the URL of the environment's proxy for a base URL; None where it needs no proxy.

    Raises:
        ConfigurationError: A variable cannot be used; the message names it.
    """
    proxies = getproxies()
    for scheme in _PROXIED:
        problem = _problem(proxies.get(scheme, ""))
        if problem:
            raise ConfigurationError(f"{_variable(scheme)} {problem}")
    url = URL(base_url)
    proxy = proxies.get(url.scheme) or proxies.get("all")
    if not proxy:
        return None
    try:
        # All are read, so that an unreadable one is an error for every host.
        exceptions = [_covers(entry, url) for entry in re.split(r"[,\s]+", proxies.get("no", ""))]
    except (InvalidURL, ValueError):
        pass
    else:
        return None if any(exceptions) else _proxy_url(proxy)
    # Raised here, where nothing refers to the frames that hold the passwords of the proxies.
    raise ConfigurationError(f"{_variable('no')} holds a host that cannot be read")


def _covers(entry: str, url: URL) -> bool:
    """Check whether an entry of `NO_PROXY` covers a URL.

    It is `*`, a name with its subdomains, `.name` or `*.name` for these alone, an address, or a
    range of addresses; before it may be a scheme, and after it a port.
    """
    # The import takes 2 ms, and only an exception from a proxy needs it.
    from ipaddress import ip_address, ip_network

    scheme, _, place = entry.rstrip("/").rpartition("://")
    port = None
    if "/" in place or (place.count(":") > 1 and "[" not in place):
        name = str(ip_network(place.translate(_NO_BRACKETS), strict=False))
    else:
        pattern = URL(f"all://{place}")
        name, port = pattern.host.rstrip("."), pattern.port
    if scheme not in ("", "all", url.scheme) or port not in (None, url.port or _PORTS[url.scheme]):
        return False
    host = url.host.partition("%")[0].rstrip(".")
    with contextlib.suppress(ValueError):
        return ip_address(host) in ip_network(name)
    if name.startswith(("*", ".")):
        return host.endswith(name.removeprefix("*"))
    return host == name or host.endswith(f".{name}")


def _proxy_url(value: str) -> str:
    return value if "://" in value else f"http://{value}"


def _problem(value: str) -> str | None:
    if not value:
        return None
    try:
        url = Proxy(_proxy_url(value)).url
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
    values = tuple(os.environ.get(name) for name in _CERTIFICATES)
    return _context_for(values, _version(values[0]))


@functools.cache
def _empty_context() -> ssl.SSLContext:
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


@functools.lru_cache(maxsize=8)
def _context_for(_certificates: tuple[str | None, ...], _file: object) -> ssl.SSLContext:
    try:
        return create_ssl_context()
    except OSError as error:
        problem = error.strerror or str(error)
    raise ConfigurationError(f"{_culprit()} names a file that cannot be used: {problem}")


def _version(path: str | None) -> tuple[int, ...] | None:
    """Return what differs after a file was replaced or rewritten, as certificates are."""
    if not path:
        return None
    try:
        status = Path(path).stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns


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
