from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import read_integer, read_object, read_optional
from ..types import UNSET, Unset

T = TypeVar("T", bound="RolloutEnv")


@_attrs_define
class RolloutEnv:
    """What the environment is given, free-form. The built-in echo target reads `delay`, `fail`, `reward` and
    `events`; without them it answers at once, with the reward 1.0 and a copy of the request. It takes a value of
    another type, or outside the range, as not given. It only echoes the other keys.

        Attributes:
            seed (int | None | Unset): Seed of the environment.
            config (dict[str, Any] | None | Unset): Settings of the environment, free-form.
            delay (Any | Unset): Echo target: seconds until it answers, a number from 0 to 3600. Any JSON value.
            fail (Any | Unset): Echo target: true makes the rollout fail with `container_failed`. Any JSON value.
            reward (Any | Unset): Echo target: the reward, a number. Any JSON value.
            events (Any | Unset): Echo target: how many `agent` events it reports, spread over the delay; an integer from 0
                to 1000. Any
                JSON value.
    """

    seed: int | None | Unset = UNSET
    config: dict[str, Any] | None | Unset = UNSET
    delay: Any | Unset = UNSET
    fail: Any | Unset = UNSET
    reward: Any | Unset = UNSET
    events: Any | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        seed: int | None | Unset
        if isinstance(self.seed, Unset):
            seed = UNSET
        else:
            seed = self.seed

        config: dict[str, Any] | None | Unset
        if isinstance(self.config, Unset):
            config = UNSET
        else:
            config = self.config

        delay = self.delay

        fail = self.fail

        reward = self.reward

        events = self.events

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if seed is not UNSET:
            field_dict["seed"] = seed
        if config is not UNSET:
            field_dict["config"] = config
        if delay is not UNSET:
            field_dict["delay"] = delay
        if fail is not UNSET:
            field_dict["fail"] = fail
        if reward is not UNSET:
            field_dict["reward"] = reward
        if events is not UNSET:
            field_dict["events"] = events

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        seed = read_optional(d.pop("seed", UNSET), read_integer, "seed")

        config = read_optional(d.pop("config", UNSET), read_object, "config")

        delay = d.pop("delay", UNSET)

        fail = d.pop("fail", UNSET)

        reward = d.pop("reward", UNSET)

        events = d.pop("events", UNSET)

        rollout_env = cls(
            seed=seed, config=config, delay=delay, fail=fail, reward=reward, events=events
        )

        rollout_env.additional_properties = d
        return rollout_env

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
