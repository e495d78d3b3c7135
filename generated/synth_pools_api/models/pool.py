from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.pool_status import PoolStatus, check_pool_status
from ..models.pool_target import PoolTarget
from ..reading import pop_older, read_integer, read_object, read_optional, read_text, wrong_type

if TYPE_CHECKING:
    from ..models.pool_error import PoolError
    from ..models.stored_pool_config import StoredPoolConfig
    from ..models.task import Task


T = TypeVar("T", bound="Pool")


@_attrs_define
class Pool:
    """A pool.

    Attributes:
        id (str): The id of the pool.
        pool_id (str): The id of the pool, the same value as `id`.
        name (str): A name for people. White space in it is kept.
        target (PoolTarget | str): The substrate of a pool as it is answered, a `PoolTarget` or another.
        backend (str): The substrate as free text; `target` again, or one beyond its five.
        status (PoolStatus): The state of a pool, see *Pools: states*. Its `state` and `status` carry the same value.
            Only `active`
            admits rollouts.
        state (PoolStatus): The state of a pool, see *Pools: states*. Its `state` and `status` carry the same value.
            Only `active`
            admits rollouts.
        config (StoredPoolConfig): The settings of a pool as they are answered, see `PoolConfig`.
        pool_config (StoredPoolConfig): The settings of a pool as they are answered, see `PoolConfig`.
        metadata (dict[str, Any]): Any JSON object: free-form, kept and answered as it was sent. Of a key that comes
            twice the last value counts.
        pool_metadata (dict[str, Any]): Any JSON object: free-form, kept and answered as it was sent. Of a key that
            comes twice the last value counts.
        tasks (list[Task]): The active tasks of the pool: those of the last body with `tasks`, in its order, then those
            that
            `create_task` added, oldest first.
        capacity (int): How many containers the pool has or may have.
        concurrency (int): How many rollouts of the pool may run at once.
        container_url (None | str): The address of the container; null if none was given.
        container_urls (list[str]): The addresses of further containers, in the order in which the caller gave them.
        error (None | PoolError): Why the pool is `failed`; null where it is not.
        created_at (datetime.datetime): When the pool was created, in UTC.
        updated_at (datetime.datetime): When it last changed, in UTC.
        archived_at (datetime.datetime | None): When it was archived, in UTC; null before that.
    """

    id: str
    pool_id: str
    name: str
    target: PoolTarget | str
    backend: str
    status: PoolStatus
    state: PoolStatus
    config: StoredPoolConfig
    pool_config: StoredPoolConfig
    metadata: dict[str, Any]
    pool_metadata: dict[str, Any]
    tasks: list[Task]
    capacity: int
    concurrency: int
    container_url: None | str
    container_urls: list[str]
    error: None | PoolError
    created_at: datetime.datetime
    updated_at: datetime.datetime
    archived_at: datetime.datetime | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.pool_error import PoolError

        id = self.id

        pool_id = self.pool_id

        name = self.name

        target: str
        if isinstance(self.target, str):
            target = self.target
        else:
            target = self.target

        backend = self.backend

        status: str = self.status

        state: str = self.state

        config = self.config.to_dict()

        pool_config = self.pool_config.to_dict()

        metadata = self.metadata

        pool_metadata = self.pool_metadata

        tasks = []
        for tasks_item_data in self.tasks:
            tasks_item = tasks_item_data.to_dict()
            tasks.append(tasks_item)

        capacity = self.capacity

        concurrency = self.concurrency

        container_url: None | str
        container_url = self.container_url

        container_urls = self.container_urls

        error: dict[str, Any] | None
        if isinstance(self.error, PoolError):
            error = self.error.to_dict()
        else:
            error = self.error

        created_at = self.created_at.isoformat()

        updated_at = self.updated_at.isoformat()

        archived_at: None | str
        if isinstance(self.archived_at, datetime.datetime):
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
                "pool_config": pool_config,
                "metadata": metadata,
                "pool_metadata": pool_metadata,
                "tasks": tasks,
                "capacity": capacity,
                "concurrency": concurrency,
                "container_url": container_url,
                "container_urls": container_urls,
                "error": error,
                "created_at": created_at,
                "updated_at": updated_at,
                "archived_at": archived_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.pool_error import PoolError
        from ..models.stored_pool_config import StoredPoolConfig
        from ..models.task import Task

        d = dict(src_dict)
        id = read_text(pop_older(d, src_dict, "id", "pool_id"), "id")

        pool_id = read_text(pop_older(d, src_dict, "pool_id", "id"), "pool_id")

        name = read_text(d.pop("name"), "name")

        target = read_text(pop_older(d, src_dict, "target", "backend"), "target")

        backend = read_text(pop_older(d, src_dict, "backend", "target"), "backend")

        status = check_pool_status(read_text(pop_older(d, src_dict, "status", "state"), "status"))

        state = check_pool_status(read_text(pop_older(d, src_dict, "state", "status"), "state"))

        config = StoredPoolConfig.from_dict(pop_older(d, src_dict, "config", "pool_config"))

        pool_config = StoredPoolConfig.from_dict(pop_older(d, src_dict, "pool_config", "config"))

        metadata = read_object(pop_older(d, src_dict, "metadata", "pool_metadata"), "metadata")

        pool_metadata = read_object(
            pop_older(d, src_dict, "pool_metadata", "metadata"), "pool_metadata"
        )

        tasks = []
        _tasks = d.pop("tasks")
        for tasks_item_data in _tasks:
            tasks_item = Task.from_dict(tasks_item_data)

            tasks.append(tasks_item)

        capacity = read_integer(d.pop("capacity"), "capacity")

        concurrency = read_integer(d.pop("concurrency"), "concurrency")

        container_url = read_optional(d.pop("container_url", None), read_text, "container_url")

        container_urls = cast(list[str], d.pop("container_urls", []))

        def _parse_error(data: object) -> None | PoolError:
            if data is None:
                return data
            if not isinstance(data, dict):
                raise wrong_type(data, "error")
            error_type_0 = PoolError.from_dict(data)

            return error_type_0

        error = _parse_error(d.pop("error", None))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        updated_at = datetime.datetime.fromisoformat(d.pop("updated_at"))

        def _parse_archived_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            if not isinstance(data, str):
                raise wrong_type(data, "archived_at")
            archived_at_type_0 = datetime.datetime.fromisoformat(data)

            return archived_at_type_0

        archived_at = _parse_archived_at(d.pop("archived_at", None))

        pool = cls(
            id=id,
            pool_id=pool_id,
            name=name,
            target=target,
            backend=backend,
            status=status,
            state=state,
            config=config,
            pool_config=pool_config,
            metadata=metadata,
            pool_metadata=pool_metadata,
            tasks=tasks,
            capacity=capacity,
            concurrency=concurrency,
            container_url=container_url,
            container_urls=container_urls,
            error=error,
            created_at=created_at,
            updated_at=updated_at,
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
