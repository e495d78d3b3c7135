from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import pop_older, read_optional, read_text
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.rollout import Rollout


T = TypeVar("T", bound="RolloutList")


@_attrs_define
class RolloutList:
    """One page of rollouts, newest first unless `sort` or `direction` says otherwise; of those that one request created,
    the last one of the request first.

        Attributes:
            items (list[Rollout]): The rollouts of this page.
            next_cursor (None | str): The `cursor` of the following page; null on the last page.
            rollouts (list[Rollout] | Unset): The same list as `items`, for later clients, unless `Prefer` says
                `return=minimal`.
    """

    items: list[Rollout]
    next_cursor: None | str
    rollouts: list[Rollout] | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        items = []
        for items_item_data in self.items:
            items_item = items_item_data.to_dict()
            items.append(items_item)

        next_cursor: None | str
        next_cursor = self.next_cursor

        rollouts: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.rollouts, Unset):
            rollouts = []
            for rollouts_item_data in self.rollouts:
                rollouts_item = rollouts_item_data.to_dict()
                rollouts.append(rollouts_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({"items": items, "next_cursor": next_cursor})
        if rollouts is not UNSET:
            field_dict["rollouts"] = rollouts

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.rollout import Rollout

        d = dict(src_dict)
        items = []
        _items = pop_older(d, src_dict, "items", "rollouts", "data")
        for items_item_data in _items:
            items_item = Rollout.from_dict(items_item_data)

            items.append(items_item)

        next_cursor = read_optional(
            pop_older(d, src_dict, "next_cursor", "cursor", default=None), read_text, "next_cursor"
        )

        _rollouts = d.pop("rollouts", UNSET)
        rollouts: list[Rollout] | Unset = UNSET
        if _rollouts is not UNSET:
            rollouts = []
            for rollouts_item_data in _rollouts:
                rollouts_item = Rollout.from_dict(rollouts_item_data)

                rollouts.append(rollouts_item)

        rollout_list = cls(items=items, next_cursor=next_cursor, rollouts=rollouts)

        rollout_list.additional_properties = d
        return rollout_list

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
