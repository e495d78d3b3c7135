from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.deployment_change_operation import (
    DeploymentChangeOperation,
    check_deployment_change_operation,
)
from ..reading import read_object, read_optional, read_text
from ..types import UNSET, Unset

T = TypeVar("T", bound="DeploymentChange")


@_attrs_define
class DeploymentChange:
    """An operation on the deployment of a project to a task. Unknown fields are kept.

    Attributes:
        project_id (str): The id of the project.
        operation (DeploymentChangeOperation): What is done to the deployment.
        idempotency_key (str): The name that the caller gives to this operation, to repeat or find it.
        payload (dict[str, Any] | None | Unset): What to deploy, in the server's terms.
        expected_revision (None | str | Unset): The revision that the deployment must have now.
    """

    project_id: str
    operation: DeploymentChangeOperation
    idempotency_key: str
    payload: dict[str, Any] | None | Unset = UNSET
    expected_revision: None | str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        project_id = self.project_id

        operation: str = self.operation

        idempotency_key = self.idempotency_key

        payload: dict[str, Any] | None | Unset
        if isinstance(self.payload, Unset):
            payload = UNSET
        else:
            payload = self.payload

        expected_revision: None | str | Unset
        if isinstance(self.expected_revision, Unset):
            expected_revision = UNSET
        else:
            expected_revision = self.expected_revision

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {"project_id": project_id, "operation": operation, "idempotency_key": idempotency_key}
        )
        if payload is not UNSET:
            field_dict["payload"] = payload
        if expected_revision is not UNSET:
            field_dict["expected_revision"] = expected_revision

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        project_id = read_text(d.pop("project_id"), "project_id")

        operation = check_deployment_change_operation(read_text(d.pop("operation"), "operation"))

        idempotency_key = read_text(d.pop("idempotency_key"), "idempotency_key")

        payload = read_optional(d.pop("payload", UNSET), read_object, "payload")

        expected_revision = read_optional(
            d.pop("expected_revision", UNSET), read_text, "expected_revision"
        )

        deployment_change = cls(
            project_id=project_id,
            operation=operation,
            idempotency_key=idempotency_key,
            payload=payload,
            expected_revision=expected_revision,
        )

        deployment_change.additional_properties = d
        return deployment_change

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
