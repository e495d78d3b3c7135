"""Types of the live page's modules, checked by `tsc --checkJs` against openapi.yaml."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from codegen.node_packages import MODULES
from tests.tools.toolbox import HERE, ROOT, SPEC, node_command, run

PAGE = ROOT / "synth_pools/ui/page"
# The page loads vendored files; the compiler finds their types in the packages.
PACKAGES = {
    "preact": 'export * from "preact";\n',
    "htm": 'import htm from "htm";\nexport default htm;\n',
    "signals": 'export * from "@preact/signals-core";\n',
    "uplot": 'import uPlot from "uplot";\nexport default uPlot;\n',
}
CONFIG = """\
{
  "compilerOptions": {
    "strict": true, "noEmit": true, "allowJs": true, "checkJs": true, "skipLibCheck": true,
    "target": "esnext", "module": "esnext", "moduleResolution": "bundler",
    "lib": ["esnext", "dom", "dom.iterable"], "types": []
  },
  "files": ["page.d.ts", "page/app.js"]
}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "node_modules").symlink_to(MODULES)
    shutil.copytree(PAGE, tmp_path / "page")
    for name, text in PACKAGES.items():
        (tmp_path / f"page/vendor/{name}.d.ts").write_text(text)
    shutil.copy(HERE / "programs/page.d.ts", tmp_path)
    (tmp_path / "tsconfig.json").write_text(CONFIG)
    command = node_command("openapi-typescript/bin/cli.js")
    run([*command, str(SPEC), "-o", "api.d.ts", "--default-non-nullable=false"], tmp_path)
    return tmp_path


def test_the_page_keeps_the_types_of_the_document(folder: Path) -> None:
    run([*node_command("typescript/bin/tsc"), "--project", "."], folder)


@pytest.mark.parametrize(
    ("module", "before", "after"),
    [
        ("rollout.js", "usage?.llm_input_tokens", "usage?.input_tokens"),
        ("store.js", "event.rollout_id", "event.rolloutId"),
        ("pools.js", "metrics.queued_rollouts", "metrics.queued"),
        ("table.js", "row.reward", "row.rewards"),
    ],
)
def test_the_compiler_sees_a_name_that_the_document_does_not_have(
    folder: Path, module: str, before: str, after: str
) -> None:
    path = folder / "page" / module
    text = path.read_text()
    assert before in text
    path.write_text(text.replace(before, after, 1))
    with pytest.raises(AssertionError, match=after.partition(".")[2]):
        run([*node_command("typescript/bin/tsc"), "--project", "."], folder)
