"""Names of hosts, as people type them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

from .errors import BadOptionError

_NAME = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?")


def hosts(option: str, names: Iterable[str]) -> tuple[str, ...]:
    """The names in the one form in which they are compared; a URL or a port is no host."""
    if isinstance(names, str):
        raise BadOptionError(f"{option} is a list of hosts, not one text")
    return tuple(_host(option, name) for name in names)


def _host(option: str, name: str) -> str:
    host = name.strip().lower().removesuffix(".")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not _NAME.fullmatch(host) and not _is_address(host):
        raise BadOptionError(
            f"{option} takes names or addresses of hosts, without scheme or port: {name!r}"
        )
    return host


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
