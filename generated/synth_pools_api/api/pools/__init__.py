"""The operations tagged `pools`, each imported when it is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass
    from . import create_pool as create_pool
    from . import delete_pool as delete_pool
    from . import get_pool as get_pool
    from . import get_pool_urls as get_pool_urls
    from . import list_pools as list_pools
    from . import pause_pool as pause_pool
    from . import replace_pool as replace_pool
    from . import resume_pool as resume_pool
    from . import update_pool as update_pool

__all__ = (
    "create_pool",
    "delete_pool",
    "get_pool",
    "get_pool_urls",
    "list_pools",
    "pause_pool",
    "replace_pool",
    "resume_pool",
    "update_pool",
)

_MODULES = {
    "create_pool": "create_pool",
    "delete_pool": "delete_pool",
    "get_pool": "get_pool",
    "get_pool_urls": "get_pool_urls",
    "list_pools": "list_pools",
    "pause_pool": "pause_pool",
    "replace_pool": "replace_pool",
    "resume_pool": "resume_pool",
    "update_pool": "update_pool",
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
