"""Docstrings that are written once and stand twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from codegen import CodegenError, docstrings, tree

LONG = '''\
class Operations:
    async def get_thing(self, pool_id: str, thing_path: str, *, limit: int = 3) -> bytes:
        """Get a thing.

        Args:
            pool_id: Id of the pool.
            thing_path: Its path.
            limit: Most bytes.
        """
        return await self._ask(pool_id, thing_path, limit)
'''

SHORT = '''\
class Namespace:
    """Things, under short names."""

    # A comment, which stays.
    async def get(self, pool_id: str, path: str, *, limit: int = 3) -> bytes:
{docstring}        return await self._client.get_thing(pool_id, path, limit=limit)

    async def first(self, pool_id: str) -> bytes:
        """Get the first thing."""
        return await self._client.get_thing(pool_id, "1", limit=3)
'''

FILLED = '''\
        """Get a thing.

        Args:
            pool_id: Id of the pool.
            path: Its path.
            limit: Most bytes.
        """
'''


def fill(folder: Path, short: str, long: str = LONG) -> dict[str, bytes]:
    source = folder / "source"
    source.mkdir()
    (source / "a_short.py").write_text(short, encoding="utf-8")
    (source / "long.py").write_text(long, encoding="utf-8")
    docstrings.fill_tree(source, folder / "filled", label="ours")
    assert tree.files(source)["a_short.py"] == short.encode(), "the source is only read"
    return tree.files(folder / "filled")


@pytest.mark.parametrize(
    "written", ["", '        """Old."""\n', '        """Old.\n\n        Ä.\n        """\n', FILLED]
)
def test_a_short_name_gets_the_docstring_of_the_long_one(tmp_path: Path, written: str) -> None:
    filled = fill(tmp_path, SHORT.format(docstring=written))
    assert filled["a_short.py"].decode() == SHORT.format(docstring=FILLED)
    assert filled["long.py"].decode() == LONG


def test_a_long_name_without_a_docstring_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CodegenError, match=r"^ours/a_short.py: get: no docstring of get_thing$"):
        fill(tmp_path, SHORT.format(docstring=""), LONG.replace("get_thing", "get_other"))
