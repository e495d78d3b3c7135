from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import read_integer, wrong_type

if TYPE_CHECKING:
    from ..models.error_envelope import ErrorEnvelope
    from ..models.rollout import Rollout


T = TypeVar("T", bound="RolloutBatchItem")


@_attrs_define
class RolloutBatchItem:
    """What became of one rollout of a batch.

    Attributes:
        index (int): Its place in the request, from 0.
        status (int): Of an admitted rollout 202, or 200 if it has ended; of a refused one the HTTP status that it would
            have got
            alone.
        rollout (None | Rollout): The rollout; null where it was refused.
        error (ErrorEnvelope | None): Why it was refused; null where it was admitted.
    """

    index: int
    status: int
    rollout: None | Rollout
    error: ErrorEnvelope | None
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.error_envelope import ErrorEnvelope
        from ..models.rollout import Rollout

        index = self.index

        status = self.status

        rollout: dict[str, Any] | None
        if isinstance(self.rollout, Rollout):
            rollout = self.rollout.to_dict()
        else:
            rollout = self.rollout

        error: dict[str, Any] | None
        if isinstance(self.error, ErrorEnvelope):
            error = self.error.to_dict()
        else:
            error = self.error

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({"index": index, "status": status, "rollout": rollout, "error": error})

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.error_envelope import ErrorEnvelope
        from ..models.rollout import Rollout

        d = dict(src_dict)
        index = read_integer(d.pop("index"), "index")

        status = read_integer(d.pop("status"), "status")

        def _parse_rollout(data: object) -> None | Rollout:
            if data is None:
                return data
            if not isinstance(data, dict):
                raise wrong_type(data, "rollout")
            rollout_type_0 = Rollout.from_dict(data)

            return rollout_type_0

        rollout = _parse_rollout(d.pop("rollout", None))

        def _parse_error(data: object) -> ErrorEnvelope | None:
            if data is None:
                return data
            if not isinstance(data, dict):
                raise wrong_type(data, "error")
            error_type_0 = ErrorEnvelope.from_dict(data)

            return error_type_0

        error = _parse_error(d.pop("error", None))

        rollout_batch_item = cls(index=index, status=status, rollout=rollout, error=error)

        rollout_batch_item.additional_properties = d
        return rollout_batch_item

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
