from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import read_object, read_optional, read_text
from ..types import UNSET, Unset

T = TypeVar("T", bound="ImageReleaseDefinition")


@_attrs_define
class ImageReleaseDefinition:
    """An image, or what one is built from. Unknown fields are kept.

    Attributes:
        source_kind (str): What the other fields describe. `docker_context`: an archive to build from. `image_ref`: an
            image that
            exists. A server may know further kinds.
        archive_base64 (None | str | Unset): The build context, a tar or zip archive, in base64.
        filename (None | str | Unset): The name of that archive.
        dockerfile_path (None | str | Unset): The path of the Dockerfile in the archive.
        image_ref (None | str | Unset): The reference of the image, best with its digest. The release keeps the image
            that it named first.
        compute_provider (None | str | Unset): Where it is to run, in the server's terms.
        name (None | str | Unset): A name for people.
        entrypoint (None | str | Unset): The command of the container, in place of the image's own.
        env_vars (dict[str, Any] | None | Unset): Environment variables, texts by name.
        limits (dict[str, Any] | None | Unset): What a container may use, in the server's terms.
        metadata (dict[str, Any] | None | Unset): Free-form; `container_subtype` and its like are read by servers that
            know them.
    """

    source_kind: str
    archive_base64: None | str | Unset = UNSET
    filename: None | str | Unset = UNSET
    dockerfile_path: None | str | Unset = UNSET
    image_ref: None | str | Unset = UNSET
    compute_provider: None | str | Unset = UNSET
    name: None | str | Unset = UNSET
    entrypoint: None | str | Unset = UNSET
    env_vars: dict[str, Any] | None | Unset = UNSET
    limits: dict[str, Any] | None | Unset = UNSET
    metadata: dict[str, Any] | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        source_kind = self.source_kind

        archive_base64: None | str | Unset
        if isinstance(self.archive_base64, Unset):
            archive_base64 = UNSET
        else:
            archive_base64 = self.archive_base64

        filename: None | str | Unset
        if isinstance(self.filename, Unset):
            filename = UNSET
        else:
            filename = self.filename

        dockerfile_path: None | str | Unset
        if isinstance(self.dockerfile_path, Unset):
            dockerfile_path = UNSET
        else:
            dockerfile_path = self.dockerfile_path

        image_ref: None | str | Unset
        if isinstance(self.image_ref, Unset):
            image_ref = UNSET
        else:
            image_ref = self.image_ref

        compute_provider: None | str | Unset
        if isinstance(self.compute_provider, Unset):
            compute_provider = UNSET
        else:
            compute_provider = self.compute_provider

        name: None | str | Unset
        if isinstance(self.name, Unset):
            name = UNSET
        else:
            name = self.name

        entrypoint: None | str | Unset
        if isinstance(self.entrypoint, Unset):
            entrypoint = UNSET
        else:
            entrypoint = self.entrypoint

        env_vars: dict[str, Any] | None | Unset
        if isinstance(self.env_vars, Unset):
            env_vars = UNSET
        else:
            env_vars = self.env_vars

        limits: dict[str, Any] | None | Unset
        if isinstance(self.limits, Unset):
            limits = UNSET
        else:
            limits = self.limits

        metadata: dict[str, Any] | None | Unset
        if isinstance(self.metadata, Unset):
            metadata = UNSET
        else:
            metadata = self.metadata

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({"source_kind": source_kind})
        if archive_base64 is not UNSET:
            field_dict["archive_base64"] = archive_base64
        if filename is not UNSET:
            field_dict["filename"] = filename
        if dockerfile_path is not UNSET:
            field_dict["dockerfile_path"] = dockerfile_path
        if image_ref is not UNSET:
            field_dict["image_ref"] = image_ref
        if compute_provider is not UNSET:
            field_dict["compute_provider"] = compute_provider
        if name is not UNSET:
            field_dict["name"] = name
        if entrypoint is not UNSET:
            field_dict["entrypoint"] = entrypoint
        if env_vars is not UNSET:
            field_dict["env_vars"] = env_vars
        if limits is not UNSET:
            field_dict["limits"] = limits
        if metadata is not UNSET:
            field_dict["metadata"] = metadata

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        source_kind = read_text(d.pop("source_kind"), "source_kind")

        archive_base64 = read_optional(d.pop("archive_base64", UNSET), read_text, "archive_base64")

        filename = read_optional(d.pop("filename", UNSET), read_text, "filename")

        dockerfile_path = read_optional(
            d.pop("dockerfile_path", UNSET), read_text, "dockerfile_path"
        )

        image_ref = read_optional(d.pop("image_ref", UNSET), read_text, "image_ref")

        compute_provider = read_optional(
            d.pop("compute_provider", UNSET), read_text, "compute_provider"
        )

        name = read_optional(d.pop("name", UNSET), read_text, "name")

        entrypoint = read_optional(d.pop("entrypoint", UNSET), read_text, "entrypoint")

        env_vars = read_optional(d.pop("env_vars", UNSET), read_object, "env_vars")

        limits = read_optional(d.pop("limits", UNSET), read_object, "limits")

        metadata = read_optional(d.pop("metadata", UNSET), read_object, "metadata")

        image_release_definition = cls(
            source_kind=source_kind,
            archive_base64=archive_base64,
            filename=filename,
            dockerfile_path=dockerfile_path,
            image_ref=image_ref,
            compute_provider=compute_provider,
            name=name,
            entrypoint=entrypoint,
            env_vars=env_vars,
            limits=limits,
            metadata=metadata,
        )

        image_release_definition.additional_properties = d
        return image_release_definition

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
