from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.error_code import ErrorCode, check_error_code
from ..reading import read_flag, read_integer, read_optional, read_text
from ..types import UNSET, Unset

T = TypeVar("T", bound="ErrorEnvelope")


@_attrs_define
class ErrorEnvelope:
    """An error with a stable code, for programs.

    Attributes:
        code (ErrorCode): What went wrong, stable, for programs. The table in *Errors* has the status of each code.
        message (str): What went wrong, in words for people.
        details (Any | Unset): More about it, free-form.
        request_id (None | str | Unset): The value of `x-request-id`.
        rollout_id (None | str | Unset): The rollout that it is about.
        retryable (bool | None | Unset): Whether the same request may succeed later with nothing else done: what the
            table in *Errors* says of the
            code, also where this is left out. Of a code that is not there, left out means no. Whether the request may
            be sent again without harm, *Repeating a request* says.
        retry_after_ms (int | None | Unset): When to try again, in milliseconds; `Retry-After` is the same, rounded up
            to seconds.
    """

    code: ErrorCode
    message: str
    details: Any | Unset = UNSET
    request_id: None | str | Unset = UNSET
    rollout_id: None | str | Unset = UNSET
    retryable: bool | None | Unset = UNSET
    retry_after_ms: int | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        code: str = self.code

        message = self.message

        details = self.details

        request_id: None | str | Unset
        if isinstance(self.request_id, Unset):
            request_id = UNSET
        else:
            request_id = self.request_id

        rollout_id: None | str | Unset
        if isinstance(self.rollout_id, Unset):
            rollout_id = UNSET
        else:
            rollout_id = self.rollout_id

        retryable: bool | None | Unset
        if isinstance(self.retryable, Unset):
            retryable = UNSET
        else:
            retryable = self.retryable

        retry_after_ms: int | None | Unset
        if isinstance(self.retry_after_ms, Unset):
            retry_after_ms = UNSET
        else:
            retry_after_ms = self.retry_after_ms

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({"code": code, "message": message})
        if details is not UNSET:
            field_dict["details"] = details
        if request_id is not UNSET:
            field_dict["request_id"] = request_id
        if rollout_id is not UNSET:
            field_dict["rollout_id"] = rollout_id
        if retryable is not UNSET:
            field_dict["retryable"] = retryable
        if retry_after_ms is not UNSET:
            field_dict["retry_after_ms"] = retry_after_ms

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        code = check_error_code(read_text(d.pop("code"), "code"))

        message = read_text(d.pop("message"), "message")

        details = d.pop("details", UNSET)

        request_id = read_optional(d.pop("request_id", UNSET), read_text, "request_id")

        rollout_id = read_optional(d.pop("rollout_id", UNSET), read_text, "rollout_id")

        retryable = read_optional(d.pop("retryable", UNSET), read_flag, "retryable")

        retry_after_ms = read_optional(
            d.pop("retry_after_ms", UNSET), read_integer, "retry_after_ms"
        )

        error_envelope = cls(
            code=code,
            message=message,
            details=details,
            request_id=request_id,
            rollout_id=rollout_id,
            retryable=retryable,
            retry_after_ms=retry_after_ms,
        )

        error_envelope.additional_properties = d
        return error_envelope

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
