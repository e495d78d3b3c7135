from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import read_flag, read_optional, read_text

if TYPE_CHECKING:
    from ..models.error_detail_item import ErrorDetailItem


T = TypeVar("T", bound="RolloutValidation")


@_attrs_define
class RolloutValidation:
    """What `create_global_rollout` would answer to a rollout request.

    Attributes:
        valid (bool): Whether a rollout would be admitted.
        errors (list[ErrorDetailItem]): What is wrong, in any order; empty where it is valid.
        pool_id (None | str): The pool that would get it; null where there is none.
    """

    valid: bool
    errors: list[ErrorDetailItem]
    pool_id: None | str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        valid = self.valid

        errors = []
        for errors_item_data in self.errors:
            errors_item = errors_item_data.to_dict()
            errors.append(errors_item)

        pool_id: None | str
        pool_id = self.pool_id

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({"valid": valid, "errors": errors, "pool_id": pool_id})

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.error_detail_item import ErrorDetailItem

        d = dict(src_dict)
        valid = read_flag(d.pop("valid"), "valid")

        errors = []
        _errors = d.pop("errors")
        for errors_item_data in _errors:
            errors_item = ErrorDetailItem.from_dict(errors_item_data)

            errors.append(errors_item)

        pool_id = read_optional(d.pop("pool_id", None), read_text, "pool_id")

        rollout_validation = cls(valid=valid, errors=errors, pool_id=pool_id)

        rollout_validation.additional_properties = d
        return rollout_validation

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
