"""The programs of docs/guide/testing.md, run by pytest with the plugins that they use."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from tests.support.pages import BLOCKS


def test_its_tests_pass(tmp_path: Path) -> None:
    blocks = [block for block in BLOCKS if block.page == "docs/guide/testing.md"]
    for number, block in enumerate(blocks):
        name = "conftest.py" if "pytest_plugins" in block.text else f"test_{number}.py"
        (tmp_path / name).write_text(block.text, encoding="utf-8")
    environment = {key: value for key, value in os.environ.items() if "SYNTH_" not in key}
    # Both plugins are loaded, as they are wherever they are installed.
    options = ("-o", "asyncio_mode=auto", "-p", "no:cacheprovider", "--rootdir", tmp_path)
    completed = subprocess.run(
        [sys.executable, "-m", "pytest", *options, tmp_path],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert completed.returncode == 0, completed.stdout
    assert f"{len(blocks) - 1} passed" in completed.stdout
