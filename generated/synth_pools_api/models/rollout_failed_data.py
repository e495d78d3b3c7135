from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

if TYPE_CHECKING:
    from ..models.rollout_error import RolloutError


T = TypeVar("T", bound="RolloutFailedData")


@_attrs_define
class RolloutFailedData:
    """The rollout ended badly; the container or the server caused it, see `error`.

    Attributes:
        status (Literal['failed']): The rollout's state from here on.
        error (RolloutError): Why a rollout failed.
    """

    status: Literal["failed"]
    error: RolloutError
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        status = self.status

        error = self.error.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({"status": status, "error": error})

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.rollout_error import RolloutError

        d = dict(src_dict)
        status = cast(Literal["failed"], d.pop("status"))
        if status != "failed":
            raise ValueError(f"status must match const 'failed', got '{status}'")

        error = RolloutError.from_dict(d.pop("error"))

        rollout_failed_data = cls(status=status, error=error)

        rollout_failed_data.additional_properties = d
        return rollout_failed_data

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
