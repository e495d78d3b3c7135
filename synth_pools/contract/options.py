"""Options of a run."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any


class Profile(StrEnum):
    """Amount of checks: quick scenarios alone, all scenarios, many generated requests."""

    SMOKE = "smoke"
    QUICK = "quick"
    FULL = "full"


class ApiKey:
    """API key that is revealed only by an explicit call, and never pickled or copied."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the key."""
        return self._value

    def __repr__(self) -> str:
        return "ApiKey(***)"

    __str__ = __repr__

    def __reduce__(self) -> tuple[Any, ...]:
        # A pickle or a deep copy would carry the key where nothing protects it.
        raise TypeError("an ApiKey does not leave its process")


@dataclass(frozen=True, slots=True)
class Access:
    """Way to a backend behind a gateway.

    Attributes:
        headers: Headers of every request; their values are never shown.
        client_cert: The client's certificate, with its key if that has no file of its own.
        client_key: The key of that certificate.
        ca: The certificates to trust, in place of the system's.
        proxy: The URL of a proxy.
    """

    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    client_cert: Path | None = None
    client_key: Path | None = None
    ca: Path | None = None
    proxy: str | None = field(default=None, repr=False)

    def tls(self) -> ssl.SSLContext:
        """Return the settings for TLS.

        Raises:
            OSError: A file cannot be read, or holds no certificate or key.
        """
        context = ssl.create_default_context(cafile=self.ca)
        if self.client_cert is not None:
            context.load_cert_chain(self.client_cert, self.client_key)
        return context


@dataclass(frozen=True, slots=True)
class Options:
    """Options of one run; see `run_contract`.

    Attributes:
        url: The base URL.
        api_key: The key.
        run_id: Eight hexadecimal digits that mark what the run creates.
        seed: The seed of all random values.
        profile: The amount of checks.
        deadline: The end of the run, on time.monotonic()'s clock.
        only: The checks to run, by the beginnings of their dotted ids; all if empty.
        skip: The checks to leave out.
        read_only: Whether only GET is sent.
        pool_request: Fields of every pool definition.
        rollout_request: Fields of every rollout request.
        container_url: The container of every pool.
        spec: The document.
        access: The way to the backend.
        other_key: The key of another organisation.
        restart: A command that restarts the backend.
        image: The `config.image` of a container that serves rollouts.
        offered: Whether the run finds out which operations exist, and leaves out the others.
        slow_request: Fields of a rollout that lasts, for a container.
        concurrency: The number of rollouts that a container has to run at once.
        has_subject: Whether a subject file tells what the API has.
    """

    url: str
    api_key: ApiKey
    run_id: str
    seed: int
    profile: Profile = Profile.FULL
    deadline: float = float("inf")
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    read_only: bool = False
    pool_request: Mapping[str, Any] | None = None
    rollout_request: Mapping[str, Any] | None = None
    container_url: str | None = None
    spec: Mapping[str, Any] = field(default_factory=dict)
    offered: bool = False
    access: Access = field(default_factory=Access)
    other_key: ApiKey | None = None
    restart: str | None = None
    image: Mapping[str, Any] | None = None
    slow_request: Mapping[str, Any] | None = None
    concurrency: int = 50
    has_subject: bool = False

    def wants(self, check: str) -> bool:
        """Return True if `only` and `skip` let a check through."""
        if any(is_within(check, name) for name in self.skip):
            return False
        return not self.only or any(is_within(check, name) for name in self.only)

    def wants_of(self, family: str) -> bool:
        """Return True if `only` and `skip` let any check of a family through."""
        if any(is_within(family, name) for name in self.skip):
            return False
        within = (is_within(family, name) or is_within(name, family) for name in self.only)
        return not self.only or any(within)


def is_within(check: str, name: str) -> bool:
    """Return True if a dotted id is a name or begins with it."""
    return check == name or check.startswith(name + ".")
