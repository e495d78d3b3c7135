"""The local backend: the whole API on this machine, for development, tests and small teams."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .server import LocalBackend

__all__ = ["LocalBackend"]


def __getattr__(name: str) -> object:
    # Lazy, so that settings or errors can be imported without starlette and uvicorn.
    if name != "LocalBackend":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        from .server import LocalBackend
    except ModuleNotFoundError as error:
        if error.name in {"jsonschema_rs", "starlette", "uvicorn", "yaml"}:
            raise ModuleNotFoundError(
                f"the local backend needs {error.name}: pip install 'synth-pools[local]'",
                name=error.name,
            ) from error
        raise
    return LocalBackend
