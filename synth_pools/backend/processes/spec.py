"""The specification of a pool's processes, from its definition."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from synth_pools.backend.domain import json_text
from synth_pools.backend.domain.definitions import container_key_env, process_of

# Carried by the process and all that it starts, whatever group they move to: they are known by it.
MARKER = "SYNTH_POOLS_PROCESS"

KEY = "ENVIRONMENT_API_KEY"

_INHERITED = frozenset({"PATH", "HOME", "LANG", "TMPDIR", "TZ"})

# How long a start may take where the pool does not say it.
START_SECONDS = 30.0
_PLACEHOLDER = "{port}"


# The launcher that is a Ray cluster.
RAY = "ray"


@dataclass(frozen=True, slots=True)
class NodeNeeds:
    """Needs that a container has of the node of a cluster that it runs on.

    Attributes:
        num_cpus: Processors that it holds.
        num_gpus: GPUs that it holds; None for none.
        resources: Resources of the operator's own that it holds.
        labels: Labels of the node.
    """

    num_cpus: float = 1.0
    num_gpus: float | None = None
    resources: tuple[tuple[str, float], ...] = ()
    labels: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(cls, fields: Mapping[str, Any]) -> Self:
        """Read `placement` of a process or an image; what is no such field is left out."""
        given = fields.get("placement")
        asked: Mapping[str, Any] = given if isinstance(given, Mapping) else {}
        cpus, gpus = asked.get("num_cpus"), asked.get("num_gpus")
        return cls(
            float(cpus) if json_text.is_number(cpus) else 1.0,
            float(gpus) if json_text.is_number(gpus) else None,
            tuple(
                (name, float(v)) for name, v in _items(asked, "resources") if json_text.is_number(v)
            ),
            tuple((name, v) for name, v in _items(asked, "labels") if isinstance(v, str)),
        )

    @property
    def options(self) -> dict[str, Any]:
        """The options of an actor that hold this, by Ray's names."""
        return {
            "num_cpus": self.num_cpus,
            "num_gpus": self.num_gpus,
            "resources": dict(self.resources) or None,
            "label_selector": dict(self.labels) or None,
        }


DEFAULT_NEEDS = NodeNeeds()


@dataclass(frozen=True, slots=True)
class ProcessSpec:
    """The process that a pool asks for; equal specs ask for the same, so running ones may stay."""

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
        return [_filled(text, port) for text in self.argv]

    def variables(self, port: int) -> dict[str, str]:
        """Fill the port into the variables."""
        return {name: _filled(text, port) for name, text in self.env}


def variables_of(fields: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Read `env` of a process or an image; what is no text is passed on as JSON."""
    env = fields.get("env")
    given = env.items() if isinstance(env, Mapping) else ()
    return tuple((name, _text(value)) for name, value in given if value is not None)


def environment(
    spec: ProcessSpec, port: int, marker: str, own: Mapping[str, str], key: str | None
) -> dict[str, str]:
    """Build the environment of a process: little, and nothing of the backend's own.

    Args:
        spec: The pool's process.
        port: The port that it is to listen on.
        marker: Its marker.
        own: The backend's environment, of which only what every program needs is passed on.
        key: The key of the pool's containers.
    """
    inherited = {
        name: value for name, value in own.items() if name in _INHERITED or name.startswith("LC_")
    }
    secret = {} if key is None else {KEY: key}
    return {**inherited, **spec.variables(port), **secret, "PORT": str(port), MARKER: marker}


def _items(fields: Mapping[str, Any], name: str) -> Iterable[tuple[str, Any]]:
    value = fields.get(name)
    return value.items() if isinstance(value, Mapping) else ()


def _filled(text: str, port: int) -> str:
    # Not `format`: other braces are the program's own.
    return text.replace(_PLACEHOLDER, str(port))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json_text.dumps(value)
