from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import read_optional, read_text, wrong_type
from ..types import UNSET, Unset

T = TypeVar("T", bound="RolloutBatchRequest")


@_attrs_define
class RolloutBatchRequest:
    """Rollouts to be admitted together, each on its own.

    Attributes:
        pool_id (None | str | Unset): The pool of those that name none. An empty text is an id that nothing has.
        rollouts (list[dict[str, Any]] | None | Unset): Rollout requests. An invalid one is refused alone, at its place
            in the answer.
        requests (list[dict[str, Any]] | None | Unset): Further rollout requests, after those of `rollouts`.
    """

    pool_id: None | str | Unset = UNSET
    rollouts: list[dict[str, Any]] | None | Unset = UNSET
    requests: list[dict[str, Any]] | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        pool_id: None | str | Unset
        if isinstance(self.pool_id, Unset):
            pool_id = UNSET
        else:
            pool_id = self.pool_id

        rollouts: list[dict[str, Any]] | None | Unset
        if isinstance(self.rollouts, Unset):
            rollouts = UNSET
        elif isinstance(self.rollouts, list):
            rollouts = self.rollouts

        else:
            rollouts = self.rollouts

        requests: list[dict[str, Any]] | None | Unset
        if isinstance(self.requests, Unset):
            requests = UNSET
        elif isinstance(self.requests, list):
            requests = self.requests

        else:
            requests = self.requests

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if pool_id is not UNSET:
            field_dict["pool_id"] = pool_id
        if rollouts is not UNSET:
            field_dict["rollouts"] = rollouts
        if requests is not UNSET:
            field_dict["requests"] = requests

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        pool_id = read_optional(d.pop("pool_id", UNSET), read_text, "pool_id")

        def _parse_rollouts(data: object) -> list[dict[str, Any]] | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            if not isinstance(data, list):
                raise wrong_type(data, "rollouts")
            rollouts_type_0 = cast(list[dict[str, Any]], data)

            return rollouts_type_0

        rollouts = _parse_rollouts(d.pop("rollouts", UNSET))

        def _parse_requests(data: object) -> list[dict[str, Any]] | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            if not isinstance(data, list):
                raise wrong_type(data, "requests")
            requests_type_0 = cast(list[dict[str, Any]], data)

            return requests_type_0

        requests = _parse_requests(d.pop("requests", UNSET))

        rollout_batch_request = cls(pool_id=pool_id, rollouts=rollouts, requests=requests)

        rollout_batch_request.additional_properties = d
        return rollout_batch_request

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
