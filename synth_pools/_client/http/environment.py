"""Variables of the environment that name proxies and certificates, checked before they are used.

The HTTP library meets a value that it cannot use with exceptions of many kinds, in the first call
and without the variable's name. A value is never shown: a proxy's URL may hold a password.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from typing import TypeVar
from urllib.request import getproxies

from synth_pools._client.http import InvalidURL, Proxy
from synth_pools.errors import ConfigurationError

T = TypeVar("T")

_SOCKS = ("socks5", "socks5h")
_PROXIED = ("http", "https", "all")


def with_proxies(make: Callable[[], T]) -> T:
    """Make an HTTP client that reads the proxies of the environment.

    Args:
        make: Makes it.

    Raises:
        ConfigurationError: A variable cannot be used; the message names it.
    """
    proxies = getproxies()
    for scheme in _PROXIED:
        problem = _problem(proxies.get(scheme, ""))
        if problem:
            raise ConfigurationError(f"{_variable(scheme)} {problem}")
    try:
        return make()
    except (InvalidURL, ValueError):
        if not proxies.get("no"):
            raise
    # Out here the exception, whose frames know the proxies' passwords, is forgotten.
    raise ConfigurationError(f"{_variable('no')} holds a host that cannot be read")


def is_socks(proxy: Proxy) -> bool:
    """Check that a proxy speaks SOCKS, not HTTP."""
    return proxy.url.scheme in _SOCKS


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
    # The order in which `getproxies` decides.
    name = f"{scheme}_proxy"
    names = [name, *(each for each in os.environ if each.lower() == name)]
    return next((each for each in names if each in os.environ), "the system's proxy setting")
