from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import read_integer, read_number, read_optional, read_text

T = TypeVar("T", bound="TaskUsage")


@_attrs_define
class TaskUsage:
    """The sums of a task.

    Attributes:
        rollouts (int): Stored rollouts whose containers report any of these.
        input_tokens (int | None): The sum of their `llm_input_tokens`; null where none is reported.
        output_tokens (int | None): The sum of their `llm_output_tokens`; null where none is reported.
        cost_usd (float | None): The sum of their `cost_usd`; null where none is reported.
        task_id (None | str): The id of the task; null for rollouts without a task.
    """

    rollouts: int
    input_tokens: int | None
    output_tokens: int | None
    cost_usd: float | None
    task_id: None | str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        rollouts = self.rollouts

        input_tokens: int | None
        input_tokens = self.input_tokens

        output_tokens: int | None
        output_tokens = self.output_tokens

        cost_usd: float | None
        cost_usd = self.cost_usd

        task_id: None | str
        task_id = self.task_id

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "rollouts": rollouts,
                "input_tokens": input_tokens,
                "output_tokens": output_tokens,
                "cost_usd": cost_usd,
                "task_id": task_id,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        rollouts = read_integer(d.pop("rollouts"), "rollouts")

        input_tokens = read_optional(d.pop("input_tokens", None), read_integer, "input_tokens")

        output_tokens = read_optional(d.pop("output_tokens", None), read_integer, "output_tokens")

        cost_usd = read_optional(d.pop("cost_usd", None), read_number, "cost_usd")

        task_id = read_optional(d.pop("task_id", None), read_text, "task_id")

        task_usage = cls(
            rollouts=rollouts,
            input_tokens=input_tokens,
            output_tokens=output_tokens,
            cost_usd=cost_usd,
            task_id=task_id,
        )

        task_usage.additional_properties = d
        return task_usage

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
