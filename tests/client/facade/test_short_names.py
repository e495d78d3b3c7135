"""Documentation of the short names: in the source, and the same as that of the long ones."""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Iterator
from types import FunctionType

from synth_pools import AsyncContainerPoolsClient, ContainerPoolsClient

CLIENTS = (AsyncContainerPoolsClient, ContainerPoolsClient)
NAMESPACES = ("rollouts", "agent_rollouts", "tasks", "metrics")


def short_names() -> Iterator[tuple[type, str, str]]:
    """Iterate over (client, short name, long name), by the calls in the bodies of the methods."""
    for client in CLIENTS:
        places = {"": client, **{f"{name}.": getattr(client, name) for name in NAMESPACES}}
        for place, found in places.items():
            owner = type(found.fget(client(api_key="k"))) if place else client
            for name, method in inspect.getmembers(owner, inspect.isfunction):
                long = called(method)
                if not name.startswith("_") and long is not None:
                    yield client, place + name, long


def called(method: FunctionType) -> str | None:
    """Return the public method that another one passes its call on to; None if it does not."""
    (function,) = ast.parse(textwrap.dedent(inspect.getsource(method))).body
    assert isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
    *before, last = function.body
    if len(before) != 1 or not isinstance(last, ast.Return):
        return None
    call = last.value.value if isinstance(last.value, ast.Await) else last.value
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Attribute):
        return None
    is_ours = ast.unparse(call.func.value) in ("self", "self._client")
    return call.func.attr if is_ours and not call.func.attr.startswith("_") else None


NAMES = list(short_names())


def test_all_short_names_are_found() -> None:
    assert len(NAMES) == 2 * len({name for _, name, _ in NAMES})
    assert {
        "create",
        "rollouts.create",
        "agent_rollouts.artifact",
        "tasks.patch",
        "metrics.get",
    } <= {name for _, name, _ in NAMES}


def test_short_names_carry_the_documentation_of_the_long_ones() -> None:
    """Copy the docstring of the long one into the short one: editors read the source."""
    for client, short, long in NAMES:
        found = client(api_key="k")
        for name in short.split("."):
            found = getattr(found, name)
        assert found.__doc__ == getattr(client, long).__doc__, f"{client.__name__}.{short}"
