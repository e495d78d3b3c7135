from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import read_number, read_optional

T = TypeVar("T", bound="RolloutCompletedData")


@_attrs_define
class RolloutCompletedData:
    """The container's answer ended the rollout well.

    Attributes:
        status (Literal['completed']): The rollout's state from here on.
        outcome_reward (float | None): The reward; null where there is none.
    """

    status: Literal["completed"]
    outcome_reward: float | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        status = self.status

        outcome_reward: float | None
        outcome_reward = self.outcome_reward

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({"status": status, "outcome_reward": outcome_reward})

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        status = cast(Literal["completed"], d.pop("status"))
        if status != "completed":
            raise ValueError(f"status must match const 'completed', got '{status}'")

        outcome_reward = read_optional(d.pop("outcome_reward", None), read_number, "outcome_reward")

        rollout_completed_data = cls(status=status, outcome_reward=outcome_reward)

        rollout_completed_data.additional_properties = d
        return rollout_completed_data

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
