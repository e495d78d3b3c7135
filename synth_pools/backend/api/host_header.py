"""Check of the Host header against DNS rebinding.

A web page can point a name of its own at this machine and make a browser call it; then the browser
sends that name as the host.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Mapping
from functools import lru_cache

from starlette.types import Scope

from synth_pools.backend.containers.url_policy import IpAddress, plain
from synth_pools.backend.domain.errors import bad_request, forbidden_host

_HOST = re.compile(
    r"(?:\[(?P<address>[0-9A-Fa-f:.]+)\]|(?P<name>[A-Za-z0-9._~-]+))(?::[0-9]{1,5})?"
)


def check_host(scope: Scope, headers: Mapping[str, str], allowed_hosts: Collection[str]) -> None:
    """Refuse a host name that is neither this machine's nor allowed.

    Args:
        scope: The ASGI scope, which has the address that was connected to.
        headers: The request's headers by lower-case name.
        allowed_hosts: Further names, in lower case.

    Raises:
        ApiError: 403 `forbidden_host`; 400 for a header that names no host.
    """
    header = headers.get("host")
    if header is None:
        # HTTP/1.0, which no browser speaks.
        return
    name = _name(header)
    if name == "localhost" or name.endswith(".localhost") or name in allowed_hosts:
        return
    # The address of the connection itself: no other can be right, whatever a proxy may say.
    called = str((scope.get("server") or ("127.0.0.1",))[0])
    if not _is_same_host(name, called):
        raise forbidden_host(name)


@lru_cache(maxsize=256)
def _is_same_host(name: str, called: str) -> bool:
    try:
        address, own = ipaddress.ip_address(name), ipaddress.ip_address(called)
    except ValueError:
        return False
    return address == own or (_is_loopback(address) and _is_loopback(own))


def _is_loopback(address: IpAddress) -> bool:
    # Whether ::ffff:127.0.0.1 is one, too, depends on the version of Python.
    return address.is_loopback and plain(address) is address


def _name(header: str) -> str:
    """Parse the host in `host`, `host:port`, `[address]` or `[address]:port`."""
    found = _HOST.fullmatch(header)
    if found is None:
        raise bad_request("The header Host names no host.")
    return (found["address"] or found["name"]).lower().removesuffix(".")
