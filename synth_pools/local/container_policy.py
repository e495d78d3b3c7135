"""Which addresses containers may have: those of this machine, and of hosts that were allowed.

Whoever may call the API could otherwise make the backend call anything that it can reach.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from urllib.parse import urlsplit

from .errors import forbidden_container_url


def check_container_url(url: str, allowed_hosts: Collection[str]) -> None:
    """Raise 403 for an address that must not be called.

    The schema of the API has seen to it that it begins like a URL and is visible ASCII; one that
    cannot be understood all the same is refused like any other that is not allowed.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
        port = parts.port
    except ValueError:
        raise forbidden_container_url("container_url is no URL that could be called.") from None
    if not host or port == 0 or parts.fragment or "\\" in url:
        raise forbidden_container_url("container_url is no URL that could be called.")
    if "@" in parts.netloc:
        raise forbidden_container_url("container_url must not hold a user name or password.")
    host = host.removesuffix(".")
    if not (_is_loopback(host) or host in {allowed.lower() for allowed in allowed_hosts}):
        raise forbidden_container_url(
            f"Containers on {host!r} are not allowed: this backend calls only this machine and the "
            "hosts that it was started with."
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        # Strict on purpose: `127.1` and `0x7f000001` are loopback to some resolvers, not to all.
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
