from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.pool_status import PoolStatus, check_pool_status
from ..models.pool_target import PoolTarget, check_pool_target
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.json_object import JsonObject
    from ..models.pool_config import PoolConfig
    from ..models.pool_error import PoolError
    from ..models.task import Task


T = TypeVar("T", bound="Pool")


@_attrs_define
class Pool:
    """A pool.

    Attributes:
        id (str): The id of the pool.
        pool_id (str): The id of the pool, the same value as `id`.
        name (str): A name for people.
        target (PoolTarget): The substrate that a pool is deployed on.
        backend (str): The newer spelling of `target`, free text.
        status (PoolStatus): The state of a pool, see *Pools: states*. Only `active` admits rollouts.
        state (PoolStatus): The state of a pool, see *Pools: states*. Only `active` admits rollouts.
        config (PoolConfig): Settings of a pool, free-form; those named here are read by the server.
        metadata (JsonObject): Any JSON object: free-form, kept and answered as it was sent.
        tasks (list[Task]): The active tasks of the pool, in the order in which they were defined.
        capacity (int): How many containers the pool has or may have.
        concurrency (int): How many of its rollouts may run at once.
        container_url (None | str): The address of the container; null: the built-in echo target, or those below.
        created_at (datetime.datetime): When the pool was created.
        updated_at (datetime.datetime): When it last changed.
        pool_config (PoolConfig | Unset): Settings of a pool, free-form; those named here are read by the server.
        pool_metadata (JsonObject | Unset): Any JSON object: free-form, kept and answered as it was sent.
        container_urls (list[str] | Unset): The addresses of further containers.
        error (None | PoolError | Unset): Why the pool is `failed`; null where it is not.
        archived_at (datetime.datetime | None | Unset): When it was archived; null before that.
    """

    id: str
    pool_id: str
    name: str
    target: PoolTarget
    backend: str
    status: PoolStatus
    state: PoolStatus
    config: PoolConfig
    metadata: JsonObject
    tasks: list[Task]
    capacity: int
    concurrency: int
    container_url: None | str
    created_at: datetime.datetime
    updated_at: datetime.datetime
    pool_config: PoolConfig | Unset = UNSET
    pool_metadata: JsonObject | Unset = UNSET
    container_urls: list[str] | Unset = UNSET
    error: None | PoolError | Unset = UNSET
    archived_at: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.pool_error import PoolError

        id = self.id

        pool_id = self.pool_id

        name = self.name

        target: str = self.target

        backend = self.backend

        status: str = self.status

        state: str = self.state

        config = self.config.to_dict()

        metadata = self.metadata.to_dict()

        tasks = []
        for tasks_item_data in self.tasks:
            tasks_item = tasks_item_data.to_dict()
            tasks.append(tasks_item)

        capacity = self.capacity

        concurrency = self.concurrency

        container_url: None | str
        container_url = self.container_url

        created_at = self.created_at.isoformat()

        updated_at = self.updated_at.isoformat()

        pool_config: dict[str, Any] | Unset = UNSET
        if not isinstance(self.pool_config, Unset):
            pool_config = self.pool_config.to_dict()

        pool_metadata: dict[str, Any] | Unset = UNSET
        if not isinstance(self.pool_metadata, Unset):
            pool_metadata = self.pool_metadata.to_dict()

        container_urls: list[str] | Unset = UNSET
        if not isinstance(self.container_urls, Unset):
            container_urls = self.container_urls

        error: dict[str, Any] | None | Unset
        if isinstance(self.error, Unset):
            error = UNSET
        elif isinstance(self.error, PoolError):
            error = self.error.to_dict()
        else:
            error = self.error

        archived_at: None | str | Unset
        if isinstance(self.archived_at, Unset):
            archived_at = UNSET
        elif isinstance(self.archived_at, datetime.datetime):
            archived_at = self.archived_at.isoformat()
        else:
            archived_at = self.archived_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "pool_id": pool_id,
                "name": name,
                "target": target,
                "backend": backend,
                "status": status,
                "state": state,
                "config": config,
                "metadata": metadata,
                "tasks": tasks,
                "capacity": capacity,
                "concurrency": concurrency,
                "container_url": container_url,
                "created_at": created_at,
                "updated_at": updated_at,
            }
        )
        if pool_config is not UNSET:
            field_dict["pool_config"] = pool_config
        if pool_metadata is not UNSET:
            field_dict["pool_metadata"] = pool_metadata
        if container_urls is not UNSET:
            field_dict["container_urls"] = container_urls
        if error is not UNSET:
            field_dict["error"] = error
        if archived_at is not UNSET:
            field_dict["archived_at"] = archived_at

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.json_object import JsonObject
        from ..models.pool_config import PoolConfig
        from ..models.pool_error import PoolError
        from ..models.task import Task

        d = dict(src_dict)
        id = d.pop("id")

        pool_id = d.pop("pool_id")

        name = d.pop("name")

        target = check_pool_target(d.pop("target"))

        backend = d.pop("backend")

        status = check_pool_status(d.pop("status"))

        state = check_pool_status(d.pop("state"))

        config = PoolConfig.from_dict(d.pop("config"))

        metadata = JsonObject.from_dict(d.pop("metadata"))

        tasks = []
        _tasks = d.pop("tasks")
        for tasks_item_data in _tasks:
            tasks_item = Task.from_dict(tasks_item_data)

            tasks.append(tasks_item)

        capacity = d.pop("capacity")

        concurrency = d.pop("concurrency")

        def _parse_container_url(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        container_url = _parse_container_url(d.pop("container_url"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        updated_at = datetime.datetime.fromisoformat(d.pop("updated_at"))

        _pool_config = d.pop("pool_config", UNSET)
        pool_config: PoolConfig | Unset
        if isinstance(_pool_config, Unset):
            pool_config = UNSET
        else:
            pool_config = PoolConfig.from_dict(_pool_config)

        _pool_metadata = d.pop("pool_metadata", UNSET)
        pool_metadata: JsonObject | Unset
        if isinstance(_pool_metadata, Unset):
            pool_metadata = UNSET
        else:
            pool_metadata = JsonObject.from_dict(_pool_metadata)

        container_urls = cast(list[str], d.pop("container_urls", UNSET))

        def _parse_error(data: object) -> None | PoolError | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                error_type_0 = PoolError.from_dict(data)

                return error_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | PoolError | Unset, data)

        error = _parse_error(d.pop("error", UNSET))

        def _parse_archived_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                archived_at_type_0 = datetime.datetime.fromisoformat(data)

                return archived_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        archived_at = _parse_archived_at(d.pop("archived_at", UNSET))

        pool = cls(
            id=id,
            pool_id=pool_id,
            name=name,
            target=target,
            backend=backend,
            status=status,
            state=state,
            config=config,
            metadata=metadata,
            tasks=tasks,
            capacity=capacity,
            concurrency=concurrency,
            container_url=container_url,
            created_at=created_at,
            updated_at=updated_at,
            pool_config=pool_config,
            pool_metadata=pool_metadata,
            container_urls=container_urls,
            error=error,
            archived_at=archived_at,
        )

        pool.additional_properties = d
        return pool

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
