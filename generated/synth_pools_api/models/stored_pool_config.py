from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.submission_mode import SubmissionMode
from ..reading import read_number, read_object, read_optional, read_text, wrong_type
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.pool_process import PoolProcess


T = TypeVar("T", bound="StoredPoolConfig")


@_attrs_define
class StoredPoolConfig:
    """The settings of a pool as they are answered, see `PoolConfig`.

    Attributes:
        timeout_seconds (float | None | Unset): The time limit of a rollout, in seconds, see *Time limits*.
        max_starts_per_second (float | None | Unset): How many attempts at rollouts may start in a second.
        submission_mode (None | str | SubmissionMode | Unset): How the server hands a rollout to a container. `sync`:
            one request, which lasts as long as the rollout.
            `async`: the server submits the rollout, then asks for its state until it has ended.
        container_key_env (None | str | Unset): The name of the variable that holds the containers' key; never its
            value.
        process (None | PoolProcess | Unset): What the server starts `capacity` times, as containers of this pool.
        image (dict[str, Any] | None | Unset): The image from which the server starts the containers of this pool, see
            `PoolImage`.
    """

    timeout_seconds: float | None | Unset = UNSET
    max_starts_per_second: float | None | Unset = UNSET
    submission_mode: None | str | SubmissionMode | Unset = UNSET
    container_key_env: None | str | Unset = UNSET
    process: None | PoolProcess | Unset = UNSET
    image: dict[str, Any] | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.pool_process import PoolProcess

        timeout_seconds: float | None | Unset
        if isinstance(self.timeout_seconds, Unset):
            timeout_seconds = UNSET
        else:
            timeout_seconds = self.timeout_seconds

        max_starts_per_second: float | None | Unset
        if isinstance(self.max_starts_per_second, Unset):
            max_starts_per_second = UNSET
        else:
            max_starts_per_second = self.max_starts_per_second

        submission_mode: None | str | Unset
        if isinstance(self.submission_mode, Unset):
            submission_mode = UNSET
        elif isinstance(self.submission_mode, str):
            submission_mode = self.submission_mode
        else:
            submission_mode = self.submission_mode

        container_key_env: None | str | Unset
        if isinstance(self.container_key_env, Unset):
            container_key_env = UNSET
        else:
            container_key_env = self.container_key_env

        process: dict[str, Any] | None | Unset
        if isinstance(self.process, Unset):
            process = UNSET
        elif isinstance(self.process, PoolProcess):
            process = self.process.to_dict()
        else:
            process = self.process

        image: dict[str, Any] | None | Unset
        if isinstance(self.image, Unset):
            image = UNSET
        else:
            image = self.image

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({})
        if timeout_seconds is not UNSET:
            field_dict["timeout_seconds"] = timeout_seconds
        if max_starts_per_second is not UNSET:
            field_dict["max_starts_per_second"] = max_starts_per_second
        if submission_mode is not UNSET:
            field_dict["submission_mode"] = submission_mode
        if container_key_env is not UNSET:
            field_dict["container_key_env"] = container_key_env
        if process is not UNSET:
            field_dict["process"] = process
        if image is not UNSET:
            field_dict["image"] = image

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.pool_process import PoolProcess

        d = dict(src_dict)
        timeout_seconds = read_optional(
            d.pop("timeout_seconds", UNSET), read_number, "timeout_seconds"
        )

        max_starts_per_second = read_optional(
            d.pop("max_starts_per_second", UNSET), read_number, "max_starts_per_second"
        )

        submission_mode = read_optional(
            d.pop("submission_mode", UNSET), read_text, "submission_mode"
        )

        container_key_env = read_optional(
            d.pop("container_key_env", UNSET), read_text, "container_key_env"
        )

        def _parse_process(data: object) -> None | PoolProcess | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            if not isinstance(data, dict):
                raise wrong_type(data, "process")
            process_type_0 = PoolProcess.from_dict(data)

            return process_type_0

        process = _parse_process(d.pop("process", UNSET))

        image = read_optional(d.pop("image", UNSET), read_object, "image")

        stored_pool_config = cls(
            timeout_seconds=timeout_seconds,
            max_starts_per_second=max_starts_per_second,
            submission_mode=submission_mode,
            container_key_env=container_key_env,
            process=process,
            image=image,
        )

        stored_pool_config.additional_properties = d
        return stored_pool_config

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
