from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.rollout_event_type import RolloutEventType, check_rollout_event_type
from ..reading import read_object, read_text
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.reward_data import RewardData
    from ..models.rollout_cancelled_data import RolloutCancelledData
    from ..models.rollout_completed_data import RolloutCompletedData
    from ..models.rollout_failed_data import RolloutFailedData
    from ..models.rollout_queued_data import RolloutQueuedData
    from ..models.rollout_started_data import RolloutStartedData


T = TypeVar("T", bound="RolloutEvent")


@_attrs_define
class RolloutEvent:
    """One event: the JSON of a `data:` line of the stream, or an item of a page.

    Attributes:
        event (RolloutEventType): The type of an event. Those that begin with `rollout.` tell what the server does,
            `rollout.cancelled` on
            request. `agent` tells what the container reports while it works. `verifier` tells how the outcome is judged
            there. `reward` tells the reward in the container's answer, once for an answer that has one. `heartbeat` comes
            only
            from older servers.
        rollout_id (str): The id of the rollout.
        data (dict[str, Any] | RewardData | RolloutCancelledData | RolloutCompletedData | RolloutFailedData |
            RolloutQueuedData | RolloutStartedData): What an event tells; its form depends on the type. The data of `agent`
            and `verifier` events is what the
            container says, free-form. Data that is too large is replaced by an object with `truncated` and `size_bytes`.
        id (str | Unset): Unique within the rollout, rising; opaque.
        pool_id (str | Unset): The id of the pool.
        sequence (int | Unset): The event's place, from 1 on without gaps.
        timestamp (datetime.datetime | Unset): When it happened, in UTC.
    """

    event: RolloutEventType
    rollout_id: str
    data: (
        dict[str, Any]
        | RewardData
        | RolloutCancelledData
        | RolloutCompletedData
        | RolloutFailedData
        | RolloutQueuedData
        | RolloutStartedData
    )
    id: str | Unset = UNSET
    pool_id: str | Unset = UNSET
    sequence: int | Unset = UNSET
    timestamp: datetime.datetime | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.reward_data import RewardData
        from ..models.rollout_cancelled_data import RolloutCancelledData
        from ..models.rollout_completed_data import RolloutCompletedData
        from ..models.rollout_failed_data import RolloutFailedData
        from ..models.rollout_queued_data import RolloutQueuedData
        from ..models.rollout_started_data import RolloutStartedData

        event: str = self.event

        rollout_id = self.rollout_id

        data: dict[str, Any]
        if isinstance(self.data, RolloutFailedData):
            data = self.data.to_dict()
        elif isinstance(self.data, RolloutCompletedData):
            data = self.data.to_dict()
        elif isinstance(self.data, RolloutStartedData):
            data = self.data.to_dict()
        elif isinstance(self.data, RolloutQueuedData):
            data = self.data.to_dict()
        elif isinstance(self.data, RolloutCancelledData):
            data = self.data.to_dict()
        elif isinstance(self.data, RewardData):
            data = self.data.to_dict()
        else:
            data = self.data

        id = self.id

        pool_id = self.pool_id

        sequence = self.sequence

        timestamp: str | Unset = UNSET
        if not isinstance(self.timestamp, Unset):
            timestamp = self.timestamp.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({"event": event, "rollout_id": rollout_id, "data": data})
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
        from ..models.reward_data import RewardData
        from ..models.rollout_cancelled_data import RolloutCancelledData
        from ..models.rollout_completed_data import RolloutCompletedData
        from ..models.rollout_failed_data import RolloutFailedData
        from ..models.rollout_queued_data import RolloutQueuedData
        from ..models.rollout_started_data import RolloutStartedData

        d = dict(src_dict)
        event = check_rollout_event_type(read_text(d.pop("event"), "event"))

        rollout_id = read_text(d.pop("rollout_id"), "rollout_id")

        def _parse_data(
            data: object,
        ) -> (
            dict[str, Any]
            | RewardData
            | RolloutCancelledData
            | RolloutCompletedData
            | RolloutFailedData
            | RolloutQueuedData
            | RolloutStartedData
        ):
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                componentsschemas_rollout_event_data_type_0 = RolloutFailedData.from_dict(data)

                return componentsschemas_rollout_event_data_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                componentsschemas_rollout_event_data_type_1 = RolloutCompletedData.from_dict(data)

                return componentsschemas_rollout_event_data_type_1
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                componentsschemas_rollout_event_data_type_2 = RolloutStartedData.from_dict(data)

                return componentsschemas_rollout_event_data_type_2
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                componentsschemas_rollout_event_data_type_3 = RolloutQueuedData.from_dict(data)

                return componentsschemas_rollout_event_data_type_3
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                componentsschemas_rollout_event_data_type_4 = RolloutCancelledData.from_dict(data)

                return componentsschemas_rollout_event_data_type_4
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                componentsschemas_rollout_event_data_type_5 = RewardData.from_dict(data)

                return componentsschemas_rollout_event_data_type_5
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(
                dict[str, Any]
                | RewardData
                | RolloutCancelledData
                | RolloutCompletedData
                | RolloutFailedData
                | RolloutQueuedData
                | RolloutStartedData,
                data,
            )

        data = _parse_data(read_object(d.pop("data", {}), "data"))

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
