"""The specification of a pool's processes, from its definition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from synth_pools.backend.domain import json_text
from synth_pools.backend.domain.definitions import container_key_env, process_of
from synth_pools.backend.resources.workers import common_variables

# Variable that marks a process and its children, in any process group.
MARKER = "SYNTH_POOLS_PROCESS"

KEY = "ENVIRONMENT_API_KEY"

# Default time limit of a start.
START_SECONDS = 30.0

# The name of the launcher for Ray clusters.
RAY = "ray"


@dataclass(frozen=True, slots=True)
class NodeNeeds:
    """Requirements of a container for its node in a cluster."""

    num_cpus: float = 1.0
    num_gpus: float | None = None
    # Resources that the operator has defined.
    resources: tuple[tuple[str, float], ...] = ()
    # Labels that the node must have.
    labels: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """Read `placement` of a process or an image; leave invalid fields out."""
        value = fields.get("placement")
        placement: Mapping[str, Any] = value if isinstance(value, Mapping) else {}
        cpus, gpus = placement.get("num_cpus"), placement.get("num_gpus")
        return cls(
            float(cpus) if json_text.is_number(cpus) else 1.0,
            float(gpus) if json_text.is_number(gpus) else None,
            tuple(
                (name, float(v))
                for name, v in _items(placement, "resources")
                if json_text.is_number(v)
            ),
            tuple((name, v) for name, v in _items(placement, "labels") if isinstance(v, str)),
        )

    @property
    def options(self) -> dict[str, Any]:
        """The options of a Ray actor for these needs."""
        return {
            "num_cpus": self.num_cpus,
            "num_gpus": self.num_gpus,
            "resources": dict(self.resources) or None,
            "label_selector": dict(self.labels) or None,
        }


DEFAULT_NEEDS = NodeNeeds()


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """Spec of a pool's processes; running processes stay if the new spec is equal."""

    argv: tuple[str, ...]
    env: tuple[tuple[str, str], ...]
    cwd: str | None
    start_seconds: float
    # The variable that holds the containers' key, never the key itself.
    key_env: str | None
    launcher: str = "local"
    needs: NodeNeeds = DEFAULT_NEEDS

    @classmethod
    def of(cls, definition: Mapping[str, Any]) -> Self | None:
        """Read the spec from a pool's definition; None if the pool starts nothing."""
        process = process_of(definition)
        if process is None:
            return None
        cwd, seconds = process.get("cwd"), process.get("start_timeout_seconds")
        return cls(
            tuple(process["argv"]),
            variables_of(process),
            cwd if isinstance(cwd, str) else None,
            float(seconds) if json_text.is_number(seconds) and seconds > 0 else START_SECONDS,
            container_key_env(definition),
            process.get("launcher") or "local",
            NodeNeeds.of(process),
        )

    def arguments(self, port: int) -> list[str]:
        """Fill the port into the program and its arguments."""
        return [fill_port(text, port) for text in self.argv]

    def variables(self, port: int) -> dict[str, str]:
        """Fill the port into the variables."""
        return {name: fill_port(text, port) for name, text in self.env}


def variables_of(fields: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Read `env` of a process or an image; values other than strings become JSON."""
    env = fields.get("env")
    items = env.items() if isinstance(env, Mapping) else ()
    return tuple((name, _text(value)) for name, value in items if value is not None)


def fill_port(text: str, port: int) -> str:
    """Replace `{port}`; other braces belong to the program."""
    return text.replace("{port}", str(port))


def environment(
    spec: ProcessSpec,
    port: int,
    marker: str,
    inherited: Mapping[str, str],
    key: str | None,
    passed: Iterable[str] = (),
) -> dict[str, str]:
    """Build the environment of a process, with only a few variables of the backend.

    Args:
        spec: The pool's process.
        port: The port to listen on.
        marker: The marker of the process.
        inherited: The backend's environment; variables that every program needs are passed on.
        key: The key of the pool's containers.
        passed: The names of further variables of the backend.
    """
    secret = {} if key is None else {KEY: key}
    return {
        **common_variables(inherited, *passed),
        **spec.variables(port),
        **secret,
        "PORT": str(port),
        MARKER: marker,
    }


def _items(fields: Mapping[str, Any], name: str) -> Iterable[tuple[str, Any]]:
    value = fields.get(name)
    return value.items() if isinstance(value, Mapping) else ()


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json_text.dumps(value)
