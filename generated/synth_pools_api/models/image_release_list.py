from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import pop_older, read_optional, read_text
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.image_release import ImageRelease


T = TypeVar("T", bound="ImageReleaseList")


@_attrs_define
class ImageReleaseList:
    """All image releases of a pool, newest first.

    Attributes:
        items (list[ImageRelease]): The image releases.
        next_cursor (None | str): Always null: the list is not split into pages.
        releases (list[ImageRelease] | Unset): The same list as `items`, for later clients, unless `Prefer` says
            `return=minimal`.
    """

    items: list[ImageRelease]
    next_cursor: None | str
    releases: list[ImageRelease] | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        items = []
        for items_item_data in self.items:
            items_item = items_item_data.to_dict()
            items.append(items_item)

        next_cursor: None | str
        next_cursor = self.next_cursor

        releases: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.releases, Unset):
            releases = []
            for releases_item_data in self.releases:
                releases_item = releases_item_data.to_dict()
                releases.append(releases_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({"items": items, "next_cursor": next_cursor})
        if releases is not UNSET:
            field_dict["releases"] = releases

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.image_release import ImageRelease

        d = dict(src_dict)
        items = []
        _items = pop_older(d, src_dict, "items", "releases", "data")
        for items_item_data in _items:
            items_item = ImageRelease.from_dict(items_item_data)

            items.append(items_item)

        next_cursor = read_optional(
            pop_older(d, src_dict, "next_cursor", "cursor", default=None), read_text, "next_cursor"
        )

        _releases = d.pop("releases", UNSET)
        releases: list[ImageRelease] | Unset = UNSET
        if _releases is not UNSET:
            releases = []
            for releases_item_data in _releases:
                releases_item = ImageRelease.from_dict(releases_item_data)

                releases.append(releases_item)

        image_release_list = cls(items=items, next_cursor=next_cursor, releases=releases)

        image_release_list.additional_properties = d
        return image_release_list

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
