from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import pop_older, read_integer, read_number, read_object, read_optional, read_text
from ..types import UNSET, Unset

T = TypeVar("T", bound="RolloutUsage")


@_attrs_define
class RolloutUsage:
    """What a rollout used. Tokens and costs are what the container's last answer reports as `usage`;
    container.openapi.yaml has the names.

        Attributes:
            id (str): The id of the rollout.
            rollout_id (str): The same value as `id`.
            wall_time_sec (float): Seconds from start to end, or until now while it runs.
            sandbox_minutes (float): The same in minutes.
            llm_input_tokens (int | None): Tokens read by models; null where the container reports none.
            llm_output_tokens (int | None): Tokens written by models; null where the container reports none.
            bytes_uploaded (int): Bytes of the bodies sent to the container.
            bytes_downloaded (int): Bytes of the bodies received from it.
            cost_usd (float | None): Cost in US dollars; null where the container reports none.
            provider_costs (dict[str, Any]): Any JSON object: free-form, kept and answered as it was sent. Of a key that
                comes twice the last value counts.
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
    provider_costs: dict[str, Any]
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

        provider_costs = self.provider_costs

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
        d = dict(src_dict)
        id = read_text(pop_older(d, src_dict, "id", "rollout_id"), "id")

        rollout_id = read_text(pop_older(d, src_dict, "rollout_id", "id"), "rollout_id")

        wall_time_sec = read_number(d.pop("wall_time_sec"), "wall_time_sec")

        sandbox_minutes = read_number(d.pop("sandbox_minutes"), "sandbox_minutes")

        llm_input_tokens = read_optional(
            d.pop("llm_input_tokens", None), read_integer, "llm_input_tokens"
        )

        llm_output_tokens = read_optional(
            d.pop("llm_output_tokens", None), read_integer, "llm_output_tokens"
        )

        bytes_uploaded = read_integer(d.pop("bytes_uploaded"), "bytes_uploaded")

        bytes_downloaded = read_integer(d.pop("bytes_downloaded"), "bytes_downloaded")

        cost_usd = read_optional(d.pop("cost_usd", None), read_number, "cost_usd")

        provider_costs = read_object(d.pop("provider_costs"), "provider_costs")

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
