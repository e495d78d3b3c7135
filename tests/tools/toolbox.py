"""Third-party tools: their paths, and functions that run them."""

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
# Each tool needs ten seconds, or several times that on a busy machine.
LIMIT = 500.0


def python_tool(name: str) -> Path:
    """Return the path of a Python tool, or of its interpreter."""
    path = TOOLS / "bin" / name
    if not path.exists():
        pytest.fail(f"{path} is not there: `make test-tools` installs the tools")
    return path


def node_command(script: str) -> list[str]:
    """Return the beginning of a command that runs a script of an npm package."""
    path = MODULES / script
    if not path.exists():
        pytest.fail(f"{path} is not there: `make test-tools` installs the tools")
    return [str(python_tool("node")), str(path)]


def java() -> str:
    """Return the JRE of the machine, which openapi-generator needs."""
    java = shutil.which("java")
    if java is None:
        pytest.skip("openapi-generator needs a JRE, and this machine has none")
    return java


def run(
    command: list[str],
    cwd: Path,
    *,
    status: int | None = 0,
    environment: Mapping[str, str] | None = None,
) -> str:
    """Run a command, and return its output; None for any status."""
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
    assert status in (None, completed.returncode), completed.stdout
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
    """Compile a program and its imports with `tsc --strict`."""
    modules = folder / "node_modules"
    if not modules.exists():
        modules.symlink_to(MODULES)
    (folder / "package.json").write_text('{"type": "module"}\n')
    (folder / "tsconfig.json").write_text(TSCONFIG % file)
    run([*node_command("typescript/bin/tsc"), "--project", "."], folder)


def code_blocks(page: str, language: str) -> list[str]:
    """Return the code blocks of a page in a language."""
    text = (ROOT / page).read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```$", text, re.DOTALL | re.MULTILINE)
