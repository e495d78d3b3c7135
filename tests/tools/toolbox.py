"""The tools of others: where they are, and how they are run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from codegen.node_packages import MODULES
from synth_pools.local import LocalBackend

ROOT = Path(__file__).parents[2]
SPEC = ROOT / "openapi.yaml"
HERE = Path(__file__).parent
TOOLS = Path(os.environ.get("TOOLS", ROOT / ".venv-tools"))
# Far beyond what any of them needs: ten seconds, or several times that on a busy machine.
LIMIT = 500.0


def python_tool(name: str) -> Path:
    """The path of a Python tool, or of the interpreter that has them."""
    path = TOOLS / "bin" / name
    if not path.exists():
        pytest.fail(f"{path} is not there: `make test-tools` installs the tools")
    return path


def node_command(script: str) -> list[str]:
    """The beginning of a command that runs a script of an npm package."""
    path = MODULES / script
    if not path.exists():
        pytest.fail(f"{path} is not there: `make test-tools` installs the tools")
    return [str(python_tool("node")), str(path)]


def java() -> str:
    """The machine's JRE, which openapi-generator runs on."""
    java = shutil.which("java")
    if java is None:
        pytest.skip("openapi-generator needs a JRE, and this machine has none")
    return java


def run(
    command: list[str], cwd: Path, *, status: int = 0, environment: Mapping[str, str] | None = None
) -> str:
    """Run a command to its end, and return what it printed."""
    completed = subprocess.run(
        command,
        cwd=cwd,
        env={**os.environ, "NO_COLOR": "1", **(environment or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT,
        check=False,
    )
    assert completed.returncode == status, completed.stdout
    return completed.stdout


def run_against(backend: LocalBackend, command: list[str], cwd: Path, **environment: str) -> str:
    """Run a program of a user against a backend."""
    place = {"SYNTH_BACKEND_URL": backend.url, "SYNTH_API_KEY": backend.api_key}
    return run(command, cwd, environment={**place, **environment})


TSCONFIG = """\
{
  "compilerOptions": {
    "strict": true,
    "target": "es2022",
    "module": "nodenext",
    "types": ["node"],
    "skipLibCheck": true,
    "outDir": "out"
  },
  "files": ["%s"]
}
"""


def compile_typescript(folder: Path, file: str) -> None:
    """Compile a program, with what it imports, by `tsc --strict`."""
    modules = folder / "node_modules"
    if not modules.exists():
        modules.symlink_to(MODULES)
    (folder / "package.json").write_text('{"type": "module"}\n')
    (folder / "tsconfig.json").write_text(TSCONFIG % file)
    run([*node_command("typescript/bin/tsc"), "--project", "."], folder)


def code_blocks(page: str, language: str) -> list[str]:
    """The code blocks of a page in one language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
