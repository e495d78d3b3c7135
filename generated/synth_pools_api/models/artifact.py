from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.json_object import JsonObject


T = TypeVar("T", bound="Artifact")


@_attrs_define
class Artifact:
    """One artifact of a rollout.

    Attributes:
        artifact_id (str): The id of the artifact.
        artifact_type (str): What kind of thing it is.
        kind (str): The same value as `artifact_type`.
        artifact_name (str): Its name, as the container gave it.
        path (str): Its name as a relative path that is safe to create, unique in the rollout.
        size_bytes (int): Length of the content, in bytes.
        sha256 (str): SHA-256 of the content, in hexadecimal.
        content_type (str): The media type of the content.
        created_at (datetime.datetime): When it was received.
        download_url (None | str): Where the content can be had, with the same key; null where the server offers no
            downloads, or no
            longer keeps it. Small contents are in the rollout's `result` too.
        metadata (JsonObject | Unset): Any JSON object: free-form, kept and answered as it was sent.
    """

    artifact_id: str
    artifact_type: str
    kind: str
    artifact_name: str
    path: str
    size_bytes: int
    sha256: str
    content_type: str
    created_at: datetime.datetime
    download_url: None | str
    metadata: JsonObject | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        artifact_id = self.artifact_id

        artifact_type = self.artifact_type

        kind = self.kind

        artifact_name = self.artifact_name

        path = self.path

        size_bytes = self.size_bytes

        sha256 = self.sha256

        content_type = self.content_type

        created_at = self.created_at.isoformat()

        download_url: None | str
        download_url = self.download_url

        metadata: dict[str, Any] | Unset = UNSET
        if not isinstance(self.metadata, Unset):
            metadata = self.metadata.to_dict()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "artifact_id": artifact_id,
                "artifact_type": artifact_type,
                "kind": kind,
                "artifact_name": artifact_name,
                "path": path,
                "size_bytes": size_bytes,
                "sha256": sha256,
                "content_type": content_type,
                "created_at": created_at,
                "download_url": download_url,
            }
        )
        if metadata is not UNSET:
            field_dict["metadata"] = metadata

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.json_object import JsonObject

        d = dict(src_dict)
        artifact_id = d.pop("artifact_id")

        artifact_type = d.pop("artifact_type")

        kind = d.pop("kind")

        artifact_name = d.pop("artifact_name")

        path = d.pop("path")

        size_bytes = d.pop("size_bytes")

        sha256 = d.pop("sha256")

        content_type = d.pop("content_type")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        def _parse_download_url(data: object) -> None | str:
            if data is None:
                return data
            return cast(None | str, data)

        download_url = _parse_download_url(d.pop("download_url"))

        _metadata = d.pop("metadata", UNSET)
        metadata: JsonObject | Unset
        if isinstance(_metadata, Unset):
            metadata = UNSET
        else:
            metadata = JsonObject.from_dict(_metadata)

        artifact = cls(
            artifact_id=artifact_id,
            artifact_type=artifact_type,
            kind=kind,
            artifact_name=artifact_name,
            path=path,
            size_bytes=size_bytes,
            sha256=sha256,
            content_type=content_type,
            created_at=created_at,
            download_url=download_url,
            metadata=metadata,
        )

        artifact.additional_properties = d
        return artifact

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
