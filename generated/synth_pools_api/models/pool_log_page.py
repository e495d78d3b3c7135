from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.pool_status import PoolStatus, check_pool_status
from ..reading import read_flag, read_text

if TYPE_CHECKING:
    from ..models.pool_log_line import PoolLogLine
    from ..models.started_process import StartedProcess


T = TypeVar("T", bound="PoolLogPage")


@_attrs_define
class PoolLogPage:
    """A page of the lines that the processes of a pool wrote, and these processes.

    Attributes:
        pool_id (str): The id of the pool.
        status (PoolStatus): The state of a pool, see *Pools: states*. Its `state` and `status` carry the same value.
            Only `active`
            admits rollouts.
        processes (list[StartedProcess]): The latest process of each place, in the order of the places' numbers.
        lines (list[PoolLogLine]): The lines that follow the position, in the order in which they came.
        next_cursor (str): The `cursor` of the following page. The last page has one, too. Without anything new it may
            be the one
            that was sent.
        has_more (bool): Whether more lines are there already.
        truncated (bool): Whether lines that followed the position are no longer kept.
    """

    pool_id: str
    status: PoolStatus
    processes: list[StartedProcess]
    lines: list[PoolLogLine]
    next_cursor: str
    has_more: bool
    truncated: bool
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        pool_id = self.pool_id

        status: str = self.status

        processes = []
        for processes_item_data in self.processes:
            processes_item = processes_item_data.to_dict()
            processes.append(processes_item)

        lines = []
        for lines_item_data in self.lines:
            lines_item = lines_item_data.to_dict()
            lines.append(lines_item)

        next_cursor = self.next_cursor

        has_more = self.has_more

        truncated = self.truncated

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "pool_id": pool_id,
                "status": status,
                "processes": processes,
                "lines": lines,
                "next_cursor": next_cursor,
                "has_more": has_more,
                "truncated": truncated,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.pool_log_line import PoolLogLine
        from ..models.started_process import StartedProcess

        d = dict(src_dict)
        pool_id = read_text(d.pop("pool_id"), "pool_id")

        status = check_pool_status(read_text(d.pop("status"), "status"))

        processes = []
        _processes = d.pop("processes")
        for processes_item_data in _processes:
            processes_item = StartedProcess.from_dict(processes_item_data)

            processes.append(processes_item)

        lines = []
        _lines = d.pop("lines")
        for lines_item_data in _lines:
            lines_item = PoolLogLine.from_dict(lines_item_data)

            lines.append(lines_item)

        next_cursor = read_text(d.pop("next_cursor"), "next_cursor")

        has_more = read_flag(d.pop("has_more"), "has_more")

        truncated = read_flag(d.pop("truncated"), "truncated")

        pool_log_page = cls(
            pool_id=pool_id,
            status=status,
            processes=processes,
            lines=lines,
            next_cursor=next_cursor,
            has_more=has_more,
            truncated=truncated,
        )

        pool_log_page.additional_properties = d
        return pool_log_page

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
