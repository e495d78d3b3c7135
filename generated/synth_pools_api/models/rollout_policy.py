from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import read_object, read_optional, read_text
from ..types import UNSET, Unset

T = TypeVar("T", bound="RolloutPolicy")


@_attrs_define
class RolloutPolicy:
    """What acts in the rollout, free-form.

    Attributes:
        model (None | str | Unset): The name of the model.
        provider (None | str | Unset): Who serves it.
        inference_url (None | str | Unset): Where it is served.
        config (dict[str, Any] | None | Unset): Settings of the policy, free-form.
    """

    model: None | str | Unset = UNSET
    provider: None | str | Unset = UNSET
    inference_url: None | str | Unset = UNSET
    config: dict[str, Any] | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        model: None | str | Unset
        if isinstance(self.model, Unset):
            model = UNSET
        else:
            model = self.model

        provider: None | str | Unset
        if isinstance(self.provider, Unset):
            provider = UNSET
        else:
            provider = self.provider

        inference_url: None | str | Unset
        if isinstance(self.inference_url, Unset):
            inference_url = UNSET
        else:
            inference_url = self.inference_url

        config: dict[str, Any] | None | Unset
        if isinstance(self.config, Unset):
            config = UNSET
        else:
            config = self.config

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if model is not UNSET:
            field_dict["model"] = model
        if provider is not UNSET:
            field_dict["provider"] = provider
        if inference_url is not UNSET:
            field_dict["inference_url"] = inference_url
        if config is not UNSET:
            field_dict["config"] = config

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        model = read_optional(d.pop("model", UNSET), read_text, "model")

        provider = read_optional(d.pop("provider", UNSET), read_text, "provider")

        inference_url = read_optional(d.pop("inference_url", UNSET), read_text, "inference_url")

        config = read_optional(d.pop("config", UNSET), read_object, "config")

        rollout_policy = cls(
            model=model, provider=provider, inference_url=inference_url, config=config
        )

        rollout_policy.additional_properties = d
        return rollout_policy

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
