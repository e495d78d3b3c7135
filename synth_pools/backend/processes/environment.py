"""The environment of a process that a pool starts: little, and nothing of the backend's own."""

from __future__ import annotations

from collections.abc import Mapping

from .spec import ProcessSpec

# Carried by the process and all that it starts, whatever group they move to: they are known by it.
MARKER = "SYNTH_POOLS_PROCESS"

KEY = "ENVIRONMENT_API_KEY"

_KEPT = frozenset({"PATH", "HOME", "LANG", "TMPDIR", "TZ"})


def environment(
    plan: ProcessSpec, port: int, marker: str, own: Mapping[str, str], key: str | None
) -> dict[str, str]:
    """`own` is the backend's environment, of which only what every program needs is passed on."""
    kept = {name: value for name, value in own.items() if name in _KEPT or name.startswith("LC_")}
    secret = {} if key is None else {KEY: key}
    return {**kept, **plan.variables(port), **secret, "PORT": str(port), MARKER: marker}
