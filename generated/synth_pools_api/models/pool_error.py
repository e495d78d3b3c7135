from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import read_text
from ..types import UNSET, Unset

T = TypeVar("T", bound="PoolError")


@_attrs_define
class PoolError:
    """Why a pool failed.

    Attributes:
        code (str): The reason, stable, for programs. `process_not_healthy`: a process or container did not get healthy.
            `processes_not_allowed`, `images_not_allowed`, `ray_not_allowed`: the operator does not allow the start,
            or a mount.
            `image_unavailable`: the image could not be pulled. `engine_unavailable`: the engine is missing, does not
            work, or cannot enforce a limit. `no_container`: the target needs a container, and neither the pool nor
            a task has any.
        message (str): The reason in words, for people.
        details (dict[str, Any] | Unset): Any JSON object: free-form, kept and answered as it was sent. Of a key that
            comes twice the last value counts.
    """

    code: str
    message: str
    details: dict[str, Any] | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        code = self.code

        message = self.message

        details = self.details

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({"code": code, "message": message})
        if details is not UNSET:
            field_dict["details"] = details

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        code = read_text(d.pop("code"), "code")

        message = read_text(d.pop("message"), "message")

        details = d.pop("details", UNSET)

        pool_error = cls(code=code, message=message, details=details)

        pool_error.additional_properties = d
        return pool_error

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
