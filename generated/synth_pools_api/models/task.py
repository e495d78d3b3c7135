from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.task_status import TaskStatus, check_task_status
from ..reading import pop_older, read_object, read_optional, read_text
from ..types import UNSET, Unset

T = TypeVar("T", bound="Task")


@_attrs_define
class Task:
    """A task.

    Attributes:
        id (str): The id of the task.
        task_id (str): The id of the task, the same value as `id`; unique within its pool.
        pool_id (str): The id of the pool.
        backend (str): The substrate of the task.
        task_config (dict[str, Any]): Any JSON object: free-form, kept and answered as it was sent. Of a key that comes
            twice the last value counts.
        task_metadata (dict[str, Any]): Any JSON object: free-form, kept and answered as it was sent. Of a key that
            comes twice the last value counts.
        container_url (None | str): The address of the task's own container. Null: it uses those of the pool.
        status (TaskStatus): The state of a task, see *Tasks: states*.
        created_at (datetime.datetime | Unset): When the task was created, in UTC.
        updated_at (datetime.datetime | Unset): When it last changed, in UTC.
    """

    id: str
    task_id: str
    pool_id: str
    backend: str
    task_config: dict[str, Any]
    task_metadata: dict[str, Any]
    container_url: None | str
    status: TaskStatus
    created_at: datetime.datetime | Unset = UNSET
    updated_at: datetime.datetime | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        task_id = self.task_id

        pool_id = self.pool_id

        backend = self.backend

        task_config = self.task_config

        task_metadata = self.task_metadata

        container_url: None | str
        container_url = self.container_url

        status: str = self.status

        created_at: str | Unset = UNSET
        if not isinstance(self.created_at, Unset):
            created_at = self.created_at.isoformat()

        updated_at: str | Unset = UNSET
        if not isinstance(self.updated_at, Unset):
            updated_at = self.updated_at.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "task_id": task_id,
                "pool_id": pool_id,
                "backend": backend,
                "task_config": task_config,
                "task_metadata": task_metadata,
                "container_url": container_url,
                "status": status,
            }
        )
        if created_at is not UNSET:
            field_dict["created_at"] = created_at
        if updated_at is not UNSET:
            field_dict["updated_at"] = updated_at

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = read_text(pop_older(d, src_dict, "id", "task_id"), "id")

        task_id = read_text(pop_older(d, src_dict, "task_id", "id"), "task_id")

        pool_id = read_text(d.pop("pool_id"), "pool_id")

        backend = read_text(d.pop("backend"), "backend")

        task_config = read_object(d.pop("task_config"), "task_config")

        task_metadata = read_object(d.pop("task_metadata"), "task_metadata")

        container_url = read_optional(d.pop("container_url", None), read_text, "container_url")

        status = check_task_status(read_text(d.pop("status"), "status"))

        _created_at = d.pop("created_at", UNSET)
        created_at: datetime.datetime | Unset
        if isinstance(_created_at, Unset):
            created_at = UNSET
        else:
            created_at = datetime.datetime.fromisoformat(_created_at)

        _updated_at = d.pop("updated_at", UNSET)
        updated_at: datetime.datetime | Unset
        if isinstance(_updated_at, Unset):
            updated_at = UNSET
        else:
            updated_at = datetime.datetime.fromisoformat(_updated_at)

        task = cls(
            id=id,
            task_id=task_id,
            pool_id=pool_id,
            backend=backend,
            task_config=task_config,
            task_metadata=task_metadata,
            container_url=container_url,
            status=status,
            created_at=created_at,
            updated_at=updated_at,
        )

        task.additional_properties = d
        return task

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
