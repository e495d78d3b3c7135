"""The operations tagged `pool_events`, each imported when it is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass
    from . import get_pool_logs as get_pool_logs
    from . import stream_pool_events as stream_pool_events

__all__ = ("get_pool_logs", "stream_pool_events")

_MODULES = {"get_pool_logs": "get_pool_logs", "stream_pool_events": "stream_pool_events"}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = import_module(f".{_MODULES[name]}", __name__)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
