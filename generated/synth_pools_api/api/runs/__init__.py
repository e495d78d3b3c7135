"""The operations tagged `runs`, each imported when it is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass
    from . import delete_run as delete_run
    from . import get_run as get_run
    from . import list_runs as list_runs

__all__ = ("delete_run", "get_run", "list_runs")

_MODULES = {"delete_run": "delete_run", "get_run": "get_run", "list_runs": "list_runs"}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = import_module(f".{_MODULES[name]}", __name__)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
