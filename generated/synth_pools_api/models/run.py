from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import read_integer, read_number, read_object, read_optional, read_text, wrong_type
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.rollout_labels import RolloutLabels
    from ..models.run_counts import RunCounts


T = TypeVar("T", bound="Run")


@_attrs_define
class Run:
    """The rollouts of one name, summed over all pools of the caller.

    Attributes:
        name (str): The name, as in the request of its rollouts.
        created_at (datetime.datetime): When its first rollout was admitted, in UTC.
        rollouts (RunCounts): How many of its rollouts are in each state.
        rewards (int): How many of its rollouts have a reward.
        mean_reward (float | None): The mean of these rewards; null where there is none.
        run_seconds (float): The `run_seconds` of its rollouts in all.
        llm_input_tokens (int | None): Tokens read by models in all; null where no container reports any.
        llm_output_tokens (int | None): Tokens written by models in all; null where no container reports any.
        cost_usd (float | None): Cost in US dollars in all; null where no container reports any.
        created_by (None | str | Unset): The name of the key that created its first rollout; null or left out where the
            key has no name.
        configuration (dict[str, Any] | None | Unset): The request of its first rollout with the rollout's `pool_id`,
            without fields that are null and without
            `instance_id`, `labels`, `mode`, `priority`, `run`, `seed`, `task_id` and `trace_correlation_id`. Where
            `metadata.run` is the name of the run, it is left out, too, and `metadata` if it has nothing else. Requests of
            later rollouts may say something else. Left out in lists; null where the server did not store it.
        labels (None | RolloutLabels | Unset): The labels of its first rollout; empty or left out where it has none.
        configuration_digest (None | str | Unset): The SHA-256 of a text of `configuration`, in hexadecimal.
            Configurations that are equal as JSON have the same
            one, others do not.
    """

    name: str
    created_at: datetime.datetime
    rollouts: RunCounts
    rewards: int
    mean_reward: float | None
    run_seconds: float
    llm_input_tokens: int | None
    llm_output_tokens: int | None
    cost_usd: float | None
    created_by: None | str | Unset = UNSET
    configuration: dict[str, Any] | None | Unset = UNSET
    labels: None | RolloutLabels | Unset = UNSET
    configuration_digest: None | str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.rollout_labels import RolloutLabels

        name = self.name

        created_at = self.created_at.isoformat()

        rollouts = self.rollouts.to_dict()

        rewards = self.rewards

        mean_reward: float | None
        mean_reward = self.mean_reward

        run_seconds = self.run_seconds

        llm_input_tokens: int | None
        llm_input_tokens = self.llm_input_tokens

        llm_output_tokens: int | None
        llm_output_tokens = self.llm_output_tokens

        cost_usd: float | None
        cost_usd = self.cost_usd

        created_by: None | str | Unset
        if isinstance(self.created_by, Unset):
            created_by = UNSET
        else:
            created_by = self.created_by

        configuration: dict[str, Any] | None | Unset
        if isinstance(self.configuration, Unset):
            configuration = UNSET
        else:
            configuration = self.configuration

        labels: dict[str, Any] | None | Unset
        if isinstance(self.labels, Unset):
            labels = UNSET
        elif isinstance(self.labels, RolloutLabels):
            labels = self.labels.to_dict()
        else:
            labels = self.labels

        configuration_digest: None | str | Unset
        if isinstance(self.configuration_digest, Unset):
            configuration_digest = UNSET
        else:
            configuration_digest = self.configuration_digest

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "name": name,
                "created_at": created_at,
                "rollouts": rollouts,
                "rewards": rewards,
                "mean_reward": mean_reward,
                "run_seconds": run_seconds,
                "llm_input_tokens": llm_input_tokens,
                "llm_output_tokens": llm_output_tokens,
                "cost_usd": cost_usd,
            }
        )
        if created_by is not UNSET:
            field_dict["created_by"] = created_by
        if configuration is not UNSET:
            field_dict["configuration"] = configuration
        if labels is not UNSET:
            field_dict["labels"] = labels
        if configuration_digest is not UNSET:
            field_dict["configuration_digest"] = configuration_digest

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.rollout_labels import RolloutLabels
        from ..models.run_counts import RunCounts

        d = dict(src_dict)
        name = read_text(d.pop("name"), "name")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        rollouts = RunCounts.from_dict(d.pop("rollouts"))

        rewards = read_integer(d.pop("rewards"), "rewards")

        mean_reward = read_optional(d.pop("mean_reward", None), read_number, "mean_reward")

        run_seconds = read_number(d.pop("run_seconds"), "run_seconds")

        llm_input_tokens = read_optional(
            d.pop("llm_input_tokens", None), read_integer, "llm_input_tokens"
        )

        llm_output_tokens = read_optional(
            d.pop("llm_output_tokens", None), read_integer, "llm_output_tokens"
        )

        cost_usd = read_optional(d.pop("cost_usd", None), read_number, "cost_usd")

        created_by = read_optional(d.pop("created_by", UNSET), read_text, "created_by")

        configuration = read_optional(d.pop("configuration", UNSET), read_object, "configuration")

        def _parse_labels(data: object) -> None | RolloutLabels | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            if not isinstance(data, dict):
                raise wrong_type(data, "labels")
            labels_type_0 = RolloutLabels.from_dict(data)

            return labels_type_0

        labels = _parse_labels(d.pop("labels", UNSET))

        configuration_digest = read_optional(
            d.pop("configuration_digest", UNSET), read_text, "configuration_digest"
        )

        run = cls(
            name=name,
            created_at=created_at,
            rollouts=rollouts,
            rewards=rewards,
            mean_reward=mean_reward,
            run_seconds=run_seconds,
            llm_input_tokens=llm_input_tokens,
            llm_output_tokens=llm_output_tokens,
            cost_usd=cost_usd,
            created_by=created_by,
            configuration=configuration,
            labels=labels,
            configuration_digest=configuration_digest,
        )

        run.additional_properties = d
        return run

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
