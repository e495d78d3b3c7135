from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.task_status import TaskStatus, check_task_status
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.json_object import JsonObject


T = TypeVar("T", bound="Task")


@_attrs_define
class Task:
    """A task.

    Attributes:
        id (str): The id of the task.
        task_id (str): The id of the task, the same value as `id`; unique within its pool.
        pool_id (str): The id of the pool.
        backend (str): The substrate of the task.
        task_config (JsonObject): Any JSON object: free-form, kept and answered as it was sent.
        task_metadata (JsonObject): Any JSON object: free-form, kept and answered as it was sent.
        status (TaskStatus): The state of a task, see *Tasks: states*.
        container_url (None | str | Unset): The address of its own container; null: the pool's.
        created_at (datetime.datetime | Unset): When the task was created.
        updated_at (datetime.datetime | Unset): When it last changed.
    """

    id: str
    task_id: str
    pool_id: str
    backend: str
    task_config: JsonObject
    task_metadata: JsonObject
    status: TaskStatus
    container_url: None | str | Unset = UNSET
    created_at: datetime.datetime | Unset = UNSET
    updated_at: datetime.datetime | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        task_id = self.task_id

        pool_id = self.pool_id

        backend = self.backend

        task_config = self.task_config.to_dict()

        task_metadata = self.task_metadata.to_dict()

        status: str = self.status

        container_url: None | str | Unset
        if isinstance(self.container_url, Unset):
            container_url = UNSET
        else:
            container_url = self.container_url

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
                "status": status,
            }
        )
        if container_url is not UNSET:
            field_dict["container_url"] = container_url
        if created_at is not UNSET:
            field_dict["created_at"] = created_at
        if updated_at is not UNSET:
            field_dict["updated_at"] = updated_at

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.json_object import JsonObject

        d = dict(src_dict)
        id = d.pop("id")

        task_id = d.pop("task_id")

        pool_id = d.pop("pool_id")

        backend = d.pop("backend")

        task_config = JsonObject.from_dict(d.pop("task_config"))

        task_metadata = JsonObject.from_dict(d.pop("task_metadata"))

        status = check_task_status(d.pop("status"))

        def _parse_container_url(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        container_url = _parse_container_url(d.pop("container_url", UNSET))

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
            status=status,
            container_url=container_url,
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
