"""Where things are kept when nobody says where."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def default_data_dir() -> Path:
    if sys.platform == "darwin":
        return Path("~/Library/Application Support/synth-pools")
    base = os.environ.get("XDG_DATA_HOME", "")
    # The XDG specification: a relative path in it is to be ignored.
    return Path(base if Path(base).is_absolute() else "~/.local/share") / "synth-pools"
