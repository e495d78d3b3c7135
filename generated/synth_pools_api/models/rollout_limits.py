from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import read_integer, read_number, read_optional
from ..types import UNSET, Unset

T = TypeVar("T", bound="RolloutLimits")


@_attrs_define
class RolloutLimits:
    """Limits of the rollout. The server reads those named here.

    Attributes:
        max_attempts (int | None | Unset): How often in all the rollout may be sent to a container. The server sends it
            again only if a container
            failed or a restart of the server lost it, see *Restarts of the server* and *Further attempts*.
        timeout_seconds (float | None | Unset): The time limit, in seconds. Null: that of the pool, see *Time limits*.
        max_cost_usd (float | None | Unset): What the rollout may cost, in US dollars. The container gets it and holds
            to it; the server ends no rollout for
            its cost.
    """

    max_attempts: int | None | Unset = UNSET
    timeout_seconds: float | None | Unset = UNSET
    max_cost_usd: float | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        max_attempts: int | None | Unset
        if isinstance(self.max_attempts, Unset):
            max_attempts = UNSET
        else:
            max_attempts = self.max_attempts

        timeout_seconds: float | None | Unset
        if isinstance(self.timeout_seconds, Unset):
            timeout_seconds = UNSET
        else:
            timeout_seconds = self.timeout_seconds

        max_cost_usd: float | None | Unset
        if isinstance(self.max_cost_usd, Unset):
            max_cost_usd = UNSET
        else:
            max_cost_usd = self.max_cost_usd

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if max_attempts is not UNSET:
            field_dict["max_attempts"] = max_attempts
        if timeout_seconds is not UNSET:
            field_dict["timeout_seconds"] = timeout_seconds
        if max_cost_usd is not UNSET:
            field_dict["max_cost_usd"] = max_cost_usd

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        max_attempts = read_optional(d.pop("max_attempts", UNSET), read_integer, "max_attempts")

        timeout_seconds = read_optional(
            d.pop("timeout_seconds", UNSET), read_number, "timeout_seconds"
        )

        max_cost_usd = read_optional(d.pop("max_cost_usd", UNSET), read_number, "max_cost_usd")

        rollout_limits = cls(
            max_attempts=max_attempts, timeout_seconds=timeout_seconds, max_cost_usd=max_cost_usd
        )

        rollout_limits.additional_properties = d
        return rollout_limits

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
