from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.rollout_event_type import RolloutEventType, check_rollout_event_type
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.json_object import JsonObject


T = TypeVar("T", bound="RolloutEvent")


@_attrs_define
class RolloutEvent:
    """One event: the JSON in the `data` of a message of the stream.

    Attributes:
        id (str): Unique within the rollout, rising; opaque.
        event (RolloutEventType): The type of an event.
        rollout_id (str): The id of the rollout.
        sequence (int): The event's place, from 1 on without gaps.
        timestamp (datetime.datetime): When it happened.
        data (JsonObject): Any JSON object: free-form, kept and answered as it was sent.
        pool_id (str | Unset): The id of the pool.
    """

    id: str
    event: RolloutEventType
    rollout_id: str
    sequence: int
    timestamp: datetime.datetime
    data: JsonObject
    pool_id: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        event: str = self.event

        rollout_id = self.rollout_id

        sequence = self.sequence

        timestamp = self.timestamp.isoformat()

        data = self.data.to_dict()

        pool_id = self.pool_id

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "event": event,
                "rollout_id": rollout_id,
                "sequence": sequence,
                "timestamp": timestamp,
                "data": data,
            }
        )
        if pool_id is not UNSET:
            field_dict["pool_id"] = pool_id

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.json_object import JsonObject

        d = dict(src_dict)
        id = d.pop("id")

        event = check_rollout_event_type(d.pop("event"))

        rollout_id = d.pop("rollout_id")

        sequence = d.pop("sequence")

        timestamp = datetime.datetime.fromisoformat(d.pop("timestamp"))

        data = JsonObject.from_dict(d.pop("data"))

        pool_id = d.pop("pool_id", UNSET)

        rollout_event = cls(
            id=id,
            event=event,
            rollout_id=rollout_id,
            sequence=sequence,
            timestamp=timestamp,
            data=data,
            pool_id=pool_id,
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
