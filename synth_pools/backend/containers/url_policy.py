"""Policy of containers' addresses: this machine's, and allowed hosts.

If other machines can reach the backend, this machine must be allowed explicitly too: a service that
listens only here is not meant for everybody with a key.

Without a policy, a client of the API could make the backend call anything in its network. A URL is
checked when a pool names it, and every address again when it is called (see `resolver`), since a
name may resolve differently by then.
"""

from __future__ import annotations

import ipaddress
import socket
from functools import lru_cache
from urllib.parse import urlsplit

from synth_pools.backend.domain.errors import ApiError, forbidden_container_url
from synth_pools.backend.settings import Settings

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Addresses at which clouds serve a machine's metadata and keys; the others are link-local.
_METADATA = frozenset(
    ipaddress.ip_address(text) for text in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16")
)
_BROADCAST = ipaddress.ip_address("255.255.255.255")


def check_container_url(url: str, settings: Settings, name: str = "container_url") -> None:
    """Refuse a URL that must not be called.

    The schema of the API ensures its beginning and visible ASCII; a URL that cannot be parsed is
    refused like one that is not allowed.

    Args:
        url: The URL.
        settings: The options of the backend.
        name: The field's name for the message.

    Raises:
        ApiError: 403 `forbidden_container_url`.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname
        port = parts.port
    except ValueError as error:
        raise _not_callable(name, str(error)) from None
    if "@" in parts.netloc:
        raise forbidden_container_url(f"{name} must not hold a user name or password.")
    if not host:
        raise _not_callable(name, "it has no host")
    if port == 0:
        raise _not_callable(name, "ports are 1 to 65535")
    if parts.fragment or "\\" in url:
        raise _not_callable(name, "it must hold no fragment and no backslash")
    host = host.removesuffix(".")
    address = literal_address(host)
    if port is None:
        port = 443 if parts.scheme == "https" else 80
    if address is not None and (reason := refusal(address, port, settings.own_port)):
        raise forbidden_container_url(f"{name} is refused: {host!r} is {reason}.")
    if is_local_name(host) and port == settings.own_port:
        raise forbidden_container_url(f"{name} is refused: it is the backend's own address.")
    is_loopback = is_local_name(host) or (address is not None and address.is_loopback)
    is_named = host in {allowed.lower() for allowed in settings.container_hosts}
    if not (is_named or (is_loopback and settings.local_containers)):
        local = "this machine and " if settings.local_containers else ""
        raise forbidden_container_url(
            f"{name} is refused: containers on {host[:255]!r} are not allowed; this backend calls "
            f"only {local}the hosts that it was started with. `--container-hosts {host[:255]}` of"
            " `synth-pools serve`, or `container_hosts=` of `LocalBackend`, would allow it."
        )


def _not_callable(name: str, why: str) -> ApiError:
    return forbidden_container_url(f"{name} is no URL that could be called: {why[:255]}.")


def refusal(address: IpAddress, port: int, own_port: int | None) -> str | None:
    """Return why an address is refused even for an allowed name; None for any other address."""
    if address.is_link_local or address in _METADATA:
        return "a link-local address, where machines keep what is secret"
    if address.is_unspecified or address.is_multicast or address == _BROADCAST:
        return "no address of one machine"
    if port == own_port and _is_of_this_machine(address):
        return "the backend's own address"
    return None


def is_local_name(host: str) -> bool:
    """Return True if a name always means this machine (RFC 6761)."""
    return host == "localhost" or host.endswith(".localhost")


@lru_cache(maxsize=1024)
def literal_address(host: str) -> IpAddress | None:
    """Parse an address; None for a name.

    Strict, since `127.1` and `0x7f000001` are loopback to some resolvers, not to all.
    """
    if "%" in host:
        return None
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    return plain(address)


def plain(address: IpAddress) -> IpAddress:
    """Convert an IPv4 address in IPv6 notation into IPv4."""
    mapped = getattr(address, "ipv4_mapped", None)
    return address if mapped is None else mapped


def _is_of_this_machine(address: IpAddress) -> bool:
    if address.is_loopback:
        return True
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    # Only an address of this machine can be bound; nothing is sent.
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind((str(address), 0))
        except OSError:
            return False
    return True
