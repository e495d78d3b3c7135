from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..models.container_state import ContainerState, check_container_state
from ..reading import read_integer, read_optional, read_text
from ..types import UNSET, Unset

T = TypeVar("T", bound="PoolContainer")


@_attrs_define
class PoolContainer:
    """One container of a pool, as the server sees it.

    Attributes:
        url (str): Its address.
        health (ContainerState): Whether the container gets rollouts. `healthy`: it does. `unhealthy`: it does not,
            because its checks failed
            (*Containers*). `starting` and `stopped`: it does not, because the server is starting it, or it has ended;
            only containers that the server starts are in these states.
        running_rollouts (int): How many rollouts run on it.
        last_error (None | str): What went wrong last; null where nothing did.
        pid (int | None): The id of its process on the server's machine. Null for a container of an image, and for one
            that the
            server does not start.
        restarts (int | Unset): How often the server has started it again. 0: the server does not start it, or never had
            to start it
            again.
        launcher (None | str | Unset): What started it. `local`: the server, as a process of its machine. `podman` or
            `docker`: this engine, from
            an image. `ray`: a Ray cluster. Null: the server does not start it.
        node (None | str | Unset): The name of the machine that it runs on; null where the server does not start it.
        image_digest (None | str | Unset): The digest of the image that it runs, or the image's id where no registry
            knows it. Null: it runs no image
            that the server knows.
    """

    url: str
    health: ContainerState
    running_rollouts: int
    last_error: None | str
    pid: int | None
    restarts: int | Unset = UNSET
    launcher: None | str | Unset = UNSET
    node: None | str | Unset = UNSET
    image_digest: None | str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        url = self.url

        health: str = self.health

        running_rollouts = self.running_rollouts

        last_error: None | str
        last_error = self.last_error

        pid: int | None
        pid = self.pid

        restarts = self.restarts

        launcher: None | str | Unset
        if isinstance(self.launcher, Unset):
            launcher = UNSET
        else:
            launcher = self.launcher

        node: None | str | Unset
        if isinstance(self.node, Unset):
            node = UNSET
        else:
            node = self.node

        image_digest: None | str | Unset
        if isinstance(self.image_digest, Unset):
            image_digest = UNSET
        else:
            image_digest = self.image_digest

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "url": url,
                "health": health,
                "running_rollouts": running_rollouts,
                "last_error": last_error,
                "pid": pid,
            }
        )
        if restarts is not UNSET:
            field_dict["restarts"] = restarts
        if launcher is not UNSET:
            field_dict["launcher"] = launcher
        if node is not UNSET:
            field_dict["node"] = node
        if image_digest is not UNSET:
            field_dict["image_digest"] = image_digest

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        url = read_text(d.pop("url"), "url")

        health = check_container_state(read_text(d.pop("health"), "health"))

        running_rollouts = read_integer(d.pop("running_rollouts"), "running_rollouts")

        last_error = read_optional(d.pop("last_error", None), read_text, "last_error")

        pid = read_optional(d.pop("pid", None), read_integer, "pid")

        restarts = d.pop("restarts", UNSET)

        launcher = read_optional(d.pop("launcher", UNSET), read_text, "launcher")

        node = read_optional(d.pop("node", UNSET), read_text, "node")

        image_digest = read_optional(d.pop("image_digest", UNSET), read_text, "image_digest")

        pool_container = cls(
            url=url,
            health=health,
            running_rollouts=running_rollouts,
            last_error=last_error,
            pid=pid,
            restarts=restarts,
            launcher=launcher,
            node=node,
            image_digest=image_digest,
        )

        pool_container.additional_properties = d
        return pool_container

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
