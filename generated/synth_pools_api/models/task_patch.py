from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.json_object import JsonObject


T = TypeVar("T", bound="TaskPatch")


@_attrs_define
class TaskPatch:
    """Parts of a task to be merged into it (RFC 7396), as for `PoolPatch`.

    Attributes:
        id (None | str | Unset): The id of the task, where the caller chooses it.
        task_id (None | str | Unset): The id of the task, where the caller chooses it.
        backend (None | str | Unset): The substrate of the task; the pool's where it is not given.
        task_config (JsonObject | None | Unset): Settings of the task, free-form.
        task_metadata (JsonObject | None | Unset): Free-form, never interpreted.
        container_url (None | str | Unset): The address of a container of its own, in place of the pool's. An absolute
            http or https URL
            without userinfo.
    """

    id: None | str | Unset = UNSET
    task_id: None | str | Unset = UNSET
    backend: None | str | Unset = UNSET
    task_config: JsonObject | None | Unset = UNSET
    task_metadata: JsonObject | None | Unset = UNSET
    container_url: None | str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.json_object import JsonObject

        id: None | str | Unset
        if isinstance(self.id, Unset):
            id = UNSET
        else:
            id = self.id

        task_id: None | str | Unset
        if isinstance(self.task_id, Unset):
            task_id = UNSET
        else:
            task_id = self.task_id

        backend: None | str | Unset
        if isinstance(self.backend, Unset):
            backend = UNSET
        else:
            backend = self.backend

        task_config: dict[str, Any] | None | Unset
        if isinstance(self.task_config, Unset):
            task_config = UNSET
        elif isinstance(self.task_config, JsonObject):
            task_config = self.task_config.to_dict()
        else:
            task_config = self.task_config

        task_metadata: dict[str, Any] | None | Unset
        if isinstance(self.task_metadata, Unset):
            task_metadata = UNSET
        elif isinstance(self.task_metadata, JsonObject):
            task_metadata = self.task_metadata.to_dict()
        else:
            task_metadata = self.task_metadata

        container_url: None | str | Unset
        if isinstance(self.container_url, Unset):
            container_url = UNSET
        else:
            container_url = self.container_url

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if id is not UNSET:
            field_dict["id"] = id
        if task_id is not UNSET:
            field_dict["task_id"] = task_id
        if backend is not UNSET:
            field_dict["backend"] = backend
        if task_config is not UNSET:
            field_dict["task_config"] = task_config
        if task_metadata is not UNSET:
            field_dict["task_metadata"] = task_metadata
        if container_url is not UNSET:
            field_dict["container_url"] = container_url

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.json_object import JsonObject

        d = dict(src_dict)

        def _parse_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        id = _parse_id(d.pop("id", UNSET))

        def _parse_task_id(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        task_id = _parse_task_id(d.pop("task_id", UNSET))

        def _parse_backend(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        backend = _parse_backend(d.pop("backend", UNSET))

        def _parse_task_config(data: object) -> JsonObject | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                task_config_type_0 = JsonObject.from_dict(data)

                return task_config_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(JsonObject | None | Unset, data)

        task_config = _parse_task_config(d.pop("task_config", UNSET))

        def _parse_task_metadata(data: object) -> JsonObject | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            try:
                if not isinstance(data, dict):
                    raise TypeError()
                task_metadata_type_0 = JsonObject.from_dict(data)

                return task_metadata_type_0
            except (TypeError, ValueError, AttributeError, KeyError):
                pass
            return cast(JsonObject | None | Unset, data)

        task_metadata = _parse_task_metadata(d.pop("task_metadata", UNSET))

        def _parse_container_url(data: object) -> None | str | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            return cast(None | str | Unset, data)

        container_url = _parse_container_url(d.pop("container_url", UNSET))

        task_patch = cls(
            id=id,
            task_id=task_id,
            backend=backend,
            task_config=task_config,
            task_metadata=task_metadata,
            container_url=container_url,
        )

        task_patch.additional_properties = d
        return task_patch

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
