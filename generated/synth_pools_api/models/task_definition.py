from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import read_object, read_optional, read_text
from ..types import UNSET, Unset

T = TypeVar("T", bound="TaskDefinition")


@_attrs_define
class TaskDefinition:
    """A whole task as the caller defines it, to create or replace it. Null is the same as not given. Unknown fields
    are kept. `pool_id`, `status`, `created_at` and `updated_at` belong to the server and are ignored.

        Attributes:
            id (None | str | Unset): The id of the task. Null: in `update_task` and `patch_task` that of the path, else one
                that the server
                assigns.
            task_id (None | str | Unset): The id of the task. Null: in `update_task` and `patch_task` that of the path, else
                one that the server
                assigns.
            backend (None | str | Unset): The substrate of the task. Null: that of the pool.
            task_config (dict[str, Any] | None | Unset): Settings of the task, free-form.
            task_metadata (dict[str, Any] | None | Unset): Free-form, never interpreted.
            container_url (None | str | Unset): The address of a container of the task's own, in place of the pool's. An
                absolute http or https URL
                without userinfo.
    """

    id: None | str | Unset = UNSET
    task_id: None | str | Unset = UNSET
    backend: None | str | Unset = UNSET
    task_config: dict[str, Any] | None | Unset = UNSET
    task_metadata: dict[str, Any] | None | Unset = UNSET
    container_url: None | str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id: None | str | Unset
        if isinstance(self.id, Unset):
            id = UNSET
        else:
            id = self.id

        task_id: None | str | Unset
        if isinstance(self.task_id, Unset):
            task_id = UNSET
        else:
            task_id = self.task_id

        backend: None | str | Unset
        if isinstance(self.backend, Unset):
            backend = UNSET
        else:
            backend = self.backend

        task_config: dict[str, Any] | None | Unset
        if isinstance(self.task_config, Unset):
            task_config = UNSET
        else:
            task_config = self.task_config

        task_metadata: dict[str, Any] | None | Unset
        if isinstance(self.task_metadata, Unset):
            task_metadata = UNSET
        else:
            task_metadata = self.task_metadata

        container_url: None | str | Unset
        if isinstance(self.container_url, Unset):
            container_url = UNSET
        else:
            container_url = self.container_url

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if id is not UNSET:
            field_dict["id"] = id
        if task_id is not UNSET:
            field_dict["task_id"] = task_id
        if backend is not UNSET:
            field_dict["backend"] = backend
        if task_config is not UNSET:
            field_dict["task_config"] = task_config
        if task_metadata is not UNSET:
            field_dict["task_metadata"] = task_metadata
        if container_url is not UNSET:
            field_dict["container_url"] = container_url

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = read_optional(d.pop("id", UNSET), read_text, "id")

        task_id = read_optional(d.pop("task_id", UNSET), read_text, "task_id")

        backend = read_optional(d.pop("backend", UNSET), read_text, "backend")

        task_config = read_optional(d.pop("task_config", UNSET), read_object, "task_config")

        task_metadata = read_optional(d.pop("task_metadata", UNSET), read_object, "task_metadata")

        container_url = read_optional(d.pop("container_url", UNSET), read_text, "container_url")

        task_definition = cls(
            id=id,
            task_id=task_id,
            backend=backend,
            task_config=task_config,
            task_metadata=task_metadata,
            container_url=container_url,
        )

        task_definition.additional_properties = d
        return task_definition

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
