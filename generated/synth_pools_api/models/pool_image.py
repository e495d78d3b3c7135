from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.image_launcher import ImageLauncher, check_image_launcher
from ..models.image_network import ImageNetwork, check_image_network
from ..reading import read_choice, read_integer, read_number, read_optional, read_text, wrong_type
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.image_mount import ImageMount
    from ..models.placement import Placement
    from ..models.process_environment import ProcessEnvironment


T = TypeVar("T", bound="PoolImage")


@_attrs_define
class PoolImage:
    """An OCI image whose containers are the containers of this pool. The server starts `capacity` of them, or fewer
    where `warm` says so, with the engine that `launcher` names. The engine pulls the image first if it does not
    have it.

    The rules of `PoolProcess` hold for these containers: what it says of a process is true of a container, as to
    health, restarts, output, the states of the pool and the end. A `PUT` or `PATCH` that changes `config.image`
    replaces the containers one by one: each gets no further rollout once a new one is healthy in its place, and
    ends when its rollouts have ended. The pool becomes `failed` with
    `image_unavailable` if the image cannot be pulled, and with `engine_unavailable` if the engine does not work
    or cannot enforce `memory_mb`, `cpus` or `pids`.

    With `launcher: ray` a Ray cluster chooses the machine of each container, which is started with `podman`, or
    with `docker` where that machine has no podman; what is said here of the server's machine is true of that one.

    Returns 403 `images_not_allowed` if the operator of the server has not allowed it (`features.images`). Returns
    409 `engine_unavailable` if the server's machine does not have the engine. Returns 403 `ray_not_allowed` for
    `launcher: ray` if the operator has not allowed that (`features.ray`).

        Attributes:
            image (str): The reference of the image: its name, with or without a registry before it and a tag, a digest or
                both
                behind it.
            launcher (ImageLauncher | None | Unset): The engine that starts the containers. Null: `podman`, or `docker`
                where the server's machine has no
                podman.
            command (list[str] | None | Unset): The command to run in place of the image's own. Null: the image's own.
                `{port}` in it stands for the port
                on which it is to listen; with `network: none`, `{socket}` stands for the path of the socket.
            env (None | ProcessEnvironment | Unset): Environment variables, beside those of the image. `{port}` and
                `{socket}` in the values stand for the same
                as in `command`. The variable `PORT` holds the port too; with `network: none`, `SOCKET` holds the path
                instead.
            port (int | None | Unset): The port inside of the container on which it listens, at all addresses. Null: a port
                that the server
                chooses. Not used with `network: none`.
            network (ImageNetwork | None | Unset): The network of each container.
            memory_mb (int | None | Unset): The most memory that each container may use, in MiB, swap included. Null: the
                engine's own limit.
            cpus (float | None | Unset): The most processor time that each container may use, in processors: 0.5 is half of
                one. Null: the engine's
                own limit.
            pids (int | None | Unset): The most processes and threads that each container may have at once. Null: the
                engine's own limit.
            mounts (list[ImageMount] | None | Unset): Folders and files of the server's machine that each container may
                read.
            warm (int | None | Unset): How many containers without a rollout the server keeps ready. It starts with `warm`
                containers, then keeps
                `warm` more than are busy, but never more than `capacity` in all. Null: it keeps `capacity` containers all
                the time.
            start_timeout_seconds (float | None | Unset): How long a container may take until it is healthy, in seconds. The
                pull of the image does not count.
            placement (None | Placement | Unset): What each container holds of its machine. Not used without `launcher:
                ray`.
    """

    image: str
    launcher: ImageLauncher | None | Unset = UNSET
    command: list[str] | None | Unset = UNSET
    env: None | ProcessEnvironment | Unset = UNSET
    port: int | None | Unset = UNSET
    network: ImageNetwork | None | Unset = UNSET
    memory_mb: int | None | Unset = UNSET
    cpus: float | None | Unset = UNSET
    pids: int | None | Unset = UNSET
    mounts: list[ImageMount] | None | Unset = UNSET
    warm: int | None | Unset = UNSET
    start_timeout_seconds: float | None | Unset = UNSET
    placement: None | Placement | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.placement import Placement
        from ..models.process_environment import ProcessEnvironment

        image = self.image

        launcher: None | str | Unset
        if isinstance(self.launcher, Unset):
            launcher = UNSET
        elif isinstance(self.launcher, str):
            launcher = self.launcher
        else:
            launcher = self.launcher

        command: list[str] | None | Unset
        if isinstance(self.command, Unset):
            command = UNSET
        elif isinstance(self.command, list):
            command = self.command

        else:
            command = self.command

        env: dict[str, Any] | None | Unset
        if isinstance(self.env, Unset):
            env = UNSET
        elif isinstance(self.env, ProcessEnvironment):
            env = self.env.to_dict()
        else:
            env = self.env

        port: int | None | Unset
        if isinstance(self.port, Unset):
            port = UNSET
        else:
            port = self.port

        network: None | str | Unset
        if isinstance(self.network, Unset):
            network = UNSET
        elif isinstance(self.network, str):
            network = self.network
        else:
            network = self.network

        memory_mb: int | None | Unset
        if isinstance(self.memory_mb, Unset):
            memory_mb = UNSET
        else:
            memory_mb = self.memory_mb

        cpus: float | None | Unset
        if isinstance(self.cpus, Unset):
            cpus = UNSET
        else:
            cpus = self.cpus

        pids: int | None | Unset
        if isinstance(self.pids, Unset):
            pids = UNSET
        else:
            pids = self.pids

        mounts: list[dict[str, Any]] | None | Unset
        if isinstance(self.mounts, Unset):
            mounts = UNSET
        elif isinstance(self.mounts, list):
            mounts = []
            for mounts_type_0_item_data in self.mounts:
                mounts_type_0_item = mounts_type_0_item_data.to_dict()
                mounts.append(mounts_type_0_item)

        else:
            mounts = self.mounts

        warm: int | None | Unset
        if isinstance(self.warm, Unset):
            warm = UNSET
        else:
            warm = self.warm

        start_timeout_seconds: float | None | Unset
        if isinstance(self.start_timeout_seconds, Unset):
            start_timeout_seconds = UNSET
        else:
            start_timeout_seconds = self.start_timeout_seconds

        placement: dict[str, Any] | None | Unset
        if isinstance(self.placement, Unset):
            placement = UNSET
        elif isinstance(self.placement, Placement):
            placement = self.placement.to_dict()
        else:
            placement = self.placement

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({"image": image})
        if launcher is not UNSET:
            field_dict["launcher"] = launcher
        if command is not UNSET:
            field_dict["command"] = command
        if env is not UNSET:
            field_dict["env"] = env
        if port is not UNSET:
            field_dict["port"] = port
        if network is not UNSET:
            field_dict["network"] = network
        if memory_mb is not UNSET:
            field_dict["memory_mb"] = memory_mb
        if cpus is not UNSET:
            field_dict["cpus"] = cpus
        if pids is not UNSET:
            field_dict["pids"] = pids
        if mounts is not UNSET:
            field_dict["mounts"] = mounts
        if warm is not UNSET:
            field_dict["warm"] = warm
        if start_timeout_seconds is not UNSET:
            field_dict["start_timeout_seconds"] = start_timeout_seconds
        if placement is not UNSET:
            field_dict["placement"] = placement

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.image_mount import ImageMount
        from ..models.placement import Placement
        from ..models.process_environment import ProcessEnvironment

        d = dict(src_dict)
        image = read_text(d.pop("image"), "image")

        launcher = read_choice(d.pop("launcher", UNSET), check_image_launcher)

        def _parse_command(data: object) -> list[str] | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            if not isinstance(data, list):
                raise wrong_type(data, "command")
            command_type_0 = cast(list[str], data)

            return command_type_0

        command = _parse_command(d.pop("command", UNSET))

        def _parse_env(data: object) -> None | ProcessEnvironment | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            if not isinstance(data, dict):
                raise wrong_type(data, "env")
            env_type_0 = ProcessEnvironment.from_dict(data)

            return env_type_0

        env = _parse_env(d.pop("env", UNSET))

        port = read_optional(d.pop("port", UNSET), read_integer, "port")

        network = read_choice(d.pop("network", UNSET), check_image_network)

        memory_mb = read_optional(d.pop("memory_mb", UNSET), read_integer, "memory_mb")

        cpus = read_optional(d.pop("cpus", UNSET), read_number, "cpus")

        pids = read_optional(d.pop("pids", UNSET), read_integer, "pids")

        def _parse_mounts(data: object) -> list[ImageMount] | None | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            if not isinstance(data, list):
                raise wrong_type(data, "mounts")
            mounts_type_0 = []
            _mounts_type_0 = data
            for mounts_type_0_item_data in _mounts_type_0:
                mounts_type_0_item = ImageMount.from_dict(mounts_type_0_item_data)

                mounts_type_0.append(mounts_type_0_item)

            return mounts_type_0

        mounts = _parse_mounts(d.pop("mounts", UNSET))

        warm = read_optional(d.pop("warm", UNSET), read_integer, "warm")

        start_timeout_seconds = read_optional(
            d.pop("start_timeout_seconds", UNSET), read_number, "start_timeout_seconds"
        )

        def _parse_placement(data: object) -> None | Placement | Unset:
            if data is None:
                return data
            if isinstance(data, Unset):
                return data
            if not isinstance(data, dict):
                raise wrong_type(data, "placement")
            placement_type_0 = Placement.from_dict(data)

            return placement_type_0

        placement = _parse_placement(d.pop("placement", UNSET))

        pool_image = cls(
            image=image,
            launcher=launcher,
            command=command,
            env=env,
            port=port,
            network=network,
            memory_mb=memory_mb,
            cpus=cpus,
            pids=pids,
            mounts=mounts,
            warm=warm,
            start_timeout_seconds=start_timeout_seconds,
            placement=placement,
        )

        pool_image.additional_properties = d
        return pool_image

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
