from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.rollout_mode import RolloutMode
from ..models.rollout_status import RolloutStatus, check_rollout_status
from ..reading import pop_older, read_number, read_object, read_optional, read_text, wrong_type
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.rollout_error import RolloutError
    from ..models.rollout_labels import RolloutLabels
    from ..models.rollout_metrics import RolloutMetrics


T = TypeVar("T", bound="Rollout")


@_attrs_define
class Rollout:
    """A rollout.

    Attributes:
        id (str): The id of the rollout.
        rollout_id (str): The id of the rollout, the same value as `id`.
        pool_id (str): The pool that it runs in.
        task_id (None | str): The task, where one was named.
        status (RolloutStatus): The state of a rollout, see *Rollouts: states*. Its `state` and `status` carry the same
            value. The last three
            are final.
        state (RolloutStatus): The state of a rollout, see *Rollouts: states*. Its `state` and `status` carry the same
            value. The last three
            are final.
        request (dict[str, Any]): Any JSON object: free-form, kept and answered as it was sent. Of a key that comes
            twice the last value counts.
        result (dict[str, Any] | None): The container's whole answer; null until there is one. The content of an
            artifact of more than 4 KiB is
            replaced by null, with `content_sha256` and `size_bytes` beside it. Nothing else is changed.
        metrics (RolloutMetrics): What was measured about the outcome.
        score (float | None): The same value as `metrics.outcome_reward`.
        error (None | RolloutError): Why it failed; null unless `status` is `failed`.
        trace_correlation_id (None | str): As given in the request.
        replay_of (None | str): The rollout that this one repeats; null where it repeats none.
        created_at (datetime.datetime): When it was admitted, in UTC.
        started_at (datetime.datetime | None): When it started, in UTC; null before that. A further attempt does not
            change it. If its first attempt goes
            back to the queue (*Outages*), it is null again.
        finished_at (datetime.datetime | None): When it ended, in UTC; null before that.
        updated_at (datetime.datetime): When it last changed, in UTC.
        mode (RolloutMode | str | Unset): The mode of a rollout as it is answered, a `RolloutMode` or another.
        run (None | str | Unset): The run of the request; null or left out where it names none.
        labels (RolloutLabels | Unset): Labels by their names, at most 16.
        created_by (None | str | Unset): The name of the key that created it; null or left out where the key has no
            name.
    """

    id: str
    rollout_id: str
    pool_id: str
    task_id: None | str
    status: RolloutStatus
    state: RolloutStatus
    request: dict[str, Any]
    result: dict[str, Any] | None
    metrics: RolloutMetrics
    score: float | None
    error: None | RolloutError
    trace_correlation_id: None | str
    replay_of: None | str
    created_at: datetime.datetime
    started_at: datetime.datetime | None
    finished_at: datetime.datetime | None
    updated_at: datetime.datetime
    mode: RolloutMode | str | Unset = UNSET
    run: None | str | Unset = UNSET
    labels: RolloutLabels | Unset = UNSET
    created_by: None | str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.rollout_error import RolloutError

        id = self.id

        rollout_id = self.rollout_id

        pool_id = self.pool_id

        task_id: None | str
        task_id = self.task_id

        status: str = self.status

        state: str = self.state

        request = self.request

        result: dict[str, Any] | None
        result = self.result

        metrics = self.metrics.to_dict()

        score: float | None
        score = self.score

        error: dict[str, Any] | None
        if isinstance(self.error, RolloutError):
            error = self.error.to_dict()
        else:
            error = self.error

        trace_correlation_id: None | str
        trace_correlation_id = self.trace_correlation_id

        replay_of: None | str
        replay_of = self.replay_of

        created_at = self.created_at.isoformat()

        started_at: None | str
        if isinstance(self.started_at, datetime.datetime):
            started_at = self.started_at.isoformat()
        else:
            started_at = self.started_at

        finished_at: None | str
        if isinstance(self.finished_at, datetime.datetime):
            finished_at = self.finished_at.isoformat()
        else:
            finished_at = self.finished_at

        updated_at = self.updated_at.isoformat()

        mode: str | Unset
        if isinstance(self.mode, Unset):
            mode = UNSET
        elif isinstance(self.mode, str):
            mode = self.mode
        else:
            mode = self.mode

        run: None | str | Unset
        if isinstance(self.run, Unset):
            run = UNSET
        else:
            run = self.run

        labels: dict[str, Any] | Unset = UNSET
        if not isinstance(self.labels, Unset):
            labels = self.labels.to_dict()

        created_by: None | str | Unset
        if isinstance(self.created_by, Unset):
            created_by = UNSET
        else:
            created_by = self.created_by

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "id": id,
                "rollout_id": rollout_id,
                "pool_id": pool_id,
                "task_id": task_id,
                "status": status,
                "state": state,
                "request": request,
                "result": result,
                "metrics": metrics,
                "score": score,
                "error": error,
                "trace_correlation_id": trace_correlation_id,
                "replay_of": replay_of,
                "created_at": created_at,
                "started_at": started_at,
                "finished_at": finished_at,
                "updated_at": updated_at,
            }
        )
        if mode is not UNSET:
            field_dict["mode"] = mode
        if run is not UNSET:
            field_dict["run"] = run
        if labels is not UNSET:
            field_dict["labels"] = labels
        if created_by is not UNSET:
            field_dict["created_by"] = created_by

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.rollout_error import RolloutError
        from ..models.rollout_labels import RolloutLabels
        from ..models.rollout_metrics import RolloutMetrics

        d = dict(src_dict)
        id = read_text(pop_older(d, src_dict, "id", "rollout_id"), "id")

        rollout_id = read_text(pop_older(d, src_dict, "rollout_id", "id"), "rollout_id")

        pool_id = read_text(d.pop("pool_id"), "pool_id")

        task_id = read_optional(d.pop("task_id", None), read_text, "task_id")

        status = check_rollout_status(
            read_text(pop_older(d, src_dict, "status", "state"), "status")
        )

        state = check_rollout_status(read_text(pop_older(d, src_dict, "state", "status"), "state"))

        request = read_object(d.pop("request"), "request")

        result = read_optional(d.pop("result", None), read_object, "result")

        metrics = RolloutMetrics.from_dict(d.pop("metrics"))

        score = read_optional(d.pop("score", None), read_number, "score")

        def _parse_error(data: object) -> None | RolloutError:
            if data is None:
                return data
            if not isinstance(data, dict):
                raise wrong_type(data, "error")
            error_type_0 = RolloutError.from_dict(data)

            return error_type_0

        error = _parse_error(d.pop("error", None))

        trace_correlation_id = read_optional(
            d.pop("trace_correlation_id", None), read_text, "trace_correlation_id"
        )

        replay_of = read_optional(d.pop("replay_of", None), read_text, "replay_of")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        def _parse_started_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            if not isinstance(data, str):
                raise wrong_type(data, "started_at")
            started_at_type_0 = datetime.datetime.fromisoformat(data)

            return started_at_type_0

        started_at = _parse_started_at(d.pop("started_at", None))

        def _parse_finished_at(data: object) -> datetime.datetime | None:
            if data is None:
                return data
            if not isinstance(data, str):
                raise wrong_type(data, "finished_at")
            finished_at_type_0 = datetime.datetime.fromisoformat(data)

            return finished_at_type_0

        finished_at = _parse_finished_at(d.pop("finished_at", None))

        updated_at = datetime.datetime.fromisoformat(d.pop("updated_at"))

        mode = read_optional(d.pop("mode", UNSET), read_text, "mode")

        run = read_optional(d.pop("run", UNSET), read_text, "run")

        _labels = d.pop("labels", UNSET)
        labels: RolloutLabels | Unset
        if isinstance(_labels, Unset):
            labels = UNSET
        else:
            labels = RolloutLabels.from_dict(_labels)

        created_by = read_optional(d.pop("created_by", UNSET), read_text, "created_by")

        rollout = cls(
            id=id,
            rollout_id=rollout_id,
            pool_id=pool_id,
            task_id=task_id,
            status=status,
            state=state,
            request=request,
            result=result,
            metrics=metrics,
            score=score,
            error=error,
            trace_correlation_id=trace_correlation_id,
            replay_of=replay_of,
            created_at=created_at,
            started_at=started_at,
            finished_at=finished_at,
            updated_at=updated_at,
            mode=mode,
            run=run,
            labels=labels,
            created_by=created_by,
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
