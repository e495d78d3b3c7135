from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import read_text
from ..types import UNSET, Unset

T = TypeVar("T", bound="ErrorDetailItem")


@_attrs_define
class ErrorDetailItem:
    """One offending field of a request.

    Attributes:
        loc (list[int | str]): Where it is: `body`, `query`, `path` or `header`, then names and indexes. For a key that
            is missing or may
            not be there it is the place of the key, or of its object; `msg` then names the key.
        msg (str): What is wrong and what is allowed.
        type_ (str | Unset): The kind of the fault.
    """

    loc: list[int | str]
    msg: str
    type_: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        loc = []
        for loc_item_data in self.loc:
            loc_item: int | str
            loc_item = loc_item_data
            loc.append(loc_item)

        msg = self.msg

        type_ = self.type_

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({"loc": loc, "msg": msg})
        if type_ is not UNSET:
            field_dict["type"] = type_

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        loc = []
        _loc = d.pop("loc")
        for loc_item_data in _loc:

            def _parse_loc_item(data: object) -> int | str:
                return cast(int | str, data)

            loc_item = _parse_loc_item(loc_item_data)

            loc.append(loc_item)

        msg = read_text(d.pop("msg"), "msg")

        type_ = d.pop("type", UNSET)

        error_detail_item = cls(loc=loc, msg=msg, type_=type_)

        error_detail_item.additional_properties = d
        return error_detail_item

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
