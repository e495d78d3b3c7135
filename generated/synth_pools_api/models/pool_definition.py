from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.pool_target import PoolTarget, check_pool_target
from ..reading import read_choice, read_integer, read_object, read_optional, read_text, wrong_type
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.pool_config import PoolConfig
    from ..models.task_definition import TaskDefinition


T = TypeVar("T", bound="PoolDefinition")


@_attrs_define
class PoolDefinition:
    """A whole pool as the caller defines it, to create or replace it. Null is the same as not given. Unknown fields
    are kept. `status`, `state`, `created_at`, `updated_at` and `archived_at` belong to the server and are
    ignored. Some fields have two spellings (`target` and `backend`, `config` and `pool_config`, `metadata` and
    `pool_metadata`): the server accepts both, and answers both.

        Attributes:
            id (None | str | Unset): The id of the pool. Null: in `replace_pool` and `update_pool` that of the path, else
                one that the server
                assigns.
            pool_id (None | str | Unset): The id of the pool. Null: in `replace_pool` and `update_pool` that of the path,
                else one that the server
                assigns.
            name (None | str | Unset): A name for people; need not be unique. Null: the id.
            target (None | PoolTarget | Unset): The substrate. Null: the value of `backend` if it is one of the five, else
                `arbitrary`.
            backend (None | str | Unset): The substrate as free text, for those beyond the five of `target`. Null: the value
                of `target`.
            config (None | PoolConfig | Unset): Settings of the pool, free-form.
            pool_config (None | PoolConfig | Unset): Another spelling of `config`. If both are given, `config` counts.
            metadata (dict[str, Any] | None | Unset): Free-form, never interpreted.
            pool_metadata (dict[str, Any] | None | Unset): Another spelling of `metadata`. If both are given, `metadata`
                counts.
            tasks (list[TaskDefinition] | None | Unset): The tasks of the pool. Returns 409 `task_exists` if two have the
                same id.
            capacity (int | None | Unset): How many containers the pool has or may have.
            concurrency (int | None | Unset): How many rollouts of the pool may run at once.
            container_url (None | str | Unset): The address of the container that runs the rollouts. An absolute http or
                https URL without
                userinfo.
            container_urls (list[str] | None | Unset): The addresses of further containers, beside `container_url`. Each is
                an absolute http or https URL without
                userinfo.
    """

    id: None | str | Unset = UNSET
    pool_id: None | str | Unset = UNSET
    name: None | str | Unset = UNSET
    target: None | PoolTarget | Unset = UNSET
    backend: None | str | Unset = UNSET
    config: None | PoolConfig | Unset = UNSET
    pool_config: None | PoolConfig | Unset = UNSET
    metadata: dict[str, Any] | None | Unset = UNSET
    pool_metadata: dict[str, Any] | None | Unset = UNSET
    tasks: list[TaskDefinition] | None | Unset = UNSET
    capacity: int | None | Unset = UNSET
    concurrency: int | None | Unset = UNSET
    container_url: None | str | Unset = UNSET
    container_urls: list[str] | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.pool_config import PoolConfig

        id: None | str | Unset
        if isinstance(self.id, Unset):
            id = UNSET
        else:
            id = self.id

        pool_id: None | str | Unset
        if isinstance(self.pool_id, Unset):
            pool_id = UNSET
        else:
            pool_id = self.pool_id

        name: None | str | Unset
        if isinstance(self.name, Unset):
            name = UNSET
        else:
            name = self.name

        target: None | str | Unset
        if isinstance(self.target, Unset):
            target = UNSET
        elif isinstance(self.target, str):
            target = self.target
        else:
            target = self.target

        backend: None | str | Unset
        if isinstance(self.backend, Unset):
            backend = UNSET
        else:
            backend = self.backend

        config: dict[str, Any] | None | Unset
        if isinstance(self.config, Unset):
            config = UNSET
        elif isinstance(self.config, PoolConfig):
            config = self.config.to_dict()
        else:
            config = self.config

        pool_config: dict[str, Any] | None | Unset
        if isinstance(self.pool_config, Unset):
            pool_config = UNSET
        elif isinstance(self.pool_config, PoolConfig):
            pool_config = self.pool_config.to_dict()
        else:
            pool_config = self.pool_config

        metadata: dict[str, Any] | None | Unset
        if isinstance(self.metadata, Unset):
            metadata = UNSET
        else:
            metadata = self.metadata

        pool_metadata: dict[str, Any] | None | Unset
        if isinstance(self.pool_metadata, Unset):
            pool_metadata = UNSET
        else:
            pool_metadata = self.pool_metadata

        tasks: list[dict[str, Any]] | None | Unset
        if isinstance(self.tasks, Unset):
            tasks = UNSET
        elif isinstance(self.tasks, list):
            tasks = []
            for tasks_type_0_item_data in self.tasks:
                tasks_type_0_item = tasks_type_0_item_data.to_dict()
                tasks.append(tasks_type_0_item)

        else:
            tasks = self.tasks

        capacity: int | None | Unset
        if isinstance(self.capacity, Unset):
            capacity = UNSET
        else:
            capacity = self.capacity

        concurrency: int | None | Unset
        if isinstance(self.concurrency, Unset):
            concurrency = UNSET
        else:
            concurrency = self.concurrency

        container_url: None | str | Unset
        if isinstance(self.container_url, Unset):
            container_url = UNSET
        else:
            container_url = self.container_url

        container_urls: list[str] | None | Unset
        if isinstance(self.container_urls, Unset):
            container_urls = UNSET
        elif isinstance(self.container_urls, list):
            container_urls = self.container_urls

        else:
            container_urls = self.container_urls

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if id is not UNSET:
            field_dict["id"] = id
        if pool_id is not UNSET:
            field_dict["pool_id"] = pool_id
        if name is not UNSET:
            field_dict["name"] = name
        if target is not UNSET:
            field_dict["target"] = target
        if backend is not UNSET:
            field_dict["backend"] = backend
        if config is not UNSET:
            field_dict["config"] = config
        if pool_config is not UNSET:
            field_dict["pool_config"] = pool_config
        if metadata is not UNSET:
            field_dict["metadata"] = metadata
        if pool_metadata is not UNSET:
            field_dict["pool_metadata"] = pool_metadata
        if tasks is not UNSET:
            field_dict["tasks"] = tasks
        if capacity is not UNSET:
            field_dict["capacity"] = capacity
        if concurrency is not UNSET:
            field_dict["concurrency"] = concurrency
        if container_url is not UNSET:
            field_dict["container_url"] = container_url
        if container_urls is not UNSET:
            field_dict["container_urls"] = container_urls

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.pool_config import PoolConfig
        from ..models.task_definition import TaskDefinition

        d = dict(src_dict)
        id = read_optional(d.pop("id", UNSET), read_text, "id")

        pool_id = read_optional(d.pop("pool_id", UNSET), read_text, "pool_id")

        name = read_optional(d.pop("name", UNSET), read_text, "name")

        target = read_choice(d.pop("target", UNSET), check_pool_target)

        backend = read_optional(d.pop("backend", UNSET), read_text, "backend")

        def _parse_config(data: object) -> None | PoolConfig | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            if not isinstance(data, dict):
                raise wrong_type(data, "config")
            config_type_0 = PoolConfig.from_dict(data)

            return config_type_0

        config = _parse_config(d.pop("config", UNSET))

        def _parse_pool_config(data: object) -> None | PoolConfig | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            if not isinstance(data, dict):
                raise wrong_type(data, "pool_config")
            pool_config_type_0 = PoolConfig.from_dict(data)

            return pool_config_type_0

        pool_config = _parse_pool_config(d.pop("pool_config", UNSET))

        metadata = read_optional(d.pop("metadata", UNSET), read_object, "metadata")

        pool_metadata = read_optional(d.pop("pool_metadata", UNSET), read_object, "pool_metadata")

        def _parse_tasks(data: object) -> list[TaskDefinition] | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            if not isinstance(data, list):
                raise wrong_type(data, "tasks")
            tasks_type_0 = []
            _tasks_type_0 = data
            for tasks_type_0_item_data in _tasks_type_0:
                tasks_type_0_item = TaskDefinition.from_dict(tasks_type_0_item_data)

                tasks_type_0.append(tasks_type_0_item)

            return tasks_type_0

        tasks = _parse_tasks(d.pop("tasks", UNSET))

        capacity = read_optional(d.pop("capacity", UNSET), read_integer, "capacity")

        concurrency = read_optional(d.pop("concurrency", UNSET), read_integer, "concurrency")

        container_url = read_optional(d.pop("container_url", UNSET), read_text, "container_url")

        def _parse_container_urls(data: object) -> list[str] | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            if not isinstance(data, list):
                raise wrong_type(data, "container_urls")
            container_urls_type_0 = cast(list[str], data)

            return container_urls_type_0

        container_urls = _parse_container_urls(d.pop("container_urls", UNSET))

        pool_definition = cls(
            id=id,
            pool_id=pool_id,
            name=name,
            target=target,
            backend=backend,
            config=config,
            pool_config=pool_config,
            metadata=metadata,
            pool_metadata=pool_metadata,
            tasks=tasks,
            capacity=capacity,
            concurrency=concurrency,
            container_url=container_url,
            container_urls=container_urls,
        )

        pool_definition.additional_properties = d
        return pool_definition

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
