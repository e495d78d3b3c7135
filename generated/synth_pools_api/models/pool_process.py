from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.process_launcher import ProcessLauncher, check_process_launcher
from ..reading import read_choice, read_number, read_optional, read_text, wrong_type
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.placement import Placement
    from ..models.process_environment import ProcessEnvironment


T = TypeVar("T", bound="PoolProcess")


@_attrs_define
class PoolProcess:
    """A command whose processes are the containers of this pool. The server runs `capacity` processes of it and
    waits until they answer `GET /health`. Each process is to listen on a free loopback port, which the server
    chooses. `{port}` in `argv` and in the values of `env` stands for this port. The variable `PORT` holds it too.

    The server starts a process that ended again, after a pause that grows. If a process is not healthy within
    `start_timeout_seconds` and none of the pool's was before, the pool becomes `failed`; the last lines of the
    process's output are in `error.details.output`. The server ends the processes and all their children when the
    pool is archived, when it is paused and no rollout of it runs any more, and when the server itself ends. A
    `PUT` or `PATCH` that changes `config.process` leaves the pool's state as it is: each process of the old
    command ends when its rollouts have ended.

    With `launcher: ray` a Ray cluster chooses the machine of each process, and what is said here of the server's
    machine is true of that one. If that machine is lost, the process is started on another one.

    Returns 403 `processes_not_allowed` if the operator of the server has not allowed it (`features.processes`),
    because a client decides here what the server's machine runs. Returns 403 `ray_not_allowed` for
    `launcher: ray` if the operator has not allowed that (`features.ray`).

        Attributes:
            argv (list[str]): The program and its arguments. No shell reads them.
            env (None | ProcessEnvironment | Unset): Environment variables, beside `PORT` and the few of the server's that
                programs need (`PATH`, `HOME`,
                `LANG` and the like).
            cwd (None | str | Unset): The working directory of the processes. Null: that of the server.
            start_timeout_seconds (float | None | Unset): How long a process may take until it is healthy, in seconds.
            launcher (None | ProcessLauncher | Unset): What starts the processes.
            placement (None | Placement | Unset): What each process holds of its machine. Not used with `launcher: local`.
    """

    argv: list[str]
    env: None | ProcessEnvironment | Unset = UNSET
    cwd: None | str | Unset = UNSET
    start_timeout_seconds: float | None | Unset = UNSET
    launcher: None | ProcessLauncher | Unset = UNSET
    placement: None | Placement | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.placement import Placement
        from ..models.process_environment import ProcessEnvironment

        argv = self.argv

        env: dict[str, Any] | None | Unset
        if isinstance(self.env, Unset):
            env = UNSET
        elif isinstance(self.env, ProcessEnvironment):
            env = self.env.to_dict()
        else:
            env = self.env

        cwd: None | str | Unset
        if isinstance(self.cwd, Unset):
            cwd = UNSET
        else:
            cwd = self.cwd

        start_timeout_seconds: float | None | Unset
        if isinstance(self.start_timeout_seconds, Unset):
            start_timeout_seconds = UNSET
        else:
            start_timeout_seconds = self.start_timeout_seconds

        launcher: None | str | Unset
        if isinstance(self.launcher, Unset):
            launcher = UNSET
        elif isinstance(self.launcher, str):
            launcher = self.launcher
        else:
            launcher = self.launcher

        placement: dict[str, Any] | None | Unset
        if isinstance(self.placement, Unset):
            placement = UNSET
        elif isinstance(self.placement, Placement):
            placement = self.placement.to_dict()
        else:
            placement = self.placement

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update({"argv": argv})
        if env is not UNSET:
            field_dict["env"] = env
        if cwd is not UNSET:
            field_dict["cwd"] = cwd
        if start_timeout_seconds is not UNSET:
            field_dict["start_timeout_seconds"] = start_timeout_seconds
        if launcher is not UNSET:
            field_dict["launcher"] = launcher
        if placement is not UNSET:
            field_dict["placement"] = placement

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.placement import Placement
        from ..models.process_environment import ProcessEnvironment

        d = dict(src_dict)
        argv = cast(list[str], d.pop("argv"))

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

        cwd = read_optional(d.pop("cwd", UNSET), read_text, "cwd")

        start_timeout_seconds = read_optional(
            d.pop("start_timeout_seconds", UNSET), read_number, "start_timeout_seconds"
        )

        launcher = read_choice(d.pop("launcher", UNSET), check_process_launcher)

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

        pool_process = cls(
            argv=argv,
            env=env,
            cwd=cwd,
            start_timeout_seconds=start_timeout_seconds,
            launcher=launcher,
            placement=placement,
        )

        pool_process.additional_properties = d
        return pool_process

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
