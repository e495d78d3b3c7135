"""The operations tagged `image_releases`, each imported when it is first asked for."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass
    from . import bind_image_release as bind_image_release
    from . import bind_task_image_release as bind_task_image_release
    from . import create_image_release as create_image_release
    from . import delete_image_release as delete_image_release
    from . import get_image_release as get_image_release
    from . import list_image_releases as list_image_releases
    from . import unbind_image_release as unbind_image_release
    from . import unbind_task_image_release as unbind_task_image_release

__all__ = (
    "bind_image_release",
    "bind_task_image_release",
    "create_image_release",
    "delete_image_release",
    "get_image_release",
    "list_image_releases",
    "unbind_image_release",
    "unbind_task_image_release",
)

_MODULES = {
    "bind_image_release": "bind_image_release",
    "bind_task_image_release": "bind_task_image_release",
    "create_image_release": "create_image_release",
    "delete_image_release": "delete_image_release",
    "get_image_release": "get_image_release",
    "list_image_releases": "list_image_releases",
    "unbind_image_release": "unbind_image_release",
    "unbind_task_image_release": "unbind_task_image_release",
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
