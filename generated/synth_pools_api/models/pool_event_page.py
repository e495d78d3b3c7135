from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.pool_status import PoolStatus, check_pool_status
from ..reading import read_flag, read_text

if TYPE_CHECKING:
    from ..models.pool_event import PoolEvent


T = TypeVar("T", bound="PoolEventPage")


@_attrs_define
class PoolEventPage:
    """A page of the events of a pool's rollouts, and the state of the pool.

    Attributes:
        pool_id (str): The id of the pool.
        status (PoolStatus): The state of a pool, see *Pools: states*. Its `state` and `status` carry the same value.
            Only `active`
            admits rollouts.
        events (list[PoolEvent]): The events that follow the position, in order. With `types`: only those of these
            types.
        next_cursor (str): The `cursor` of the following page. The last page has one, too. Without anything new it may
            be the one
            that was sent.
        has_more (bool): Whether more events are there already. With `types` it is possible that none of them is of
            these types:
            then the following page has no events.
        ended (bool): Whether nothing follows: the pool is `archived`, all of its rollouts have ended, and this is the
            last
            page.
    """

    pool_id: str
    status: PoolStatus
    events: list[PoolEvent]
    next_cursor: str
    has_more: bool
    ended: bool
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        pool_id = self.pool_id

        status: str = self.status

        events = []
        for events_item_data in self.events:
            events_item = events_item_data.to_dict()
            events.append(events_item)

        next_cursor = self.next_cursor

        has_more = self.has_more

        ended = self.ended

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "pool_id": pool_id,
                "status": status,
                "events": events,
                "next_cursor": next_cursor,
                "has_more": has_more,
                "ended": ended,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.pool_event import PoolEvent

        d = dict(src_dict)
        pool_id = read_text(d.pop("pool_id"), "pool_id")

        status = check_pool_status(read_text(d.pop("status"), "status"))

        events = []
        _events = d.pop("events")
        for events_item_data in _events:
            events_item = PoolEvent.from_dict(events_item_data)

            events.append(events_item)

        next_cursor = read_text(d.pop("next_cursor"), "next_cursor")

        has_more = read_flag(d.pop("has_more"), "has_more")

        ended = read_flag(d.pop("ended"), "ended")

        pool_event_page = cls(
            pool_id=pool_id,
            status=status,
            events=events,
            next_cursor=next_cursor,
            has_more=has_more,
            ended=ended,
        )

        pool_event_page.additional_properties = d
        return pool_event_page

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
