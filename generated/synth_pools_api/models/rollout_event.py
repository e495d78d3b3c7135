from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.rollout_event_type import RolloutEventType, check_rollout_event_type
from ..reading import read_object, read_text
from ..types import UNSET, Unset

T = TypeVar("T", bound="RolloutEvent")


@_attrs_define
class RolloutEvent:
    """One event: the JSON in the `data` of a message of the stream.

    Attributes:
        event (RolloutEventType): The type of an event.
        rollout_id (str): The id of the rollout.
        data (dict[str, Any]): Any JSON object: free-form, kept and answered as it was sent.
        id (str | Unset): Unique within the rollout, rising; opaque.
        pool_id (str | Unset): The id of the pool.
        sequence (int | Unset): The event's place, from 1 on without gaps.
        timestamp (datetime.datetime | Unset): When it happened, in UTC.
    """

    event: RolloutEventType
    rollout_id: str
    data: dict[str, Any]
    id: str | Unset = UNSET
    pool_id: str | Unset = UNSET
    sequence: int | Unset = UNSET
    timestamp: datetime.datetime | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        event: str = self.event

        rollout_id = self.rollout_id

        data = self.data

        id = self.id

        pool_id = self.pool_id

        sequence = self.sequence

        timestamp: str | Unset = UNSET
        if not isinstance(self.timestamp, Unset):
            timestamp = self.timestamp.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "event": event,
                "rollout_id": rollout_id,
                "data": data,
            }
        )
        if id is not UNSET:
            field_dict["id"] = id
        if pool_id is not UNSET:
            field_dict["pool_id"] = pool_id
        if sequence is not UNSET:
            field_dict["sequence"] = sequence
        if timestamp is not UNSET:
            field_dict["timestamp"] = timestamp

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        event = check_rollout_event_type(read_text(d.pop("event"), "event"))

        rollout_id = read_text(d.pop("rollout_id"), "rollout_id")

        data = read_object(d.pop("data", {}), "data")

        id = d.pop("id", UNSET)

        pool_id = d.pop("pool_id", UNSET)

        sequence = d.pop("sequence", UNSET)

        _timestamp = d.pop("timestamp", UNSET)
        timestamp: datetime.datetime | Unset
        if isinstance(_timestamp, Unset):
            timestamp = UNSET
        else:
            timestamp = datetime.datetime.fromisoformat(_timestamp)

        rollout_event = cls(
            event=event,
            rollout_id=rollout_id,
            data=data,
            id=id,
            pool_id=pool_id,
            sequence=sequence,
            timestamp=timestamp,
        )

        rollout_event.additional_properties = d
        return rollout_event

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
