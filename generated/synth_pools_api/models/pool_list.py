from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import pop_older, read_optional, read_text
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.pool import Pool


T = TypeVar("T", bound="PoolList")


@_attrs_define
class PoolList:
    """One page of pools, newest first.

    Attributes:
        items (list[Pool]): The pools of this page.
        next_cursor (None | str): The `cursor` of the following page; null on the last page.
        pools (list[Pool] | Unset): The same list as `items`, for later clients, unless `Prefer` says `return=minimal`.
    """

    items: list[Pool]
    next_cursor: None | str
    pools: list[Pool] | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        items = []
        for items_item_data in self.items:
            items_item = items_item_data.to_dict()
            items.append(items_item)

        next_cursor: None | str
        next_cursor = self.next_cursor

        pools: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.pools, Unset):
            pools = []
            for pools_item_data in self.pools:
                pools_item = pools_item_data.to_dict()
                pools.append(pools_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({"items": items, "next_cursor": next_cursor})
        if pools is not UNSET:
            field_dict["pools"] = pools

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.pool import Pool

        d = dict(src_dict)
        items = []
        _items = pop_older(d, src_dict, "items", "pools", "data")
        for items_item_data in _items:
            items_item = Pool.from_dict(items_item_data)

            items.append(items_item)

        next_cursor = read_optional(
            pop_older(d, src_dict, "next_cursor", "cursor", default=None), read_text, "next_cursor"
        )

        _pools = d.pop("pools", UNSET)
        pools: list[Pool] | Unset = UNSET
        if _pools is not UNSET:
            pools = []
            for pools_item_data in _pools:
                pools_item = Pool.from_dict(pools_item_data)

                pools.append(pools_item)

        pool_list = cls(items=items, next_cursor=next_cursor, pools=pools)

        pool_list.additional_properties = d
        return pool_list

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
