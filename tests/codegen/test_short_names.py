"""Short names of operations, derived from the facade and a table."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from codegen import CodegenError, short_names
from codegen.short_names import Namespace

FACADE = '''\
"""Things."""

from typing import TYPE_CHECKING, Any

from synth_pools._client._async.facade.base import AsyncOperations

if TYPE_CHECKING:
    from ours.requests import Filter


class AsyncThings(AsyncOperations):
    """Things."""

    async def get_thing(
        self, pool_id: str, thing_path: str, *, only: Filter | None = None
    ) -> dict[str, Any]:
        """Get a thing.

        Args:
            pool_id: Id of the pool.
            thing_path: Its path.
            only: Parts of it.
        """
        return await self._request(pool_id, thing_path, only)

    def iter_things(self, pool_id: str) -> list[str]:
        """Iterate over things."""
        return self._items(pool_id)

    def undocumented(self) -> None:
        return None
'''

DERIVED = '''\
# Derived by `make generate`. Change the file that it comes from:
# codegen/short_names.py

"""``client.things``: things."""

from __future__ import annotations

from synth_pools._client._async.facade.base import AsyncNamespace
from synth_pools._client._async.facade.things import AsyncThings
from typing import Any
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ours.requests import Filter

class AsyncThingsNamespace(AsyncNamespace):
    """``client.things``: things."""

    def __init__(self, client: AsyncThings) -> None:
        self._client = client

    async def get(self, pool_id: str, path: str, *, only: Filter | None=None) -> dict[str, Any]:
        """Get a thing.

        Args:
            pool_id: Id of the pool.
            path: Its path.
            only: Parts of it.
        """
        return await self._client.get_thing(pool_id, path, only=only)

    def iter(self, pool_id: str) -> list[str]:
        """Iterate over things."""
        return self._client.iter_things(pool_id)
'''


def derive(folder: Path, names: dict[str, str], **settings: str) -> str:
    facade = folder / "async" / "facade"
    facade.mkdir(parents=True)
    (facade / "things.py").write_text(FACADE, encoding="utf-8")
    namespace = Namespace(
        module="things",
        name="AsyncThingsNamespace",
        summary="``client.things``: things.",
        bases=("facade.base:AsyncNamespace",),
        names=names,
        parameters={"thing_path": "path"},
        client=settings.get("client", "facade.things:AsyncThings"),
    )
    short_names.derive(folder / "async", folder / "names", [namespace])
    return (folder / "names" / "things.py").read_text(encoding="utf-8")


def test_a_method_has_the_signature_and_the_documentation_of_its_operation(tmp_path: Path) -> None:
    assert derive(tmp_path, {"get": "get_thing", "iter": "iter_things"}) == DERIVED


def test_methods_of_the_client_itself_call_themselves(tmp_path: Path) -> None:
    derived = derive(tmp_path, {"iter": "iter_things"}, client="self")
    assert "return self.iter_things(pool_id)" in derived
    assert "__init__" not in derived


@pytest.mark.parametrize(
    ("operation", "problem"),
    [
        ("get_other", r"^short_names: things: the facade has no get_other$"),
        ("undocumented", r"^short_names: undocumented has no docstring$"),
    ],
)
def test_an_operation_that_cannot_be_named_is_an_error(
    tmp_path: Path, operation: str, problem: str
) -> None:
    with pytest.raises(CodegenError, match=problem):
        derive(tmp_path, {"get": operation})


def test_nothing_by_hand_only_passes_its_arguments_on() -> None:
    """Such a method belongs into the table."""
    folder = Path(short_names.__file__).parents[1] / "synth_pools/_client/_async"
    operations = {name for namespace in short_names.TABLE for name in namespace.names.values()}
    delegating = []
    for path in sorted([*folder.glob("facade/*.py"), *folder.glob("namespaces/*.py")]):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                body = [part for part in node.body if not isinstance(part, ast.Expr)]
                calls = ast.unparse(body[0]) if len(body) == 1 else ""
                if any(f"return await self.{name}(" in calls for name in operations):
                    delegating.append(f"{path.name}: {node.name}")
                if any(f"self._client.{name}(" in calls for name in operations):
                    delegating.append(f"{path.name}: {node.name}")
    assert delegating == []
