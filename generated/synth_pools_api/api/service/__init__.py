"""The operations tagged `service`, each imported when it is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass
    from . import get_capabilities as get_capabilities
    from . import get_queue_status as get_queue_status
    from . import run_query as run_query

__all__ = ("get_capabilities", "get_queue_status", "run_query")

_MODULES = {
    "get_capabilities": "get_capabilities",
    "get_queue_status": "get_queue_status",
    "run_query": "run_query",
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
