"""A client library for accessing Container Pools API"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    pass
    from .client import AuthenticatedClient as AuthenticatedClient
    from .client import Client as Client

__all__ = ("AuthenticatedClient", "Client")

_MODULES = {"AuthenticatedClient": "client", "Client": "client"}

if not TYPE_CHECKING:

    def __getattr__(name: str) -> Any:
        if name not in _MODULES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = import_module(f".{_MODULES[name]}", __name__)
        found = getattr(found, name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
