from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.pool_target import PoolTarget, check_pool_target
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.features import Features


T = TypeVar("T", bound="Capabilities")


@_attrs_define
class Capabilities:
    """What the server can do.

    Attributes:
        targets (list[PoolTarget | str]): The targets that it deploys to, in any order.
        features (Features): Optional features by name; true if the server offers the feature, with every operation that
            has its name as
            `x-feature`.
        scopes (list[str] | Unset): The scopes of the key of the request, the smallest first.
        version (str | Unset): The version of this contract that it keeps.
    """

    targets: list[PoolTarget | str]
    features: Features
    scopes: list[str] | Unset = UNSET
    version: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        targets = []
        for targets_item_data in self.targets:
            targets_item: str
            if isinstance(targets_item_data, str):
                targets_item = targets_item_data
            else:
                targets_item = targets_item_data
            targets.append(targets_item)

        features = self.features.to_dict()

        scopes: list[str] | Unset = UNSET
        if not isinstance(self.scopes, Unset):
            scopes = self.scopes

        version = self.version

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({"targets": targets, "features": features})
        if scopes is not UNSET:
            field_dict["scopes"] = scopes
        if version is not UNSET:
            field_dict["version"] = version

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.features import Features

        d = dict(src_dict)
        targets = []
        _targets = d.pop("targets")
        for targets_item_data in _targets:

            def _parse_targets_item(data: object) -> PoolTarget | str:
                try:
                    if not isinstance(data, str):
                        raise TypeError()
                    componentsschemas_stored_pool_target_type_0 = check_pool_target(data)

                    return componentsschemas_stored_pool_target_type_0
                except (TypeError, ValueError, AttributeError, KeyError):
                    pass
                return cast(PoolTarget | str, data)

            targets_item = _parse_targets_item(targets_item_data)

            targets.append(targets_item)

        features = Features.from_dict(d.pop("features"))

        scopes = cast(list[str], d.pop("scopes", UNSET))

        version = d.pop("version", UNSET)

        capabilities = cls(targets=targets, features=features, scopes=scopes, version=version)

        capabilities.additional_properties = d
        return capabilities

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
