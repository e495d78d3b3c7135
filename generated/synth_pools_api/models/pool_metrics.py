from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import pop_older, read_integer, read_number, read_optional, read_text
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.pool_container import PoolContainer
    from ..models.task_usage import TaskUsage
    from ..models.usage_sums import UsageSums


T = TypeVar("T", bound="PoolMetrics")


@_attrs_define
class PoolMetrics:
    """Counts of a pool's rollouts at one moment.

    Attributes:
        id (str): The id of the pool.
        pool_id (str): The same value as `id`.
        active_rollouts (int): Rollouts that run.
        queued_rollouts (int): Rollouts that wait.
        success_rate (float | None): The share of completed rollouts among those that completed or failed; null while
            there are none.
        capacity (int): The pool's `capacity`.
        containers (list[PoolContainer]): The containers of the pool, in the order of the `container_urls` of
            `get_pool_urls`; any others come
            anywhere. Empty for the echo target.
        completed_rollouts (int | Unset): Rollouts that completed.
        failed_rollouts (int | Unset): Rollouts that failed.
        cancelled_rollouts (int | Unset): Rollouts that were cancelled.
        concurrency (int | Unset): The pool's `concurrency`.
        usage (UsageSums | Unset): What containers report of several rollouts, as sums of `get_rollout_usage`.
        task_usage (list[TaskUsage] | Unset): The same for each task, the one with most rollouts first; at most 1,000 of
            them.
    """

    id: str
    pool_id: str
    active_rollouts: int
    queued_rollouts: int
    success_rate: float | None
    capacity: int
    containers: list[PoolContainer]
    completed_rollouts: int | Unset = UNSET
    failed_rollouts: int | Unset = UNSET
    cancelled_rollouts: int | Unset = UNSET
    concurrency: int | Unset = UNSET
    usage: UsageSums | Unset = UNSET
    task_usage: list[TaskUsage] | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        pool_id = self.pool_id

        active_rollouts = self.active_rollouts

        queued_rollouts = self.queued_rollouts

        success_rate: float | None
        success_rate = self.success_rate

        capacity = self.capacity

        containers = []
        for containers_item_data in self.containers:
            containers_item = containers_item_data.to_dict()
            containers.append(containers_item)

        completed_rollouts = self.completed_rollouts

        failed_rollouts = self.failed_rollouts

        cancelled_rollouts = self.cancelled_rollouts

        concurrency = self.concurrency

        usage: dict[str, Any] | Unset = UNSET
        if not isinstance(self.usage, Unset):
            usage = self.usage.to_dict()

        task_usage: list[dict[str, Any]] | Unset = UNSET
        if not isinstance(self.task_usage, Unset):
            task_usage = []
            for task_usage_item_data in self.task_usage:
                task_usage_item = task_usage_item_data.to_dict()
                task_usage.append(task_usage_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "pool_id": pool_id,
                "active_rollouts": active_rollouts,
                "queued_rollouts": queued_rollouts,
                "success_rate": success_rate,
                "capacity": capacity,
                "containers": containers,
            }
        )
        if completed_rollouts is not UNSET:
            field_dict["completed_rollouts"] = completed_rollouts
        if failed_rollouts is not UNSET:
            field_dict["failed_rollouts"] = failed_rollouts
        if cancelled_rollouts is not UNSET:
            field_dict["cancelled_rollouts"] = cancelled_rollouts
        if concurrency is not UNSET:
            field_dict["concurrency"] = concurrency
        if usage is not UNSET:
            field_dict["usage"] = usage
        if task_usage is not UNSET:
            field_dict["task_usage"] = task_usage

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.pool_container import PoolContainer
        from ..models.task_usage import TaskUsage
        from ..models.usage_sums import UsageSums

        d = dict(src_dict)
        id = read_text(pop_older(d, src_dict, "id", "pool_id"), "id")

        pool_id = read_text(pop_older(d, src_dict, "pool_id", "id"), "pool_id")

        active_rollouts = read_integer(d.pop("active_rollouts"), "active_rollouts")

        queued_rollouts = read_integer(d.pop("queued_rollouts"), "queued_rollouts")

        success_rate = read_optional(d.pop("success_rate", None), read_number, "success_rate")

        capacity = read_integer(d.pop("capacity"), "capacity")

        containers = []
        _containers = d.pop("containers", [])
        for containers_item_data in _containers:
            containers_item = PoolContainer.from_dict(containers_item_data)

            containers.append(containers_item)

        completed_rollouts = d.pop("completed_rollouts", UNSET)

        failed_rollouts = d.pop("failed_rollouts", UNSET)

        cancelled_rollouts = d.pop("cancelled_rollouts", UNSET)

        concurrency = d.pop("concurrency", UNSET)

        _usage = d.pop("usage", UNSET)
        usage: UsageSums | Unset
        if isinstance(_usage, Unset):
            usage = UNSET
        else:
            usage = UsageSums.from_dict(_usage)

        _task_usage = d.pop("task_usage", UNSET)
        task_usage: list[TaskUsage] | Unset = UNSET
        if _task_usage is not UNSET:
            task_usage = []
            for task_usage_item_data in _task_usage:
                task_usage_item = TaskUsage.from_dict(task_usage_item_data)

                task_usage.append(task_usage_item)

        pool_metrics = cls(
            id=id,
            pool_id=pool_id,
            active_rollouts=active_rollouts,
            queued_rollouts=queued_rollouts,
            success_rate=success_rate,
            capacity=capacity,
            containers=containers,
            completed_rollouts=completed_rollouts,
            failed_rollouts=failed_rollouts,
            cancelled_rollouts=cancelled_rollouts,
            concurrency=concurrency,
            usage=usage,
            task_usage=task_usage,
        )

        pool_metrics.additional_properties = d
        return pool_metrics

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
