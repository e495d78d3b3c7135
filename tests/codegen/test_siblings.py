"""Operations that repeat others, derived from the facade by rules."""

from __future__ import annotations

import ast
from pathlib import Path

from codegen import siblings
from codegen.siblings import Sibling

SOURCE = '''\
"""Things."""

from __future__ import annotations

from typing import TYPE_CHECKING

from synth_pools._client.arguments import path_segment

if TYPE_CHECKING:
    from ours.requests import Filter


class AsyncThings:
    """Things of a pool."""

    async def get_thing(self, pool_id: str) -> Filter:
        """Get a thing of a pool."""
        return await self._request(path_segment(pool_id, "pool_id"))

    def own(self) -> None:
        """Do what only this class does."""
'''

DERIVED = '''\
# Derived by `make generate`. Change the file that it comes from:
# codegen/siblings.py

"""Operations that repeat others."""

from __future__ import annotations

from synth_pools._client._async.facade.base import AsyncOperations
from typing import TYPE_CHECKING
from synth_pools._client.arguments import path_segment

if TYPE_CHECKING:
    from ours.requests import Filter


class AsyncOthers(AsyncOperations):
    """Things of a task."""

    async def get_other(self, task_id: str) -> Filter:
        """Get a thing of a task."""
        return await self._request(path_segment(task_id, "task_id"))
'''


def test_methods_and_their_documentation_are_rewritten(tmp_path: Path) -> None:
    (tmp_path / "facade").mkdir()
    (tmp_path / "facade/things.py").write_text(SOURCE, encoding="utf-8")
    rules = ((r"\bpool\b", "task"), (r"\bpool_id\b", "task_id"), ("get_thing", "get_other"))
    table = [Sibling("AsyncOthers", "Things of a task.", "things", rules, left_out=("own",))]
    siblings.derive(tmp_path, table)
    assert (tmp_path / siblings.TARGET).read_text(encoding="utf-8") == DERIVED


def test_every_rule_and_every_exception_is_needed() -> None:
    facade = Path(siblings.__file__).parents[1] / "synth_pools/_client/_async/facade"
    for sibling in siblings.TABLE:
        text = (facade / f"{sibling.module}.py").read_text(encoding="utf-8")
        module = ast.parse(text)
        expected = siblings._render(sibling, text, module)
        for field in ("rules", "left_out"):
            values = getattr(sibling, field)
            for number, value in enumerate(values):
                fewer = {**vars(sibling), field: (*values[:number], *values[number + 1 :])}
                assert siblings._render(Sibling(**fewer), text, module) != expected, value
