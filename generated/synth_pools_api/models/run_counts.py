from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import read_integer

T = TypeVar("T", bound="RunCounts")


@_attrs_define
class RunCounts:
    """How many of its rollouts are in each state.

    Attributes:
        queued (int): Those that wait.
        running (int): Those that run.
        completed (int): Those that have completed.
        failed (int): Those that have failed.
        cancelled (int): Those that were cancelled.
    """

    queued: int
    running: int
    completed: int
    failed: int
    cancelled: int
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        queued = self.queued

        running = self.running

        completed = self.completed

        failed = self.failed

        cancelled = self.cancelled

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "queued": queued,
                "running": running,
                "completed": completed,
                "failed": failed,
                "cancelled": cancelled,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        queued = read_integer(d.pop("queued"), "queued")

        running = read_integer(d.pop("running"), "running")

        completed = read_integer(d.pop("completed"), "completed")

        failed = read_integer(d.pop("failed"), "failed")

        cancelled = read_integer(d.pop("cancelled"), "cancelled")

        run_counts = cls(
            queued=queued, running=running, completed=completed, failed=failed, cancelled=cancelled
        )

        run_counts.additional_properties = d
        return run_counts

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
