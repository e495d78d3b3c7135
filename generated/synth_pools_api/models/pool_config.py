from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.submission_mode import SubmissionMode, check_submission_mode
from ..reading import read_choice, read_number, read_object, read_optional, read_text, wrong_type
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.pool_image import PoolImage
    from ..models.pool_process import PoolProcess


T = TypeVar("T", bound="PoolConfig")


@_attrs_define
class PoolConfig:
    """Settings of a pool, free-form. The server reads those named here.

    Attributes:
        timeout_seconds (float | None | Unset): The time limit of a rollout, in seconds, see *Time limits*.
        max_starts_per_second (float | None | Unset): How many attempts at rollouts may start in a second, see *Rate of
            starts*. Null: no limit.
        submission_mode (None | SubmissionMode | Unset): How the server hands a rollout to a container. `sync`: one
            request, which lasts as long as the rollout.
            `async`: the server submits the rollout, then asks for its state until it has ended.
        telemetry (dict[str, Any] | None | Unset): Sent to the container with each rollout, under the key `telemetry`;
            see container.openapi.yaml.
        container_key_env (None | str | Unset): The name of the server's environment variable that holds the key of the
            pool's containers. The server
            sends the value to them as `X-API-Key`. It gives the value to the containers that it starts itself as
            `ENVIRONMENT_API_KEY`. It never stores or answers the value: where a container echoes it, `***` stands in
            its place.

            Allowed names are `ENVIRONMENT_API_KEY`, names that begin with `CONTAINER_API_KEY`, and names that the
            operator of the server has added. Returns 403 `forbidden_container_key` if the name is not allowed, or if
            the variable is not set or holds fewer than 8 characters. If the variable is missing when a rollout
            starts, the rollout fails with `container_unreachable`; its `details.cause` is `container_key_missing`.
        process (None | PoolProcess | Unset): What the server starts `capacity` times, as containers of this pool.
        image (None | PoolImage | Unset): The image from which the server starts the containers of this pool. Returns
            409 `config_conflict` if
            `process` is set, too.
    """

    timeout_seconds: float | None | Unset = UNSET
    max_starts_per_second: float | None | Unset = UNSET
    submission_mode: None | SubmissionMode | Unset = UNSET
    telemetry: dict[str, Any] | None | Unset = UNSET
    container_key_env: None | str | Unset = UNSET
    process: None | PoolProcess | Unset = UNSET
    image: None | PoolImage | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.pool_image import PoolImage
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

        telemetry: dict[str, Any] | None | Unset
        if isinstance(self.telemetry, Unset):
            telemetry = UNSET
        else:
            telemetry = self.telemetry

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
        elif isinstance(self.image, PoolImage):
            image = self.image.to_dict()
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
        if telemetry is not UNSET:
            field_dict["telemetry"] = telemetry
        if container_key_env is not UNSET:
            field_dict["container_key_env"] = container_key_env
        if process is not UNSET:
            field_dict["process"] = process
        if image is not UNSET:
            field_dict["image"] = image

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.pool_image import PoolImage
        from ..models.pool_process import PoolProcess

        d = dict(src_dict)
        timeout_seconds = read_optional(
            d.pop("timeout_seconds", UNSET), read_number, "timeout_seconds"
        )

        max_starts_per_second = read_optional(
            d.pop("max_starts_per_second", UNSET), read_number, "max_starts_per_second"
        )

        submission_mode = read_choice(d.pop("submission_mode", UNSET), check_submission_mode)

        telemetry = read_optional(d.pop("telemetry", UNSET), read_object, "telemetry")

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

        def _parse_image(data: object) -> None | PoolImage | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            if not isinstance(data, dict):
                raise wrong_type(data, "image")
            image_type_0 = PoolImage.from_dict(data)

            return image_type_0

        image = _parse_image(d.pop("image", UNSET))

        pool_config = cls(
            timeout_seconds=timeout_seconds,
            max_starts_per_second=max_starts_per_second,
            submission_mode=submission_mode,
            telemetry=telemetry,
            container_key_env=container_key_env,
            process=process,
            image=image,
        )

        pool_config.additional_properties = d
        return pool_config

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
