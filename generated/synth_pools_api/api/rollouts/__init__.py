"""The operations tagged `rollouts`, each imported when it is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass
    from . import cancel_rollout as cancel_rollout
    from . import create_rollout as create_rollout
    from . import get_rollout as get_rollout
    from . import get_rollout_artifacts as get_rollout_artifacts
    from . import get_rollout_summary as get_rollout_summary
    from . import get_rollout_usage as get_rollout_usage
    from . import list_rollouts as list_rollouts
    from . import stream_rollout_events as stream_rollout_events

__all__ = (
    "cancel_rollout",
    "create_rollout",
    "get_rollout",
    "get_rollout_artifacts",
    "get_rollout_summary",
    "get_rollout_usage",
    "list_rollouts",
    "stream_rollout_events",
)

_MODULES = {
    "cancel_rollout": "cancel_rollout",
    "create_rollout": "create_rollout",
    "get_rollout": "get_rollout",
    "get_rollout_artifacts": "get_rollout_artifacts",
    "get_rollout_summary": "get_rollout_summary",
    "get_rollout_usage": "get_rollout_usage",
    "list_rollouts": "list_rollouts",
    "stream_rollout_events": "stream_rollout_events",
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
