from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.rollout_status import RolloutStatus, check_rollout_status
from ..reading import pop_older, read_number, read_optional, read_text, wrong_type
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.reported_usage import ReportedUsage
    from ..models.rollout_error import RolloutError
    from ..models.rollout_event import RolloutEvent
    from ..models.rollout_timing import RolloutTiming


T = TypeVar("T", bound="RolloutSummary")


@_attrs_define
class RolloutSummary:
    """A rollout in short.

    Attributes:
        id (str): The id of the rollout.
        rollout_id (str): The same value as `id`.
        status (RolloutStatus): The state of a rollout, see *Rollouts: states*. Its `state` and `status` carry the same
            value. The last three
            are final.
        state (RolloutStatus): The state of a rollout, see *Rollouts: states*. Its `state` and `status` carry the same
            value. The last three
            are final.
        score (float | None): The same value as `reward`.
        reward (float | None): The rollout's `metrics.outcome_reward`.
        last_event (None | RolloutEvent):
        timing (RolloutTiming): When a rollout did what.
        error (None | RolloutError):
        pool_id (str | Unset): The id of the pool.
        usage (None | ReportedUsage | Unset): What the container's last answer reports; null where it reports nothing.
    """

    id: str
    rollout_id: str
    status: RolloutStatus
    state: RolloutStatus
    score: float | None
    reward: float | None
    last_event: None | RolloutEvent
    timing: RolloutTiming
    error: None | RolloutError
    pool_id: str | Unset = UNSET
    usage: None | ReportedUsage | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.reported_usage import ReportedUsage
        from ..models.rollout_error import RolloutError
        from ..models.rollout_event import RolloutEvent

        id = self.id

        rollout_id = self.rollout_id

        status: str = self.status

        state: str = self.state

        score: float | None
        score = self.score

        reward: float | None
        reward = self.reward

        last_event: dict[str, Any] | None
        if isinstance(self.last_event, RolloutEvent):
            last_event = self.last_event.to_dict()
        else:
            last_event = self.last_event

        timing = self.timing.to_dict()

        error: dict[str, Any] | None
        if isinstance(self.error, RolloutError):
            error = self.error.to_dict()
        else:
            error = self.error

        pool_id = self.pool_id

        usage: dict[str, Any] | None | Unset
        if isinstance(self.usage, Unset):
            usage = UNSET
        elif isinstance(self.usage, ReportedUsage):
            usage = self.usage.to_dict()
        else:
            usage = self.usage

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "rollout_id": rollout_id,
                "status": status,
                "state": state,
                "score": score,
                "reward": reward,
                "last_event": last_event,
                "timing": timing,
                "error": error,
            }
        )
        if pool_id is not UNSET:
            field_dict["pool_id"] = pool_id
        if usage is not UNSET:
            field_dict["usage"] = usage

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.reported_usage import ReportedUsage
        from ..models.rollout_error import RolloutError
        from ..models.rollout_event import RolloutEvent
        from ..models.rollout_timing import RolloutTiming

        d = dict(src_dict)
        id = read_text(pop_older(d, src_dict, "id", "rollout_id"), "id")

        rollout_id = read_text(pop_older(d, src_dict, "rollout_id", "id"), "rollout_id")

        status = check_rollout_status(
            read_text(pop_older(d, src_dict, "status", "state"), "status")
        )

        state = check_rollout_status(read_text(pop_older(d, src_dict, "state", "status"), "state"))

        score = read_optional(
            pop_older(d, src_dict, "score", "reward", default=None), read_number, "score"
        )

        reward = read_optional(
            pop_older(d, src_dict, "reward", "score", default=None), read_number, "reward"
        )

        def _parse_last_event(data: object) -> None | RolloutEvent:
            if data is None:
                return data
            if not isinstance(data, dict):
                raise wrong_type(data, "last_event")
            last_event_type_0 = RolloutEvent.from_dict(data)

            return last_event_type_0

        last_event = _parse_last_event(d.pop("last_event", None))

        timing = RolloutTiming.from_dict(d.pop("timing"))

        def _parse_error(data: object) -> None | RolloutError:
            if data is None:
                return data
            if not isinstance(data, dict):
                raise wrong_type(data, "error")
            error_type_0 = RolloutError.from_dict(data)

            return error_type_0

        error = _parse_error(d.pop("error", None))

        pool_id = d.pop("pool_id", UNSET)

        def _parse_usage(data: object) -> None | ReportedUsage | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            if not isinstance(data, dict):
                raise wrong_type(data, "usage")
            usage_type_0 = ReportedUsage.from_dict(data)

            return usage_type_0

        usage = _parse_usage(d.pop("usage", UNSET))

        rollout_summary = cls(
            id=id,
            rollout_id=rollout_id,
            status=status,
            state=state,
            score=score,
            reward=reward,
            last_event=last_event,
            timing=timing,
            error=error,
            pool_id=pool_id,
            usage=usage,
        )

        rollout_summary.additional_properties = d
        return rollout_summary

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
