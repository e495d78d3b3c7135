"""Rules of openapi.yaml that no linter has, with a line for each problem."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from codegen import CodegenError
from codegen.spec_rules import read_spec_file

REPO = Path(__file__).parents[2]
TEXT = (REPO / "openapi.yaml").read_text(encoding="utf-8")


def line_of(text: str, part: str) -> int:
    return text.count("\n", 0, text.index(part)) + 1


def test_the_document_keeps_the_rules() -> None:
    assert read_spec_file(REPO / "openapi.yaml").content["openapi"].startswith("3.1")


# Text to replace, its replacement, and the expected message.
WORSE = {
    "a type removed": (
        "        pool_url:\n          type: string\n",
        "        pool_url:\n",
        r"PoolUrls.pool_url has no type: write 'type: string'",
    ),
    "an example removed": (
        """\
              examples:
                pool_list:
                  $ref: '#/components/examples/pool_list'
""",
        "",
        r"list_pools: responses/200/content has no example: write 'examples:'",
    ),
    "the example of a parameter removed": (
        "      example: docs-example-pool\n    TaskId:",
        "    TaskId:",
        r"parameter pool_id has no example: write 'example:'",
    ),
    "a broken reference": (
        "$ref: '#/components/schemas/PoolUrls'",
        "$ref: '#/components/schemas/PoolUrl'",
        r"leads nowhere: write #/components/schemas/PoolUrls",
    ),
}


@pytest.mark.parametrize("case", WORSE)
def test_a_worse_document_is_one_line_that_says_what_to_write(tmp_path: Path, case: str) -> None:
    before, after, message = WORSE[case]
    assert before in TEXT
    worse = TEXT.replace(before, after, 1)
    path = tmp_path / "openapi.yaml"
    path.write_text(worse, encoding="utf-8")
    with pytest.raises(CodegenError) as caught:
        read_spec_file(path)
    (line,) = str(caught.value).splitlines()
    match = re.match(re.escape(f"{path}:") + r"(\d+): ", line)
    assert match is not None
    # Within the lines of the same object.
    assert abs(int(match[1]) - line_of(TEXT, before)) <= 9
    assert re.search(message, line), line


def test_the_lint_ends_with_that_line(tmp_path: Path) -> None:
    before, after, message = WORSE["a broken reference"]
    path = tmp_path / "openapi.yaml"
    path.write_text(TEXT.replace(before, after, 1), encoding="utf-8")
    completed = subprocess.run(
        [sys.executable, str(REPO / "codegen/lint_spec.py"), str(path)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert completed.returncode == 1
    (line,) = completed.stderr.splitlines()
    assert re.search(message, line)
