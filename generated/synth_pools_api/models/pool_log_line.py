from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import read_integer, read_text

T = TypeVar("T", bound="PoolLogLine")


@_attrs_define
class PoolLogLine:
    """A line that a process wrote. Control characters are left out. `***` stands for the containers' key.

    Attributes:
        process (int): The number of the place of its process.
        attempt (int): The `attempt` of its process: which of those that were started at this place wrote it.
        timestamp (datetime.datetime): When the server read it, in UTC.
        text (str): The line. What is longer than 16,384 characters is cut off.
    """

    process: int
    attempt: int
    timestamp: datetime.datetime
    text: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        process = self.process

        attempt = self.attempt

        timestamp = self.timestamp.isoformat()

        text = self.text

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {"process": process, "attempt": attempt, "timestamp": timestamp, "text": text}
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        process = read_integer(d.pop("process"), "process")

        attempt = read_integer(d.pop("attempt"), "attempt")

        timestamp = datetime.datetime.fromisoformat(d.pop("timestamp"))

        text = read_text(d.pop("text"), "text")

        pool_log_line = cls(process=process, attempt=attempt, timestamp=timestamp, text=text)

        pool_log_line.additional_properties = d
        return pool_log_line

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
