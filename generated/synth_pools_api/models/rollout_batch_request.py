from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.json_object import JsonObject


T = TypeVar("T", bound="RolloutBatchRequest")


@_attrs_define
class RolloutBatchRequest:
    """Rollouts to be admitted together, each on its own.

    Attributes:
        pool_id (None | str | Unset): The pool of those that name none.
        rollouts (list[JsonObject] | None | Unset): Rollout requests; one that is no valid one is refused at its place
            in the answer.
        requests (list[JsonObject] | None | Unset): Another spelling of `rollouts`; where both are given these come
            after those.
    """

    pool_id: None | str | Unset = UNSET
    rollouts: list[JsonObject] | None | Unset = UNSET
    requests: list[JsonObject] | None | Unset = UNSET
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
            rollouts = []
            for rollouts_type_0_item_data in self.rollouts:
                rollouts_type_0_item = rollouts_type_0_item_data.to_dict()
                rollouts.append(rollouts_type_0_item)

        else:
            rollouts = self.rollouts

        requests: list[dict[str, Any]] | None | Unset
        if isinstance(self.requests, Unset):
            requests = UNSET
        elif isinstance(self.requests, list):
            requests = []
            for requests_type_0_item_data in self.requests:
                requests_type_0_item = requests_type_0_item_data.to_dict()
                requests.append(requests_type_0_item)

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
        from ..models.json_object import JsonObject

        d = dict(src_dict)

        def _parse_pool_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        pool_id = _parse_pool_id(d.pop("pool_id", UNSET))

        def _parse_rollouts(data: object) -> list[JsonObject] | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, list):
                    raise TypeError()
                rollouts_type_0 = []
                _rollouts_type_0 = data
                for rollouts_type_0_item_data in _rollouts_type_0:
                    rollouts_type_0_item = JsonObject.from_dict(rollouts_type_0_item_data)

                    rollouts_type_0.append(rollouts_type_0_item)

                return rollouts_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(list[JsonObject] | None | Unset, data)

        rollouts = _parse_rollouts(d.pop("rollouts", UNSET))

        def _parse_requests(data: object) -> list[JsonObject] | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, list):
                    raise TypeError()
                requests_type_0 = []
                _requests_type_0 = data
                for requests_type_0_item_data in _requests_type_0:
                    requests_type_0_item = JsonObject.from_dict(requests_type_0_item_data)

                    requests_type_0.append(requests_type_0_item)

                return requests_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(list[JsonObject] | None | Unset, data)

        requests = _parse_requests(d.pop("requests", UNSET))

        rollout_batch_request = cls(
            pool_id=pool_id,
            rollouts=rollouts,
            requests=requests,
        )

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
