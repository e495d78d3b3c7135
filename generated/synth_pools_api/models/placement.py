from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import read_number, read_optional, wrong_type
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.placement_labels_type_0 import PlacementLabelsType0
    from ..models.placement_resources_type_0 import PlacementResourcesType0


T = TypeVar("T", bound="Placement")


@_attrs_define
class Placement:
    """What one container holds of the machine that a Ray cluster chooses for it. No other machine is chosen. If no
    machine has it and the pool had no healthy container before, the pool becomes `failed`.

        Attributes:
            num_cpus (float | None | Unset): Processors that it holds.
            num_gpus (float | None | Unset): GPUs that it holds, a whole number or less than 1.
            resources (None | PlacementResourcesType0 | Unset): Resources that the operator of the cluster has named, by
                their names.
            labels (None | PlacementLabelsType0 | Unset): Labels that the machine has, by their names.
    """

    num_cpus: float | None | Unset = UNSET
    num_gpus: float | None | Unset = UNSET
    resources: None | PlacementResourcesType0 | Unset = UNSET
    labels: None | PlacementLabelsType0 | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.placement_labels_type_0 import PlacementLabelsType0
        from ..models.placement_resources_type_0 import PlacementResourcesType0

        num_cpus: float | None | Unset
        if isinstance(self.num_cpus, Unset):
            num_cpus = UNSET
        else:
            num_cpus = self.num_cpus

        num_gpus: float | None | Unset
        if isinstance(self.num_gpus, Unset):
            num_gpus = UNSET
        else:
            num_gpus = self.num_gpus

        resources: dict[str, Any] | None | Unset
        if isinstance(self.resources, Unset):
            resources = UNSET
        elif isinstance(self.resources, PlacementResourcesType0):
            resources = self.resources.to_dict()
        else:
            resources = self.resources

        labels: dict[str, Any] | None | Unset
        if isinstance(self.labels, Unset):
            labels = UNSET
        elif isinstance(self.labels, PlacementLabelsType0):
            labels = self.labels.to_dict()
        else:
            labels = self.labels

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if num_cpus is not UNSET:
            field_dict["num_cpus"] = num_cpus
        if num_gpus is not UNSET:
            field_dict["num_gpus"] = num_gpus
        if resources is not UNSET:
            field_dict["resources"] = resources
        if labels is not UNSET:
            field_dict["labels"] = labels

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.placement_labels_type_0 import PlacementLabelsType0
        from ..models.placement_resources_type_0 import PlacementResourcesType0

        d = dict(src_dict)
        num_cpus = read_optional(d.pop("num_cpus", UNSET), read_number, "num_cpus")

        num_gpus = read_optional(d.pop("num_gpus", UNSET), read_number, "num_gpus")

        def _parse_resources(data: object) -> None | PlacementResourcesType0 | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            if not isinstance(data, dict):
                raise wrong_type(data, "resources")
            resources_type_0 = PlacementResourcesType0.from_dict(data)

            return resources_type_0

        resources = _parse_resources(d.pop("resources", UNSET))

        def _parse_labels(data: object) -> None | PlacementLabelsType0 | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            if not isinstance(data, dict):
                raise wrong_type(data, "labels")
            labels_type_0 = PlacementLabelsType0.from_dict(data)

            return labels_type_0

        labels = _parse_labels(d.pop("labels", UNSET))

        placement = cls(num_cpus=num_cpus, num_gpus=num_gpus, resources=resources, labels=labels)

        placement.additional_properties = d
        return placement

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
