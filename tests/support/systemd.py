"""Units of systemd, checked by systemd itself."""

from __future__ import annotations

import subprocess
from pathlib import Path


def assert_valid_unit(unit: Path) -> None:
    """Expect systemd to have no complaint of a unit, its drop-ins included."""
    completed = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", str(unit)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    # Only this unit: others on the machine may be wrong.
    assert [line for line in completed.stderr.splitlines() if unit.name in line] == []
