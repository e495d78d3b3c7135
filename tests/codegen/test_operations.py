"""Generated facts about operations, compared with the document."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from codegen import CodegenError
from codegen.operations import RETRIES, write_operations
from codegen.references import operations
from synth_pools_api.operations import OPERATIONS
from tests.support.document import SPEC


def test_every_operation_is_there_as_the_document_has_it() -> None:
    described = {
        operation["operationId"]: (m, p, operation) for m, p, operation in operations(SPEC)
    }
    assert set(OPERATIONS) == set(described)
    for name, (method, path, operation) in described.items():
        row = OPERATIONS[name]
        assert row[:4] == (name, method, path, operation["tags"][0])
        assert row.retry == operation.get("x-retry", "always")


def test_every_verb_that_may_not_be_repeated_by_its_meaning_says_what_it_may() -> None:
    for method, path, operation in operations(SPEC):
        if method in ("POST", "PATCH"):
            assert operation.get("x-retry") in RETRIES, f"{method} {path}"
        else:
            assert "x-retry" not in operation, f"{method} {path}"


def test_ids_that_a_body_chooses() -> None:
    chosen = {name: row.id_keys for name, row in OPERATIONS.items() if row.id_keys}
    assert chosen == {"create_pool": ("id", "pool_id"), "create_task": ("id", "task_id")}


def written(folder: Path, operation: dict[str, Any], method: str = "post") -> str:
    document = {"paths": {"/things": {method: {"operationId": "do", "tags": ["x"], **operation}}}}
    write_operations(document, operations(document), folder)
    return (folder / "operations.py").read_text(encoding="utf-8")


def test_a_post_that_says_nothing_is_never_repeated(tmp_path: Path) -> None:
    assert "Operation('do', 'POST', '/things', 'x', 'never')" in written(tmp_path, {})
    assert "Operation('do', 'PUT', '/things', 'x', 'always')" in written(tmp_path, {}, "put")


@pytest.mark.parametrize(
    ("retry", "message"),
    [("sometimes", "x-retry must be one of always"), ("with-id", "no id in the")],
)
def test_what_cannot_be_meant_is_refused(tmp_path: Path, retry: str, message: str) -> None:
    with pytest.raises(CodegenError, match=message) as caught:
        written(tmp_path, {"x-retry": retry})
    assert str(caught.value).startswith("do: ")
