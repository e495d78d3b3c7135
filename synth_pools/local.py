"""The local backend: the whole API on this machine, for development, tests and small teams."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synth_pools.backend.limits import Limits

if TYPE_CHECKING:
    from synth_pools.backend.local_backend import LocalBackend

__all__ = ["Limits", "LocalBackend"]


def __getattr__(name: str) -> object:
    if name != "LocalBackend":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    # The extra `local` may be missing: the error then names the command that installs it.
    try:
        from synth_pools.backend.local_backend import LocalBackend
    except ModuleNotFoundError as error:
        if error.name in {"jsonschema_rs", "starlette", "uvicorn", "yaml"}:
            raise ModuleNotFoundError(
                f"the local backend needs {error.name}: pip install 'synth-pools[local]'",
                name=error.name,
            ) from error
        raise
    return LocalBackend
