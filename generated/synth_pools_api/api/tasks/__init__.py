"""The operations tagged `tasks`, each imported when it is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass
    from . import create_task as create_task
    from . import delete_task as delete_task
    from . import list_tasks as list_tasks
    from . import patch_task as patch_task
    from . import update_task as update_task

__all__ = ("create_task", "delete_task", "list_tasks", "patch_task", "update_task")

_MODULES = {
    "create_task": "create_task",
    "delete_task": "delete_task",
    "list_tasks": "list_tasks",
    "patch_task": "patch_task",
    "update_task": "update_task",
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
