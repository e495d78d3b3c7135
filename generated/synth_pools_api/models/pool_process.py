from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..reading import read_number, read_optional, read_text, wrong_type
from ..types import UNSET, Unset

if TYPE_CHECKING:
    from ..models.process_environment import ProcessEnvironment


T = TypeVar("T", bound="PoolProcess")


@_attrs_define
class PoolProcess:
    """A command that serves as a container. The server runs `capacity` processes of it, each on a free port of
    its own, and waits for their `GET /health`. `{port}` in `argv` and in the values of `env` stands for the
    loopback port on which it is to listen; the variable `PORT` has it too.

    A process that ends is started again, after a pause that grows. A process that never gets healthy makes the
    pool `failed`, with its last lines of output in `error.details.output`. The processes and all their children
    end when the pool is deleted, when it is paused and its last rollout has ended, and with the server. Another
    `config.process` in a `PUT` or `PATCH` leaves the pool's state as it is: processes of the old one end when
    their rollouts have ended.

    Because a client so decides what the server's machine runs, the operator of the server has to allow it
    (`features.processes`): else 403 `processes_not_allowed`.

        Attributes:
            argv (list[str]): The program and its arguments; no shell reads them.
            env (None | ProcessEnvironment | Unset): Environment variables, texts by name, beside `PORT` and the few that
                programs need (`PATH`, `HOME`,
                `LANG` and the like).
            cwd (None | str | Unset): Its working directory; that of the server where it is not given.
            start_timeout_seconds (float | None | Unset): How long it may take until it is healthy, in seconds.
    """

    argv: list[str]
    env: None | ProcessEnvironment | Unset = UNSET
    cwd: None | str | Unset = UNSET
    start_timeout_seconds: float | None | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
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

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "argv": argv,
            }
        )
        if env is not UNSET:
            field_dict["env"] = env
        if cwd is not UNSET:
            field_dict["cwd"] = cwd
        if start_timeout_seconds is not UNSET:
            field_dict["start_timeout_seconds"] = start_timeout_seconds

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
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

        pool_process = cls(
            argv=argv,
            env=env,
            cwd=cwd,
            start_timeout_seconds=start_timeout_seconds,
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
