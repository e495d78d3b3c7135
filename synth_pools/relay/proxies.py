"""Proxy of the environment, through which the server of a model may have to be reached."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

_PORT = 80


@dataclass(frozen=True, slots=True)
class Proxy:
    """Proxy that speaks HTTP.

    Attributes:
        place: Its host and port.
        headers: The lines of a head that it is sent, with its password.
    """

    place: tuple[str, int]
    headers: Sequence[bytes] = field(repr=False)


def environment_proxy(url: SplitResult) -> Proxy | None:
    """Return the proxy of the environment for an address; None where it needs no proxy.

    `HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY` and `NO_PROXY` are read as Python's own library does.
    Servers of this machine need none.

    Raises:
        ValueError: The proxy is none of HTTP.
    """
    # It takes longer to import than the rest of the relay.
    from urllib.request import getproxies, proxy_bypass

    host, proxies = url.hostname or "", getproxies()
    address = proxies.get(url.scheme) or proxies.get("all")
    is_local = host in ("localhost", "::1") or host.startswith("127.")
    if not address or is_local or proxy_bypass(url.netloc):
        return None
    parts = urlsplit(address if "://" in address else f"http://{address}")
    if parts.scheme != "http" or not parts.hostname:
        # It may have a password, which no message shows.
        raise ValueError(
            f"The proxy of the environment for {url.scheme} is none of HTTP: set "
            f"{url.scheme.upper()}_PROXY to an address such as http://127.0.0.1:3128, or NO_PROXY."
        )
    headers = []
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        headers.append(b"proxy-authorization: Basic " + base64.b64encode(user))
    return Proxy((parts.hostname, parts.port or _PORT), headers)
