from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import read_integer

if TYPE_CHECKING:
    from ..models.rollout_batch_item import RolloutBatchItem
    from ..models.rollout_reference import RolloutReference


T = TypeVar("T", bound="RolloutBatch")


@_attrs_define
class RolloutBatch:
    """What became of a batch.

    Attributes:
        items (list[RolloutBatchItem]): One for each rollout, in order.
        admitted (int): How many were admitted.
        refused (int): How many were refused.
        rollouts (list[RolloutReference]): The ids of those that were admitted, in order; older clients read these
            alone.
    """

    items: list[RolloutBatchItem]
    admitted: int
    refused: int
    rollouts: list[RolloutReference]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        items = []
        for items_item_data in self.items:
            items_item = items_item_data.to_dict()
            items.append(items_item)

        admitted = self.admitted

        refused = self.refused

        rollouts = []
        for rollouts_item_data in self.rollouts:
            rollouts_item = rollouts_item_data.to_dict()
            rollouts.append(rollouts_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {"items": items, "admitted": admitted, "refused": refused, "rollouts": rollouts}
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.rollout_batch_item import RolloutBatchItem
        from ..models.rollout_reference import RolloutReference

        d = dict(src_dict)
        items = []
        _items = d.pop("items")
        for items_item_data in _items:
            items_item = RolloutBatchItem.from_dict(items_item_data)

            items.append(items_item)

        admitted = read_integer(d.pop("admitted"), "admitted")

        refused = read_integer(d.pop("refused"), "refused")

        rollouts = []
        _rollouts = d.pop("rollouts", [])
        for rollouts_item_data in _rollouts:
            rollouts_item = RolloutReference.from_dict(rollouts_item_data)

            rollouts.append(rollouts_item)

        rollout_batch = cls(items=items, admitted=admitted, refused=refused, rollouts=rollouts)

        rollout_batch.additional_properties = d
        return rollout_batch

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
