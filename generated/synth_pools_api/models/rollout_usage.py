from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.json_object import JsonObject


T = TypeVar("T", bound="RolloutUsage")


@_attrs_define
class RolloutUsage:
    """What a rollout used.

    Attributes:
        id (str): The id of the rollout.
        rollout_id (str): The same value as `id`.
        wall_time_sec (float): Seconds from start to end, or until now while it runs.
        sandbox_minutes (float): The same in minutes.
        llm_input_tokens (int | None): Tokens read by models, where the container reports them.
        llm_output_tokens (int | None): Tokens written by models, where the container reports them.
        bytes_uploaded (int): Bytes of the bodies sent to the container.
        bytes_downloaded (int): Bytes of the bodies received from it.
        cost_usd (float | None): Cost in US dollars, where it is known.
        provider_costs (JsonObject): Any JSON object: free-form, kept and answered as it was sent.
        pool_id (str | Unset): The id of the pool.
    """

    id: str
    rollout_id: str
    wall_time_sec: float
    sandbox_minutes: float
    llm_input_tokens: int | None
    llm_output_tokens: int | None
    bytes_uploaded: int
    bytes_downloaded: int
    cost_usd: float | None
    provider_costs: JsonObject
    pool_id: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        rollout_id = self.rollout_id

        wall_time_sec = self.wall_time_sec

        sandbox_minutes = self.sandbox_minutes

        llm_input_tokens: int | None
        llm_input_tokens = self.llm_input_tokens

        llm_output_tokens: int | None
        llm_output_tokens = self.llm_output_tokens

        bytes_uploaded = self.bytes_uploaded

        bytes_downloaded = self.bytes_downloaded

        cost_usd: float | None
        cost_usd = self.cost_usd

        provider_costs = self.provider_costs.to_dict()

        pool_id = self.pool_id

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "rollout_id": rollout_id,
                "wall_time_sec": wall_time_sec,
                "sandbox_minutes": sandbox_minutes,
                "llm_input_tokens": llm_input_tokens,
                "llm_output_tokens": llm_output_tokens,
                "bytes_uploaded": bytes_uploaded,
                "bytes_downloaded": bytes_downloaded,
                "cost_usd": cost_usd,
                "provider_costs": provider_costs,
            }
        )
        if pool_id is not UNSET:
            field_dict["pool_id"] = pool_id

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.json_object import JsonObject

        d = dict(src_dict)
        id = d.pop("id")

        rollout_id = d.pop("rollout_id")

        wall_time_sec = d.pop("wall_time_sec")

        sandbox_minutes = d.pop("sandbox_minutes")

        def _parse_llm_input_tokens(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        llm_input_tokens = _parse_llm_input_tokens(d.pop("llm_input_tokens"))

        def _parse_llm_output_tokens(data: object) -> int | None:
            if data is None:
                return data
            return cast(int | None, data)

        llm_output_tokens = _parse_llm_output_tokens(d.pop("llm_output_tokens"))

        bytes_uploaded = d.pop("bytes_uploaded")

        bytes_downloaded = d.pop("bytes_downloaded")

        def _parse_cost_usd(data: object) -> float | None:
            if data is None:
                return data
            return cast(float | None, data)

        cost_usd = _parse_cost_usd(d.pop("cost_usd"))

        provider_costs = JsonObject.from_dict(d.pop("provider_costs"))

        pool_id = d.pop("pool_id", UNSET)

        rollout_usage = cls(
            id=id,
            rollout_id=rollout_id,
            wall_time_sec=wall_time_sec,
            sandbox_minutes=sandbox_minutes,
            llm_input_tokens=llm_input_tokens,
            llm_output_tokens=llm_output_tokens,
            bytes_uploaded=bytes_uploaded,
            bytes_downloaded=bytes_downloaded,
            cost_usd=cost_usd,
            provider_costs=provider_costs,
            pool_id=pool_id,
        )

        rollout_usage.additional_properties = d
        return rollout_usage

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
