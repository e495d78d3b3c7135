from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.rollout_mode import RolloutMode, check_rollout_mode
from ..models.rollout_status import RolloutStatus, check_rollout_status
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.json_object import JsonObject
    from ..models.rollout_error import RolloutError
    from ..models.rollout_metrics import RolloutMetrics


T = TypeVar("T", bound="Rollout")


@_attrs_define
class Rollout:
    """A rollout.

    Attributes:
        id (str): The id of the rollout.
        rollout_id (str): The id of the rollout, the same value as `id`.
        pool_id (str): The pool that it runs in.
        status (RolloutStatus): The state of a rollout, see *Rollouts: states*. The last three are final.
        state (RolloutStatus): The state of a rollout, see *Rollouts: states*. The last three are final.
        request (JsonObject): Any JSON object: free-form, kept and answered as it was sent.
        result (JsonObject | None): The container's whole answer; null until there is one.
        metrics (RolloutMetrics): What was measured about the outcome.
        error (None | RolloutError): Why it failed; null unless `status` is `failed`.
        created_at (datetime.datetime): When it was admitted.
        updated_at (datetime.datetime): When it last changed.
        task_id (None | str | Unset): The task, where one was named.
        mode (RolloutMode | Unset): Whether a creation waits for the end of the rollout (`sync`) or not (`async`).
        score (float | None | Unset): The same value as `metrics.outcome_reward`.
        trace_correlation_id (None | str | Unset): As given in the request.
        replay_of (None | str | Unset): The rollout that this one repeats; null where it repeats none.
        started_at (datetime.datetime | None | Unset): When it started; null before that.
        finished_at (datetime.datetime | None | Unset): When it ended; null before that.
    """

    id: str
    rollout_id: str
    pool_id: str
    status: RolloutStatus
    state: RolloutStatus
    request: JsonObject
    result: JsonObject | None
    metrics: RolloutMetrics
    error: None | RolloutError
    created_at: datetime.datetime
    updated_at: datetime.datetime
    task_id: None | str | Unset = UNSET
    mode: RolloutMode | Unset = UNSET
    score: float | None | Unset = UNSET
    trace_correlation_id: None | str | Unset = UNSET
    replay_of: None | str | Unset = UNSET
    started_at: datetime.datetime | None | Unset = UNSET
    finished_at: datetime.datetime | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.json_object import JsonObject
        from ..models.rollout_error import RolloutError

        id = self.id

        rollout_id = self.rollout_id

        pool_id = self.pool_id

        status: str = self.status

        state: str = self.state

        request = self.request.to_dict()

        result: dict[str, Any] | None
        if isinstance(self.result, JsonObject):
            result = self.result.to_dict()
        else:
            result = self.result

        metrics = self.metrics.to_dict()

        error: dict[str, Any] | None
        if isinstance(self.error, RolloutError):
            error = self.error.to_dict()
        else:
            error = self.error

        created_at = self.created_at.isoformat()

        updated_at = self.updated_at.isoformat()

        task_id: None | str | Unset
        if isinstance(self.task_id, Unset):
            task_id = UNSET
        else:
            task_id = self.task_id

        mode: str | Unset = UNSET
        if not isinstance(self.mode, Unset):
            mode = self.mode

        score: float | None | Unset
        if isinstance(self.score, Unset):
            score = UNSET
        else:
            score = self.score

        trace_correlation_id: None | str | Unset
        if isinstance(self.trace_correlation_id, Unset):
            trace_correlation_id = UNSET
        else:
            trace_correlation_id = self.trace_correlation_id

        replay_of: None | str | Unset
        if isinstance(self.replay_of, Unset):
            replay_of = UNSET
        else:
            replay_of = self.replay_of

        started_at: None | str | Unset
        if isinstance(self.started_at, Unset):
            started_at = UNSET
        elif isinstance(self.started_at, datetime.datetime):
            started_at = self.started_at.isoformat()
        else:
            started_at = self.started_at

        finished_at: None | str | Unset
        if isinstance(self.finished_at, Unset):
            finished_at = UNSET
        elif isinstance(self.finished_at, datetime.datetime):
            finished_at = self.finished_at.isoformat()
        else:
            finished_at = self.finished_at

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "rollout_id": rollout_id,
                "pool_id": pool_id,
                "status": status,
                "state": state,
                "request": request,
                "result": result,
                "metrics": metrics,
                "error": error,
                "created_at": created_at,
                "updated_at": updated_at,
            }
        )
        if task_id is not UNSET:
            field_dict["task_id"] = task_id
        if mode is not UNSET:
            field_dict["mode"] = mode
        if score is not UNSET:
            field_dict["score"] = score
        if trace_correlation_id is not UNSET:
            field_dict["trace_correlation_id"] = trace_correlation_id
        if replay_of is not UNSET:
            field_dict["replay_of"] = replay_of
        if started_at is not UNSET:
            field_dict["started_at"] = started_at
        if finished_at is not UNSET:
            field_dict["finished_at"] = finished_at

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.json_object import JsonObject
        from ..models.rollout_error import RolloutError
        from ..models.rollout_metrics import RolloutMetrics

        d = dict(src_dict)
        id = d.pop("id")

        rollout_id = d.pop("rollout_id")

        pool_id = d.pop("pool_id")

        status = check_rollout_status(d.pop("status"))

        state = check_rollout_status(d.pop("state"))

        request = JsonObject.from_dict(d.pop("request"))

        def _parse_result(data: object) -> JsonObject | None:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                result_type_0 = JsonObject.from_dict(data)

                return result_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(JsonObject | None, data)

        result = _parse_result(d.pop("result"))

        metrics = RolloutMetrics.from_dict(d.pop("metrics"))

        def _parse_error(data: object) -> None | RolloutError:
            if data is None:
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                error_type_0 = RolloutError.from_dict(data)

                return error_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(None | RolloutError, data)

        error = _parse_error(d.pop("error"))

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        updated_at = datetime.datetime.fromisoformat(d.pop("updated_at"))

        def _parse_task_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        task_id = _parse_task_id(d.pop("task_id", UNSET))

        _mode = d.pop("mode", UNSET)
        mode: RolloutMode | Unset
        if isinstance(_mode, Unset):
            mode = UNSET
        else:
            mode = check_rollout_mode(_mode)

        def _parse_score(data: object) -> float | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(float | None | Unset, data)

        score = _parse_score(d.pop("score", UNSET))

        def _parse_trace_correlation_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        trace_correlation_id = _parse_trace_correlation_id(d.pop("trace_correlation_id", UNSET))

        def _parse_replay_of(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        replay_of = _parse_replay_of(d.pop("replay_of", UNSET))

        def _parse_started_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                started_at_type_0 = datetime.datetime.fromisoformat(data)

                return started_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        started_at = _parse_started_at(d.pop("started_at", UNSET))

        def _parse_finished_at(data: object) -> datetime.datetime | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, str):
                    raise TypeError()
                finished_at_type_0 = datetime.datetime.fromisoformat(data)

                return finished_at_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(datetime.datetime | None | Unset, data)

        finished_at = _parse_finished_at(d.pop("finished_at", UNSET))

        rollout = cls(
            id=id,
            rollout_id=rollout_id,
            pool_id=pool_id,
            status=status,
            state=state,
            request=request,
            result=result,
            metrics=metrics,
            error=error,
            created_at=created_at,
            updated_at=updated_at,
            task_id=task_id,
            mode=mode,
            score=score,
            trace_correlation_id=trace_correlation_id,
            replay_of=replay_of,
            started_at=started_at,
            finished_at=finished_at,
        )

        rollout.additional_properties = d
        return rollout

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
