from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import read_integer, read_optional, read_text
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.rollout_error import RolloutError


T = TypeVar("T", bound="RolloutStartedData")


@_attrs_define
class RolloutStartedData:
    """The server begins an attempt.

    Attributes:
        status (Literal['running']): The rollout's state from here on.
        attempt (int): Counted from 1.
        container_url (None | str): The container that gets it; null: the echo target.
        previous_error (RolloutError | Unset): Why a rollout failed.
    """

    status: Literal["running"]
    attempt: int
    container_url: None | str
    previous_error: RolloutError | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        status = self.status

        attempt = self.attempt

        container_url: None | str
        container_url = self.container_url

        previous_error: dict[str, Any] | Unset = UNSET
        if not isinstance(self.previous_error, Unset):
            previous_error = self.previous_error.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({"status": status, "attempt": attempt, "container_url": container_url})
        if previous_error is not UNSET:
            field_dict["previous_error"] = previous_error

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.rollout_error import RolloutError

        d = dict(src_dict)
        status = cast(Literal["running"], d.pop("status"))
        if status != "running":
            raise ValueError(f"status must match const 'running', got '{status}'")

        attempt = read_integer(d.pop("attempt"), "attempt")

        container_url = read_optional(d.pop("container_url", None), read_text, "container_url")

        _previous_error = d.pop("previous_error", UNSET)
        previous_error: RolloutError | Unset
        if isinstance(_previous_error, Unset):
            previous_error = UNSET
        else:
            previous_error = RolloutError.from_dict(_previous_error)

        rollout_started_data = cls(
            status=status,
            attempt=attempt,
            container_url=container_url,
            previous_error=previous_error,
        )

        rollout_started_data.additional_properties = d
        return rollout_started_data

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
