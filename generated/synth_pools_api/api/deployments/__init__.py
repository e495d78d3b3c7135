"""The operations tagged `deployments`, each imported when it is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass
    from . import find_deployment_operation as find_deployment_operation
    from . import get_deployment as get_deployment
    from . import get_deployment_operation as get_deployment_operation
    from . import mutate_deployment as mutate_deployment

__all__ = (
    "find_deployment_operation",
    "get_deployment",
    "get_deployment_operation",
    "mutate_deployment",
)

_MODULES = {
    "find_deployment_operation": "find_deployment_operation",
    "get_deployment": "get_deployment",
    "get_deployment_operation": "get_deployment_operation",
    "mutate_deployment": "mutate_deployment",
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
