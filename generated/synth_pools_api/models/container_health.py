from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="ContainerHealth")


@_attrs_define
class ContainerHealth:
    """What a container says of its health: `status` or, in older containers, `healthy`.

    Attributes:
        status (str | Unset): `ok` where it is well.
        healthy (bool | Unset): True where it is well.
        contract_version (str | Unset): The version of the container contract that it keeps.
    """

    status: str | Unset = UNSET
    healthy: bool | Unset = UNSET
    contract_version: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        status = self.status

        healthy = self.healthy

        contract_version = self.contract_version

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if status is not UNSET:
            field_dict["status"] = status
        if healthy is not UNSET:
            field_dict["healthy"] = healthy
        if contract_version is not UNSET:
            field_dict["contract_version"] = contract_version

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        status = d.pop("status", UNSET)

        healthy = d.pop("healthy", UNSET)

        contract_version = d.pop("contract_version", UNSET)

        container_health = cls(status=status, healthy=healthy, contract_version=contract_version)

        container_health.additional_properties = d
        return container_health

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
