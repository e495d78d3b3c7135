"""Specification of a pool's image containers, read from the pool's definition."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Self, TypeAlias

from synth_pools.backend.domain import json_text
from synth_pools.backend.domain.definitions import container_key_env, image_of
from synth_pools.backend.processes.spec import (
    DEFAULT_NEEDS,
    RAY,
    START_SECONDS,
    NodeNeeds,
    ProcessSpec,
    fill_port,
    variables_of,
)

# Path of the socket's folder inside a container without a network.
SOCKET_FOLDER = "/run/synth-pools"
SOCKET_NAME = "container.sock"
SOCKET_PATH = f"{SOCKET_FOLDER}/{SOCKET_NAME}"


@dataclass(frozen=True, slots=True)
class ImageSpec:
    """Spec of a pool's containers; running containers stay if the new spec is equal."""

    image: str
    # The name of the engine, or `ray`; None for any engine.
    launcher: str | None
    command: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    # The port inside the container; None for the same number as the port outside.
    port: int | None
    # False if it listens on a unix socket instead of a port.
    has_network: bool
    # Pairs of a field of the definition and its value.
    limits: tuple[tuple[str, float], ...]
    # Pairs of a path on the machine and a path in the container.
    mounts: tuple[tuple[str, str], ...]
    start_seconds: float
    # The variable that holds the containers' key, never the key itself.
    key_env: str | None
    # Containers started ahead of demand; None for the whole capacity. Running containers stay if
    # only this number changes.
    warm: int | None = field(compare=False)
    needs: NodeNeeds = DEFAULT_NEEDS

    @classmethod
    def of(cls, definition: Mapping[str, Any]) -> Self | None:
        """Read the spec from a pool's definition; None if the pool names no image."""
        image = image_of(definition)
        if image is None:
            return None
        seconds = _number(image, "start_timeout_seconds")
        limits = ((name, _number(image, name)) for name in ("memory_mb", "cpus", "pids"))
        launcher, port, warm = image.get("launcher"), _whole(image, "port"), _whole(image, "warm")
        return cls(
            image["image"],
            launcher if isinstance(launcher, str) else None,
            tuple(text for text in image.get("command") or () if isinstance(text, str)),
            variables_of(image),
            port,
            image.get("network") != "none",
            tuple((name, value) for name, value in limits if value is not None),
            tuple(
                (mount["source"], mount["target"])
                for mount in image.get("mounts") or ()
                if isinstance(mount, Mapping)
            ),
            seconds if seconds is not None and seconds > 0 else START_SECONDS,
            container_key_env(definition),
            warm,
            NodeNeeds.of(image),
        )

    def arguments(self, port: int) -> list[str]:
        """Fill the port and the socket into the command."""
        return [self._filled(text, port) for text in self.command]

    def variables(self, port: int) -> dict[str, str]:
        """Return the container's environment variables, with `PORT` or `SOCKET`."""
        address = {"PORT": str(port)} if self.has_network else {"SOCKET": SOCKET_PATH}
        return {**{name: self._filled(text, port) for name, text in self.env}, **address}

    def _filled(self, text: str, port: int) -> str:
        if self.has_network:
            return fill_port(text, port)
        return text.replace("{socket}", SOCKET_PATH)


def is_placed_by_ray(fields: Mapping[str, Any] | None) -> bool:
    """Tell whether the fields of a process or an image name Ray as the launcher."""
    return fields is not None and fields.get("launcher") == RAY


ContainerSpec: TypeAlias = ProcessSpec | ImageSpec


def spec_of(definition: Mapping[str, Any]) -> ContainerSpec | None:
    """Read the spec of a pool's processes or containers; None if the pool starts none."""
    return ProcessSpec.of(definition) or ImageSpec.of(definition)


def _number(image: Mapping[str, Any], name: str) -> float | None:
    value = image.get(name)
    return value if json_text.is_number(value) else None


def _whole(image: Mapping[str, Any], name: str) -> int | None:
    value = _number(image, name)
    return None if value is None else int(value)
