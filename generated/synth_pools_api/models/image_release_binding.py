from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="ImageReleaseBinding")


@_attrs_define
class ImageReleaseBinding:
    """Which release the rollouts of a task run on now, in the server's terms.

    Attributes:
        pool_id (str | Unset): The id of the pool.
        task_id (str | Unset): The id of the task.
        release_id (str | Unset): The id of the release.
    """

    pool_id: str | Unset = UNSET
    task_id: str | Unset = UNSET
    release_id: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        pool_id = self.pool_id

        task_id = self.task_id

        release_id = self.release_id

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if pool_id is not UNSET:
            field_dict["pool_id"] = pool_id
        if task_id is not UNSET:
            field_dict["task_id"] = task_id
        if release_id is not UNSET:
            field_dict["release_id"] = release_id

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        pool_id = d.pop("pool_id", UNSET)

        task_id = d.pop("task_id", UNSET)

        release_id = d.pop("release_id", UNSET)

        image_release_binding = cls(pool_id=pool_id, task_id=task_id, release_id=release_id)

        image_release_binding.additional_properties = d
        return image_release_binding

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
