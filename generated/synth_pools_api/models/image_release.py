from __future__ import annotations

import datetime
from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import pop_older, read_optional, read_text
from ..types import UNSET, Unset

T = TypeVar("T", bound="ImageRelease")


@_attrs_define
class ImageRelease:
    """An image release of a pool.

    Attributes:
        id (str): The id of the release.
        release_id (str): The same value as `id`.
        source_kind (str): The kind of its source.
        pool_id (str | Unset): The id of the pool.
        name (None | str | Unset): A name for people.
        status (str | Unset): How far it is, in the server's terms.
        compute_provider (None | str | Unset): Where it runs.
        resolved_digest (None | str | Unset): The digest of the image, once there is one.
        source_content_hash (None | str | Unset): The SHA-256 of the archive, in hexadecimal; null where there was none.
        metadata (dict[str, Any] | Unset): Any JSON object: free-form, kept and answered as it was sent. Of a key that
            comes twice the last value counts.
        created_at (datetime.datetime | Unset): When it was created, in UTC.
    """

    id: str
    release_id: str
    source_kind: str
    pool_id: str | Unset = UNSET
    name: None | str | Unset = UNSET
    status: str | Unset = UNSET
    compute_provider: None | str | Unset = UNSET
    resolved_digest: None | str | Unset = UNSET
    source_content_hash: None | str | Unset = UNSET
    metadata: dict[str, Any] | Unset = UNSET
    created_at: datetime.datetime | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        id = self.id

        release_id = self.release_id

        source_kind = self.source_kind

        pool_id = self.pool_id

        name: None | str | Unset
        if isinstance(self.name, Unset):
            name = UNSET
        else:
            name = self.name

        status = self.status

        compute_provider: None | str | Unset
        if isinstance(self.compute_provider, Unset):
            compute_provider = UNSET
        else:
            compute_provider = self.compute_provider

        resolved_digest: None | str | Unset
        if isinstance(self.resolved_digest, Unset):
            resolved_digest = UNSET
        else:
            resolved_digest = self.resolved_digest

        source_content_hash: None | str | Unset
        if isinstance(self.source_content_hash, Unset):
            source_content_hash = UNSET
        else:
            source_content_hash = self.source_content_hash

        metadata = self.metadata

        created_at: str | Unset = UNSET
        if not isinstance(self.created_at, Unset):
            created_at = self.created_at.isoformat()

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({"id": id, "release_id": release_id, "source_kind": source_kind})
        if pool_id is not UNSET:
            field_dict["pool_id"] = pool_id
        if name is not UNSET:
            field_dict["name"] = name
        if status is not UNSET:
            field_dict["status"] = status
        if compute_provider is not UNSET:
            field_dict["compute_provider"] = compute_provider
        if resolved_digest is not UNSET:
            field_dict["resolved_digest"] = resolved_digest
        if source_content_hash is not UNSET:
            field_dict["source_content_hash"] = source_content_hash
        if metadata is not UNSET:
            field_dict["metadata"] = metadata
        if created_at is not UNSET:
            field_dict["created_at"] = created_at

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        id = read_text(pop_older(d, src_dict, "id", "release_id"), "id")

        release_id = read_text(pop_older(d, src_dict, "release_id", "id"), "release_id")

        source_kind = read_text(d.pop("source_kind"), "source_kind")

        pool_id = d.pop("pool_id", UNSET)

        name = read_optional(d.pop("name", UNSET), read_text, "name")

        status = d.pop("status", UNSET)

        compute_provider = read_optional(
            d.pop("compute_provider", UNSET), read_text, "compute_provider"
        )

        resolved_digest = read_optional(
            d.pop("resolved_digest", UNSET), read_text, "resolved_digest"
        )

        source_content_hash = read_optional(
            d.pop("source_content_hash", UNSET), read_text, "source_content_hash"
        )

        metadata = d.pop("metadata", UNSET)

        _created_at = d.pop("created_at", UNSET)
        created_at: datetime.datetime | Unset
        if isinstance(_created_at, Unset):
            created_at = UNSET
        else:
            created_at = datetime.datetime.fromisoformat(_created_at)

        image_release = cls(
            id=id,
            release_id=release_id,
            source_kind=source_kind,
            pool_id=pool_id,
            name=name,
            status=status,
            compute_provider=compute_provider,
            resolved_digest=resolved_digest,
            source_content_hash=source_content_hash,
            metadata=metadata,
            created_at=created_at,
        )

        image_release.additional_properties = d
        return image_release

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
