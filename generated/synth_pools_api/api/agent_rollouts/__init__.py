"""The operations tagged `agent_rollouts`, each imported when it is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass
    from . import cancel_global_rollout as cancel_global_rollout
    from . import create_global_rollout as create_global_rollout
    from . import create_rollout_batch as create_rollout_batch
    from . import get_global_rollout as get_global_rollout
    from . import get_global_rollout_artifact as get_global_rollout_artifact
    from . import get_global_rollout_artifacts as get_global_rollout_artifacts
    from . import get_global_rollout_artifacts_zip as get_global_rollout_artifacts_zip
    from . import get_global_rollout_summary as get_global_rollout_summary
    from . import get_global_rollout_support_bundle as get_global_rollout_support_bundle
    from . import get_global_rollout_trajectory as get_global_rollout_trajectory
    from . import get_global_rollout_usage as get_global_rollout_usage
    from . import list_global_rollouts as list_global_rollouts
    from . import replay_rollout as replay_rollout
    from . import stream_global_rollout_events as stream_global_rollout_events
    from . import validate_rollout as validate_rollout

__all__ = (
    "cancel_global_rollout",
    "create_global_rollout",
    "create_rollout_batch",
    "get_global_rollout",
    "get_global_rollout_artifact",
    "get_global_rollout_artifacts",
    "get_global_rollout_artifacts_zip",
    "get_global_rollout_summary",
    "get_global_rollout_support_bundle",
    "get_global_rollout_trajectory",
    "get_global_rollout_usage",
    "list_global_rollouts",
    "replay_rollout",
    "stream_global_rollout_events",
    "validate_rollout",
)

_MODULES = {
    "cancel_global_rollout": "cancel_global_rollout",
    "create_global_rollout": "create_global_rollout",
    "create_rollout_batch": "create_rollout_batch",
    "get_global_rollout": "get_global_rollout",
    "get_global_rollout_artifact": "get_global_rollout_artifact",
    "get_global_rollout_artifacts": "get_global_rollout_artifacts",
    "get_global_rollout_artifacts_zip": "get_global_rollout_artifacts_zip",
    "get_global_rollout_summary": "get_global_rollout_summary",
    "get_global_rollout_support_bundle": "get_global_rollout_support_bundle",
    "get_global_rollout_trajectory": "get_global_rollout_trajectory",
    "get_global_rollout_usage": "get_global_rollout_usage",
    "list_global_rollouts": "list_global_rollouts",
    "replay_rollout": "replay_rollout",
    "stream_global_rollout_events": "stream_global_rollout_events",
    "validate_rollout": "validate_rollout",
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
