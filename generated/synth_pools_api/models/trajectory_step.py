from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import read_integer, read_text

if TYPE_CHECKING:
    from ..models.trajectory_step_message_type_1_item import TrajectoryStepMessageType1Item


T = TypeVar("T", bound="TrajectoryStep")


@_attrs_define
class TrajectoryStep:
    """A message, with its tool calls, what came of them, and its cost.

    Attributes:
        step_id (int): Its number, from 1 on.
        source (str): `system`, `user` or `agent`.
        message (list[TrajectoryStepMessageType1Item] | str): A text, or a list of parts.
    """

    step_id: int
    source: str
    message: list[TrajectoryStepMessageType1Item] | str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        step_id = self.step_id

        source = self.source

        message: list[dict[str, Any]] | str
        if isinstance(self.message, list):
            message = []
            for message_type_1_item_data in self.message:
                message_type_1_item = message_type_1_item_data.to_dict()
                message.append(message_type_1_item)

        else:
            message = self.message

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({"step_id": step_id, "source": source, "message": message})

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.trajectory_step_message_type_1_item import TrajectoryStepMessageType1Item

        d = dict(src_dict)
        step_id = read_integer(d.pop("step_id"), "step_id")

        source = read_text(d.pop("source"), "source")

        def _parse_message(data: object) -> list[TrajectoryStepMessageType1Item] | str:
            try:
                if not isinstance(data, list):
                    raise TypeError()
                message_type_1 = []
                _message_type_1 = data
                for message_type_1_item_data in _message_type_1:
                    message_type_1_item = TrajectoryStepMessageType1Item.from_dict(
                        message_type_1_item_data
                    )

                    message_type_1.append(message_type_1_item)

                return message_type_1
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(list[TrajectoryStepMessageType1Item] | str, data)

        message = _parse_message(d.pop("message"))

        trajectory_step = cls(step_id=step_id, source=source, message=message)

        trajectory_step.additional_properties = d
        return trajectory_step

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
