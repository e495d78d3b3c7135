"""Formatting by the pinned ruff, independent of the settings of the machine."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from codegen import CodegenError


def format_generated(tree: Path) -> None:
    _ruff("check", "--isolated", "--fix-only", "--select=F401,I,RUF100", cwd=tree)
    compact = "format.skip-magic-trailing-comma = true"
    _ruff("format", "--isolated", "--line-length=100", f"--config={compact}", cwd=tree)


def format_ours(tree: Path, *, settings: Path) -> None:
    """Format derived files among ours, with our settings."""
    _ruff("check", f"--config={settings}", "--fix-only", "--select=F401,I,UP034", cwd=tree)
    _ruff("format", f"--config={settings}", cwd=tree)


def _ruff(command: str, *options: str, cwd: Path) -> None:
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("RUFF_")
    }
    # -P: the generated types.py in that folder must not replace that of the standard library.
    result = subprocess.run(
        [sys.executable, "-P", "-m", "ruff", command, "--quiet", "--no-cache", *options, "."],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
    )
    if result.returncode != 0:
        message = re.sub(r"\s+", " ", result.stderr or result.stdout).strip()
        raise CodegenError(f"ruff {command}: {message}")
