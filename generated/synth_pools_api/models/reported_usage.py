from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

T = TypeVar("T", bound="ReportedUsage")


@_attrs_define
class ReportedUsage:
    """Usage that a container reports, without what it does not report. The other numbers of its `usage` follow under
    their own names: at most 32, of names of at most 64 characters.

        Attributes:
            input_tokens (int | Unset): As `llm_input_tokens` of the rollout's usage.
            output_tokens (int | Unset): As `llm_output_tokens` of the rollout's usage.
            cached_input_tokens (int | Unset): Those of `input_tokens` that a cache had.
            cost_usd (float | Unset): As `cost_usd` of the rollout's usage.
    """

    input_tokens: int | Unset = UNSET
    output_tokens: int | Unset = UNSET
    cached_input_tokens: int | Unset = UNSET
    cost_usd: float | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        input_tokens = self.input_tokens

        output_tokens = self.output_tokens

        cached_input_tokens = self.cached_input_tokens

        cost_usd = self.cost_usd

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if input_tokens is not UNSET:
            field_dict["input_tokens"] = input_tokens
        if output_tokens is not UNSET:
            field_dict["output_tokens"] = output_tokens
        if cached_input_tokens is not UNSET:
            field_dict["cached_input_tokens"] = cached_input_tokens
        if cost_usd is not UNSET:
            field_dict["cost_usd"] = cost_usd

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        input_tokens = d.pop("input_tokens", UNSET)

        output_tokens = d.pop("output_tokens", UNSET)

        cached_input_tokens = d.pop("cached_input_tokens", UNSET)

        cost_usd = d.pop("cost_usd", UNSET)

        reported_usage = cls(
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cached_input_tokens=cached_input_tokens,
            cost_usd=cost_usd,
        )

        reported_usage.additional_properties = d
        return reported_usage

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
