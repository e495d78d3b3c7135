from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import read_text

T = TypeVar("T", bound="ImageMount")


@_attrs_define
class ImageMount:
    """A folder or file of the server's machine that a container may read but not write. Returns 403
    `images_not_allowed` if it is in none of the folders that the operator of the server has named.

        Attributes:
            source (str): The absolute path on the server's machine.
            target (str): The absolute path at which the container finds it.
    """

    source: str
    target: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        source = self.source

        target = self.target

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({"source": source, "target": target})

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        source = read_text(d.pop("source"), "source")

        target = read_text(d.pop("target"), "target")

        image_mount = cls(source=source, target=target)

        image_mount.additional_properties = d
        return image_mount

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
