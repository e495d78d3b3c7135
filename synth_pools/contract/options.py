"""Options of a run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Profile(StrEnum):
    """Amount of what is tried: scenarios that take no time, all of them, generated requests."""

    SMOKE = "smoke"
    QUICK = "quick"
    FULL = "full"


class ApiKey:
    """API key that is revealed only by an explicit call, and never pickled or copied."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """Return the key itself."""
        return self._value

    def __repr__(self) -> str:
        return "ApiKey(***)"

    __str__ = __repr__

    def __reduce__(self) -> tuple[Any, ...]:
        # A pickle or a deep copy would carry the key where nothing protects it.
        raise TypeError("an ApiKey does not leave its process")


@dataclass(frozen=True, slots=True)
class Options:
    """Options of one run; see `run_contract`.

    Attributes:
        url: The base URL.
        api_key: The key.
        run_id: Eight hexadecimal digits that mark what the run creates.
        seed: The seed of all random values.
        profile: The amount of generated requests.
        deadline: The end of the run, on time.monotonic()'s clock.
        only: The checks to run, by the beginnings of their dotted ids; all where empty.
        skip: The checks to leave out.
        read_only: Whether only GET is sent.
        pool_request: Fields of every pool definition.
        rollout_request: Fields of every rollout request.
        container_url: The container of every pool.
        spec: The document.
        offered: Whether the operations that are not there are found out, and left out.
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

    def wants(self, check: str) -> bool:
        """Return True if `only` and `skip` let a check through."""
        if any(is_within(check, name) for name in self.skip):
            return False
        return not self.only or any(is_within(check, name) for name in self.only)


def is_within(check: str, name: str) -> bool:
    """Return True if a dotted id is a name or begins with it."""
    return check == name or check.startswith(name + ".")
