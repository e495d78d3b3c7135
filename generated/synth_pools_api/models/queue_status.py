from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import read_integer

T = TypeVar("T", bound="QueueStatus")


@_attrs_define
class QueueStatus:
    """The rollouts of all pools of the caller at one moment.

    Attributes:
        queued (int): Rollouts that wait.
        running (int): Rollouts that run.
        capacity (int): How many could run at once: the sum of `concurrency` of the active pools.
    """

    queued: int
    running: int
    capacity: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        queued = self.queued

        running = self.running

        capacity = self.capacity

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({"queued": queued, "running": running, "capacity": capacity})

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        queued = read_integer(d.pop("queued"), "queued")

        running = read_integer(d.pop("running"), "running")

        capacity = read_integer(d.pop("capacity"), "capacity")

        queue_status = cls(queued=queued, running=running, capacity=capacity)

        queue_status.additional_properties = d
        return queue_status

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
