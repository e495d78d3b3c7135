"""The operations, a package for each tag."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass
    from . import agent_rollouts as agent_rollouts
    from . import containers as containers
    from . import deployments as deployments
    from . import image_releases as image_releases
    from . import metrics as metrics
    from . import pool_events as pool_events
    from . import pools as pools
    from . import rollouts as rollouts
    from . import runs as runs
    from . import service as service
    from . import tasks as tasks

__all__ = (
    "agent_rollouts",
    "containers",
    "deployments",
    "image_releases",
    "metrics",
    "pool_events",
    "pools",
    "rollouts",
    "runs",
    "service",
    "tasks",
)

_MODULES = {
    "agent_rollouts": "agent_rollouts",
    "containers": "containers",
    "deployments": "deployments",
    "image_releases": "image_releases",
    "metrics": "metrics",
    "pool_events": "pool_events",
    "pools": "pools",
    "rollouts": "rollouts",
    "runs": "runs",
    "service": "service",
    "tasks": "tasks",
}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = import_module(f".{_MODULES[name]}", __name__)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
