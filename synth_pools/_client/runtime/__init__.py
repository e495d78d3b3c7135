"""Runtimes of the client: asyncio and threads under one interface.

The client is written once, as async, and its sync variant is derived. The parts that differ too
much for that are written twice, in two packages with the same interface. A package is imported with
the first client of its variant, since asyncio takes longer to import than the client.

In a forked process the client drops the connections and files of its parent, and takes new locks.
An import that another thread makes during the fork would never end there, so what calls load is
loaded before.
"""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import threading
import weakref
from importlib import import_module
from typing import Any, Protocol

# Imported by functions, since most programs do not need them.
_LATE_MODULES = ("certifi", "encodings.idna", "hmac", "ipaddress", "msgspec.json", "uuid")
_LATE_PACKAGES = ("synth_pools._client", "synth_pools_api.api")
_LATE_MODELS = ("synth_pools_api.models", "synth_pools_api.typed")


class Holder(Protocol):
    """Holder of connections, files or locks."""

    def drop_after_fork(self) -> Any:
        """Give up all connections without closing them, and return them."""


_holders: weakref.WeakSet[Holder] = weakref.WeakSet()
# Kept and never used: the parent would notice if the child closed one of its connections, or the
# selector of its event loop.
_dropped: list[Any] = []


def register_for_forks(holder: Holder) -> None:
    """Have `holder` drop its connections in every process that is forked from this one."""
    _holders.add(holder)


def _in_child() -> None:
    _dropped.extend(holder.drop_after_fork() for holder in list(_holders))


def _before_fork() -> None:
    # Without another thread there is no import to wait for.
    if threading.active_count() > 1 and _holders:
        models = [name for name in _LATE_MODELS if name in sys.modules]
        for package in (*_LATE_PACKAGES, *models):
            _load(package, with_asyncio="asyncio" in sys.modules)


@functools.cache
def _load(package: str, *, with_asyncio: bool) -> None:
    """Import all modules of a package, and what they import late."""
    from pkgutil import walk_packages  # saves 1 ms

    modules = walk_packages(import_module(package).__path__, f"{package}.")
    for name in (*_LATE_MODULES, *(module.name for module in modules)):
        if with_asyncio or "async" not in name:
            with contextlib.suppress(ImportError):
                import_module(name)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_before_fork, after_in_child=_in_child)
