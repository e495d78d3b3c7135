from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import read_optional, read_text

T = TypeVar("T", bound="TaskUrls")


@_attrs_define
class TaskUrls:
    """The addresses of one task.

    Attributes:
        task_id (str): The id of the task.
        container_url (None | str): The container that the task uses; null where it has none.
        container_rollout_url (str): The address of `execute_task_container_rollout`.
    """

    task_id: str
    container_url: None | str
    container_rollout_url: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        task_id = self.task_id

        container_url: None | str
        container_url = self.container_url

        container_rollout_url = self.container_rollout_url

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "task_id": task_id,
                "container_url": container_url,
                "container_rollout_url": container_rollout_url,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        task_id = read_text(d.pop("task_id"), "task_id")

        container_url = read_optional(d.pop("container_url", None), read_text, "container_url")

        container_rollout_url = read_text(d.pop("container_rollout_url"), "container_rollout_url")

        task_urls = cls(
            task_id=task_id,
            container_url=container_url,
            container_rollout_url=container_rollout_url,
        )

        task_urls.additional_properties = d
        return task_urls

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
