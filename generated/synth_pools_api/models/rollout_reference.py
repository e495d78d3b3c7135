from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import pop_older, read_text

T = TypeVar("T", bound="RolloutReference")


@_attrs_define
class RolloutReference:
    """Which rollout it is.

    Attributes:
        id (str): The id of the rollout.
        rollout_id (str): The same value as `id`.
    """

    id: str
    rollout_id: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        rollout_id = self.rollout_id

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({"id": id, "rollout_id": rollout_id})

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = read_text(pop_older(d, src_dict, "id", "rollout_id"), "id")

        rollout_id = read_text(pop_older(d, src_dict, "rollout_id", "id"), "rollout_id")

        rollout_reference = cls(id=id, rollout_id=rollout_id)

        rollout_reference.additional_properties = d
        return rollout_reference

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
