"""The operations tagged `containers`, each imported when it is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass
    from . import execute_pool_container_rollout as execute_pool_container_rollout
    from . import execute_task_container_rollout as execute_task_container_rollout
    from . import get_pool_container_health as get_pool_container_health
    from . import get_pool_container_info as get_pool_container_info
    from . import get_pool_container_metadata as get_pool_container_metadata
    from . import get_pool_container_program as get_pool_container_program
    from . import get_pool_container_task_info as get_pool_container_task_info
    from . import get_pool_container_taskset as get_pool_container_taskset
    from . import get_task_container_health as get_task_container_health
    from . import get_task_container_info as get_task_container_info
    from . import get_task_container_metadata as get_task_container_metadata
    from . import get_task_container_program as get_task_container_program
    from . import get_task_container_task_info as get_task_container_task_info
    from . import get_task_container_taskset as get_task_container_taskset

__all__ = (
    "execute_pool_container_rollout",
    "execute_task_container_rollout",
    "get_pool_container_health",
    "get_pool_container_info",
    "get_pool_container_metadata",
    "get_pool_container_program",
    "get_pool_container_task_info",
    "get_pool_container_taskset",
    "get_task_container_health",
    "get_task_container_info",
    "get_task_container_metadata",
    "get_task_container_program",
    "get_task_container_task_info",
    "get_task_container_taskset",
)

_MODULES = {
    "execute_pool_container_rollout": "execute_pool_container_rollout",
    "execute_task_container_rollout": "execute_task_container_rollout",
    "get_pool_container_health": "get_pool_container_health",
    "get_pool_container_info": "get_pool_container_info",
    "get_pool_container_metadata": "get_pool_container_metadata",
    "get_pool_container_program": "get_pool_container_program",
    "get_pool_container_task_info": "get_pool_container_task_info",
    "get_pool_container_taskset": "get_pool_container_taskset",
    "get_task_container_health": "get_task_container_health",
    "get_task_container_info": "get_task_container_info",
    "get_task_container_metadata": "get_task_container_metadata",
    "get_task_container_program": "get_task_container_program",
    "get_task_container_task_info": "get_task_container_task_info",
    "get_task_container_taskset": "get_task_container_taskset",
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
