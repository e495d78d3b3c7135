from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import pop_older, read_integer, read_object, read_optional, read_text

T = TypeVar("T", bound="Artifact")


@_attrs_define
class Artifact:
    """The description of one artifact of a rollout. The server reads artifacts from `artifact` of the
    container's answer or, where that is missing or null, from `artifacts`: a list, or one object. It keeps the
    `content` of each as bytes: a text in UTF-8, or decoded where `encoding`
    (or `content_encoding`) is `base64`; any other JSON as JSON text.

        Attributes:
            artifact_id (str): The id of the artifact.
            artifact_type (str): What kind of thing it is, as the container says it; else the `content_type`.
            kind (str): The same value as `artifact_type`.
            artifact_name (str): Its name, as the container gave it as `artifact_name`, `path`, `name` or `metadata.name`.
            path (str): A relative path that is safe to create below a folder, and unique in the rollout; made from
                `artifact_name`.
            size_bytes (int): Length of the content, in bytes.
            sha256 (str): SHA-256 of the content, in hexadecimal.
            content_type (str): The media type of the content, as the container says it; else `application/octet-stream`.
                The server does
                not check it.
            created_at (datetime.datetime): When it was received, in UTC.
            download_url (None | str): The address at which `get_global_rollout_artifact` returns the content, with the same
                key. It begins as the
                addresses of `get_pool_urls` do. Null: the server offers no downloads, or no longer keeps the content. A
                content of at most 4 KiB is in the rollout's `result` too.
            metadata (dict[str, Any]): Any JSON object: free-form, kept and answered as it was sent. Of a key that comes
                twice the last value counts.
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
    metadata: dict[str, Any]
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

        metadata = self.metadata

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
                "metadata": metadata,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        artifact_id = read_text(d.pop("artifact_id"), "artifact_id")

        artifact_type = read_text(pop_older(d, src_dict, "artifact_type", "kind"), "artifact_type")

        kind = read_text(pop_older(d, src_dict, "kind", "artifact_type"), "kind")

        artifact_name = read_text(pop_older(d, src_dict, "artifact_name", "path"), "artifact_name")

        path = read_text(pop_older(d, src_dict, "path", "artifact_name"), "path")

        size_bytes = read_integer(d.pop("size_bytes"), "size_bytes")

        sha256 = read_text(d.pop("sha256"), "sha256")

        content_type = read_text(d.pop("content_type"), "content_type")

        created_at = datetime.datetime.fromisoformat(d.pop("created_at"))

        download_url = read_optional(d.pop("download_url", None), read_text, "download_url")

        metadata = read_object(d.pop("metadata", {}), "metadata")

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
