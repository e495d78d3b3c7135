from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.rollout_status import RolloutStatus, check_rollout_status
from ..reading import read_flag, read_integer, read_text

if TYPE_CHECKING:
    from ..models.rollout_event import RolloutEvent


T = TypeVar("T", bound="RolloutEventPage")


@_attrs_define
class RolloutEventPage:
    """A page of a rollout's events, and the state of the rollout.

    Attributes:
        rollout_id (str): The id of the rollout.
        status (RolloutStatus): The state of a rollout, see *Rollouts: states*. Its `state` and `status` carry the same
            value. The last three
            are final.
        events (list[RolloutEvent]): The events that follow the position, in order, without gaps.
        next_sequence (int): The `after_sequence` of the following page: the `sequence` of the last event of this page,
            or, if the page
            has none, the position that was asked for.
        has_more (bool): Whether more events are there already.
    """

    rollout_id: str
    status: RolloutStatus
    events: list[RolloutEvent]
    next_sequence: int
    has_more: bool
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        rollout_id = self.rollout_id

        status: str = self.status

        events = []
        for events_item_data in self.events:
            events_item = events_item_data.to_dict()
            events.append(events_item)

        next_sequence = self.next_sequence

        has_more = self.has_more

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "rollout_id": rollout_id,
                "status": status,
                "events": events,
                "next_sequence": next_sequence,
                "has_more": has_more,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.rollout_event import RolloutEvent

        d = dict(src_dict)
        rollout_id = read_text(d.pop("rollout_id"), "rollout_id")

        status = check_rollout_status(read_text(d.pop("status"), "status"))

        events = []
        _events = d.pop("events")
        for events_item_data in _events:
            events_item = RolloutEvent.from_dict(events_item_data)

            events.append(events_item)

        next_sequence = read_integer(d.pop("next_sequence"), "next_sequence")

        has_more = read_flag(d.pop("has_more"), "has_more")

        rollout_event_page = cls(
            rollout_id=rollout_id,
            status=status,
            events=events,
            next_sequence=next_sequence,
            has_more=has_more,
        )

        rollout_event_page.additional_properties = d
        return rollout_event_page

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
