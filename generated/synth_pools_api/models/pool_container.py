from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.container_state import ContainerState, check_container_state
from ..types import UNSET, Unset

T = TypeVar("T", bound="PoolContainer")


@_attrs_define
class PoolContainer:
    """One container of a pool, as the server sees it.

    Attributes:
        url (str): Its address.
        health (ContainerState): Whether it gets rollouts: `healthy` does, `unhealthy` was taken out, `starting` and
            `stopped` are those
            that the server starts itself.
        running_rollouts (int): Rollouts that run on it.
        restarts (int | Unset): How often the server has started it again; 0 for one that it does not start.
        last_error (None | str | Unset): What went wrong last; null where nothing did.
        pid (int | None | Unset): The process, where the server started it.
    """

    url: str
    health: ContainerState
    running_rollouts: int
    restarts: int | Unset = UNSET
    last_error: None | str | Unset = UNSET
    pid: int | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        url = self.url

        health: str = self.health

        running_rollouts = self.running_rollouts

        restarts = self.restarts

        last_error: None | str | Unset
        if isinstance(self.last_error, Unset):
            last_error = UNSET
        else:
            last_error = self.last_error

        pid: int | None | Unset
        if isinstance(self.pid, Unset):
            pid = UNSET
        else:
            pid = self.pid

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "url": url,
                "health": health,
                "running_rollouts": running_rollouts,
            }
        )
        if restarts is not UNSET:
            field_dict["restarts"] = restarts
        if last_error is not UNSET:
            field_dict["last_error"] = last_error
        if pid is not UNSET:
            field_dict["pid"] = pid

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        url = d.pop("url")

        health = check_container_state(d.pop("health"))

        running_rollouts = d.pop("running_rollouts")

        restarts = d.pop("restarts", UNSET)

        def _parse_last_error(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        last_error = _parse_last_error(d.pop("last_error", UNSET))

        def _parse_pid(data: object) -> int | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(int | None | Unset, data)

        pid = _parse_pid(d.pop("pid", UNSET))

        pool_container = cls(
            url=url,
            health=health,
            running_rollouts=running_rollouts,
            restarts=restarts,
            last_error=last_error,
            pid=pid,
        )

        pool_container.additional_properties = d
        return pool_container

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
