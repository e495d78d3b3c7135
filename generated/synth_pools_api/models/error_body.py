from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.error_detail_item import ErrorDetailItem
    from ..models.error_envelope import ErrorEnvelope


T = TypeVar("T", bound="ErrorBody")


@_attrs_define
class ErrorBody:
    """The body of every error of every operation. Servers send `error`, with or without `detail`; only older servers
    send `detail` alone. Clients read whichever is there.

        Attributes:
            detail (dict[str, Any] | list[ErrorDetailItem] | str | Unset): What is wrong: a text, an object, or, for 422, a
                list that names each offending field, in any order. It may
                end after 20 of them.
            error (ErrorEnvelope | Unset): An error with a stable code, for programs.
    """

    detail: dict[str, Any] | list[ErrorDetailItem] | str | Unset = UNSET
    error: ErrorEnvelope | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        detail: dict[str, Any] | list[dict[str, Any]] | str | Unset
        if isinstance(self.detail, Unset):
            detail = UNSET
        elif isinstance(self.detail, list):
            detail = []
            for componentsschemas_error_detail_type_1_item_data in self.detail:
                componentsschemas_error_detail_type_1_item = (
                    componentsschemas_error_detail_type_1_item_data.to_dict()
                )
                detail.append(componentsschemas_error_detail_type_1_item)

        else:
            detail = self.detail

        error: dict[str, Any] | Unset = UNSET
        if not isinstance(self.error, Unset):
            error = self.error.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if detail is not UNSET:
            field_dict["detail"] = detail
        if error is not UNSET:
            field_dict["error"] = error

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.error_detail_item import ErrorDetailItem
        from ..models.error_envelope import ErrorEnvelope

        d = dict(src_dict)

        def _parse_detail(data: object) -> dict[str, Any] | list[ErrorDetailItem] | str | Unset:
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, list):
                    raise TypeError()
                componentsschemas_error_detail_type_1 = []
                _componentsschemas_error_detail_type_1 = data
                for (
                    componentsschemas_error_detail_type_1_item_data
                ) in _componentsschemas_error_detail_type_1:
                    componentsschemas_error_detail_type_1_item = ErrorDetailItem.from_dict(
                        componentsschemas_error_detail_type_1_item_data
                    )

                    componentsschemas_error_detail_type_1.append(
                        componentsschemas_error_detail_type_1_item
                    )

                return componentsschemas_error_detail_type_1
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(dict[str, Any] | list[ErrorDetailItem] | str | Unset, data)

        detail = _parse_detail(d.pop("detail", UNSET))

        _error = d.pop("error", UNSET)
        error: ErrorEnvelope | Unset
        if isinstance(_error, Unset):
            error = UNSET
        else:
            error = ErrorEnvelope.from_dict(_error)

        error_body = cls(detail=detail, error=error)

        error_body.additional_properties = d
        return error_body

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
