from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import read_flag, read_integer, read_optional, read_text, wrong_type

T = TypeVar("T", bound="StartedProcess")


@_attrs_define
class StartedProcess:
    """A process of `config.process`, or a container of `config.image`, that the server started.

    Attributes:
        process (int): The number of its place, from 0 on. A process that replaces one that ended has the same place.
        attempt (int): How many processes were started at this place, this one included.
        pid (int | None): Its id on the server's machine. Null for a container, and for a process that could not be
            started.
        url (None | str): The address at which the server calls it; null until it is started, or where it could not be.
        running (bool): Whether it runs.
        exit_code (int | None): Its exit status. Negative: the number of the signal that ended the process. Null: it
            still runs, or its
            end is not known.
        started_at (datetime.datetime): When it was started, in UTC.
        ended_at (datetime.datetime | None): When it ended, in UTC; null while it runs.
    """

    process: int
    attempt: int
    pid: int | None
    url: None | str
    running: bool
    exit_code: int | None
    started_at: datetime.datetime
    ended_at: datetime.datetime | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        process = self.process

        attempt = self.attempt

        pid: int | None
        pid = self.pid

        url: None | str
        url = self.url

        running = self.running

        exit_code: int | None
        exit_code = self.exit_code

        started_at = self.started_at.isoformat()

        ended_at: None | str
        if isinstance(self.ended_at, datetime.datetime):
            ended_at = self.ended_at.isoformat()
        else:
            ended_at = self.ended_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "process": process,
                "attempt": attempt,
                "pid": pid,
                "url": url,
                "running": running,
                "exit_code": exit_code,
                "started_at": started_at,
                "ended_at": ended_at,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        process = read_integer(d.pop("process"), "process")

        attempt = read_integer(d.pop("attempt"), "attempt")

        pid = read_optional(d.pop("pid", None), read_integer, "pid")

        url = read_optional(d.pop("url", None), read_text, "url")

        running = read_flag(d.pop("running"), "running")

        exit_code = read_optional(d.pop("exit_code", None), read_integer, "exit_code")

        started_at = datetime.datetime.fromisoformat(d.pop("started_at"))

        def _parse_ended_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            if not isinstance(data, str):
                raise wrong_type(data, "ended_at")
            ended_at_type_0 = datetime.datetime.fromisoformat(data)

            return ended_at_type_0

        ended_at = _parse_ended_at(d.pop("ended_at", None))

        started_process = cls(
            process=process,
            attempt=attempt,
            pid=pid,
            url=url,
            running=running,
            exit_code=exit_code,
            started_at=started_at,
            ended_at=ended_at,
        )

        started_process.additional_properties = d
        return started_process

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
