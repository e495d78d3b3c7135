from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import read_number, read_optional, wrong_type

T = TypeVar("T", bound="RolloutTiming")


@_attrs_define
class RolloutTiming:
    """When a rollout did what.

    Attributes:
        created_at (datetime.datetime): When it was admitted, in UTC.
        started_at (datetime.datetime | None): As `started_at` of the rollout, in UTC.
        finished_at (datetime.datetime | None): When it ended, in UTC.
        queue_seconds (float | None): Seconds from `created_at` to `started_at`; null without it.
        run_seconds (float | None): Seconds from `started_at` to `finished_at`, all attempts included; null without
            both.
    """

    created_at: datetime.datetime
    started_at: datetime.datetime | None
    finished_at: datetime.datetime | None
    queue_seconds: float | None
    run_seconds: float | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        created_at = self.created_at.isoformat()

        started_at: None | str
        if isinstance(self.started_at, datetime.datetime):
            started_at = self.started_at.isoformat()
        else:
            started_at = self.started_at

        finished_at: None | str
        if isinstance(self.finished_at, datetime.datetime):
            finished_at = self.finished_at.isoformat()
        else:
            finished_at = self.finished_at

        queue_seconds: float | None
        queue_seconds = self.queue_seconds

        run_seconds: float | None
        run_seconds = self.run_seconds

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "created_at": created_at,
                "started_at": started_at,
                "finished_at": finished_at,
                "queue_seconds": queue_seconds,
                "run_seconds": run_seconds,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        def _parse_started_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            if not isinstance(data, str):
                raise wrong_type(data, "started_at")
            started_at_type_0 = datetime.datetime.fromisoformat(data)

            return started_at_type_0

        started_at = _parse_started_at(d.pop("started_at", None))

        def _parse_finished_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            if not isinstance(data, str):
                raise wrong_type(data, "finished_at")
            finished_at_type_0 = datetime.datetime.fromisoformat(data)

            return finished_at_type_0

        finished_at = _parse_finished_at(d.pop("finished_at", None))

        queue_seconds = read_optional(d.pop("queue_seconds", None), read_number, "queue_seconds")

        run_seconds = read_optional(d.pop("run_seconds", None), read_number, "run_seconds")

        rollout_timing = cls(
            created_at=created_at,
            started_at=started_at,
            finished_at=finished_at,
            queue_seconds=queue_seconds,
            run_seconds=run_seconds,
        )

        rollout_timing.additional_properties = d
        return rollout_timing

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
