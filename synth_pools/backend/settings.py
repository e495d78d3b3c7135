"""What one local backend is told when it starts; nothing here changes while it runs."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from .errors import BadOptionError
from .limits import Limits

_HOST_NAME = re.compile(r"[a-z0-9_]([a-z0-9._-]*[a-z0-9_])?")


class Secret:
    """An API key that shows itself to nobody who merely prints, logs or inspects it."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value.encode()

    def reveal(self) -> str:
        return self._value.decode()

    def __repr__(self) -> str:
        return "Secret('***')"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Secret is not pickled, so that it cannot end up in a file by accident")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Limits):
    """`data_dir` must exist and belong to this backend alone; whoever starts it sees to that."""

    data_dir: Path
    api_key: Secret
    # Several keys with names, which may change while the backend runs; `api_key` is not used then.
    api_keys_file: Path | None = None
    # Hosts besides this machine on which containers may be reached.
    container_hosts: tuple[str, ...] = ()
    # Whether those of this machine may be reached without being named there.
    local_containers: bool = True
    # Variables, besides the usual ones, that may hold the key of containers.
    container_key_envs: tuple[str, ...] = ()
    # From one look at a container to the next, and how long it may take to answer.
    health_interval_seconds: float = 5.0
    health_timeout_seconds: float = 2.0
    # Whether whoever may define pools may have processes started on this machine.
    allow_processes: bool = False
    # Names besides this machine's by which clients may call the backend.
    allowed_hosts: tuple[str, ...] = ()
    # Where the backend itself listens, which is no place for a container.
    own_port: int | None = None
    # Check what is answered against openapi.yaml too, and answer 500 where it departs.
    validate_responses: bool = False
    # How long rollouts are kept after their end; None is for ever.
    keep_finished_seconds: float | None = None
    # How much of the contents of artifacts is kept, the oldest going first; None is all.
    keep_artifacts_bytes: int | None = None
    heartbeat_seconds: float = 15.0
    # Time limit of a rollout where neither it nor its pool names one.
    default_timeout_seconds: float = 600.0
    connect_timeout_seconds: float = 10.0
    probe_timeout_seconds: float = 10.0
    shutdown_seconds: float = 5.0


def hosts(option: str, names: Iterable[str]) -> tuple[str, ...]:
    """The names in the one form in which they are compared; a URL or a port is no host."""
    if isinstance(names, str):
        raise BadOptionError(f"{option} is a list of hosts, not one text")
    return tuple(_host(option, name) for name in names)


def _host(option: str, name: str) -> str:
    host = name.strip().lower().removesuffix(".")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if not _HOST_NAME.fullmatch(host) and not _is_address(host):
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
