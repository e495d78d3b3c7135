from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import wrong_type
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.trajectory_agent import TrajectoryAgent
    from ..models.trajectory_final_metrics_type_0 import TrajectoryFinalMetricsType0
    from ..models.trajectory_step import TrajectoryStep


T = TypeVar("T", bound="Trajectory")


@_attrs_define
class Trajectory:
    """What happened in a rollout, in ATIF 1.8, the agent trajectory format of Harbor, or an earlier one;
    container.openapi.yaml
    has all of its fields.

        Attributes:
            agent (TrajectoryAgent): Its `name`, `version`, `model_name` and tools.
            steps (list[TrajectoryStep]): The steps in their order.
            schema_version (str | Unset): The version of the format, such as `ATIF-v1.8`.
            final_metrics (None | TrajectoryFinalMetricsType0 | Unset): Sums of all steps.
    """

    agent: TrajectoryAgent
    steps: list[TrajectoryStep]
    schema_version: str | Unset = UNSET
    final_metrics: None | TrajectoryFinalMetricsType0 | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.trajectory_final_metrics_type_0 import TrajectoryFinalMetricsType0

        agent = self.agent.to_dict()

        steps = []
        for steps_item_data in self.steps:
            steps_item = steps_item_data.to_dict()
            steps.append(steps_item)

        schema_version = self.schema_version

        final_metrics: dict[str, Any] | None | Unset
        if isinstance(self.final_metrics, Unset):
            final_metrics = UNSET
        elif isinstance(self.final_metrics, TrajectoryFinalMetricsType0):
            final_metrics = self.final_metrics.to_dict()
        else:
            final_metrics = self.final_metrics

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({"agent": agent, "steps": steps})
        if schema_version is not UNSET:
            field_dict["schema_version"] = schema_version
        if final_metrics is not UNSET:
            field_dict["final_metrics"] = final_metrics

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.trajectory_agent import TrajectoryAgent
        from ..models.trajectory_final_metrics_type_0 import TrajectoryFinalMetricsType0
        from ..models.trajectory_step import TrajectoryStep

        d = dict(src_dict)
        agent = TrajectoryAgent.from_dict(d.pop("agent"))

        steps = []
        _steps = d.pop("steps")
        for steps_item_data in _steps:
            steps_item = TrajectoryStep.from_dict(steps_item_data)

            steps.append(steps_item)

        schema_version = d.pop("schema_version", UNSET)

        def _parse_final_metrics(data: object) -> None | TrajectoryFinalMetricsType0 | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            if not isinstance(data, dict):
                raise wrong_type(data, "final_metrics")
            final_metrics_type_0 = TrajectoryFinalMetricsType0.from_dict(data)

            return final_metrics_type_0

        final_metrics = _parse_final_metrics(d.pop("final_metrics", UNSET))

        trajectory = cls(
            agent=agent, steps=steps, schema_version=schema_version, final_metrics=final_metrics
        )

        trajectory.additional_properties = d
        return trajectory

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
