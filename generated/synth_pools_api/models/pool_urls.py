from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import pop_older, read_optional, read_text

if TYPE_CHECKING:
    from ..models.task_urls import TaskUrls


T = TypeVar("T", bound="PoolUrls")


@_attrs_define
class PoolUrls:
    """The absolute addresses of a pool.

    Attributes:
        id (str): The id of the pool.
        pool_id (str): The same value as `id`.
        pool_url (str): The address of `get_pool`.
        rollouts_url (str): The address of `create_rollout` and `list_rollouts`.
        container_url (None | str): The first of `container_urls`; null where there is none.
        container_rollout_url (str): The address of `execute_pool_container_rollout`.
        container_urls (list[str]): The addresses of all containers of the pool, each once: `container_url`, then those
            of `container_urls` in
            their order, then those that the server starts.
        task_urls (list[TaskUrls]): The addresses of each task, in the order of the pool's `tasks`.
    """

    id: str
    pool_id: str
    pool_url: str
    rollouts_url: str
    container_url: None | str
    container_rollout_url: str
    container_urls: list[str]
    task_urls: list[TaskUrls]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        pool_id = self.pool_id

        pool_url = self.pool_url

        rollouts_url = self.rollouts_url

        container_url: None | str
        container_url = self.container_url

        container_rollout_url = self.container_rollout_url

        container_urls = self.container_urls

        task_urls = []
        for task_urls_item_data in self.task_urls:
            task_urls_item = task_urls_item_data.to_dict()
            task_urls.append(task_urls_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "pool_id": pool_id,
                "pool_url": pool_url,
                "rollouts_url": rollouts_url,
                "container_url": container_url,
                "container_rollout_url": container_rollout_url,
                "container_urls": container_urls,
                "task_urls": task_urls,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.task_urls import TaskUrls

        d = dict(src_dict)
        id = read_text(pop_older(d, src_dict, "id", "pool_id"), "id")

        pool_id = read_text(pop_older(d, src_dict, "pool_id", "id"), "pool_id")

        pool_url = read_text(d.pop("pool_url"), "pool_url")

        rollouts_url = read_text(d.pop("rollouts_url"), "rollouts_url")

        container_url = read_optional(d.pop("container_url", None), read_text, "container_url")

        container_rollout_url = read_text(d.pop("container_rollout_url"), "container_rollout_url")

        container_urls = cast(list[str], d.pop("container_urls", []))

        task_urls = []
        _task_urls = d.pop("task_urls")
        for task_urls_item_data in _task_urls:
            task_urls_item = TaskUrls.from_dict(task_urls_item_data)

            task_urls.append(task_urls_item)

        pool_urls = cls(
            id=id,
            pool_id=pool_id,
            pool_url=pool_url,
            rollouts_url=rollouts_url,
            container_url=container_url,
            container_rollout_url=container_rollout_url,
            container_urls=container_urls,
            task_urls=task_urls,
        )

        pool_urls.additional_properties = d
        return pool_urls

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
