"""What a run is asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Profile(StrEnum):
    QUICK = "quick"
    FULL = "full"


class ApiKey:
    """A key that shows itself only where it is asked to by name."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "ApiKey(***)"

    __str__ = __repr__

    def __reduce__(self) -> tuple[Any, ...]:
        # A pickle or a deep copy would carry the key to places that nobody looks after.
        raise TypeError("an ApiKey does not leave its process")


@dataclass(frozen=True, slots=True)
class Options:
    """Settings of one run; `deadline` is on time.monotonic()'s clock."""

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

    def wants(self, check: str) -> bool:
        """Whether --only and --skip let a check through; a prefix of its dotted id is enough."""
        if any(is_within(check, name) for name in self.skip):
            return False
        return not self.only or any(is_within(check, name) for name in self.only)


def is_within(check: str, name: str) -> bool:
    return check == name or check.startswith(name + ".")
