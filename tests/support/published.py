"""Drives synth-ai 0.11.6 and 0.22.1, each of which lives in an environment of its own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.support.surface import Call

_ROOT = Path(__file__).resolve().parents[2]
_DRIVER = Path(__file__).with_name("published_driver.py")
# What the published SDK reads beside SYNTH_API_KEY and SYNTH_BACKEND_URL, or what would lead it
# away from the loopback interface.
_OTHER_SETTINGS = ("SYNTH_", "PROD_", "DEV_", "ENVIRONMENT", "APP_ENVIRONMENT", "RAILWAY_", "ENV")


def interpreter(*, later: bool) -> Path:
    """Its interpreter; an error that says what to do where there is none."""
    given = None if later else os.environ.get("SYNTH_AI_PYTHON")
    environment = ".venv-published-later" if later else ".venv-published"
    path = Path(given or _ROOT / environment / "bin/python")
    if not path.exists():
        raise RuntimeError(f"{path} is missing: run `make test ARGS=FILE`, which makes it")
    return path


def drive(
    settings: Mapping[str, Any] | Iterable[Mapping[str, Any]],
    calls: Iterable[Call],
    *,
    environment: Mapping[str, str] | None = None,
    later: bool = False,
) -> list[Any]:
    """Make the calls with one published client for each settings; return what they returned.

    The later one's models come as objects, and `{"raised": ...}` in the place of an error.
    """
    wanted = [
        {"name": c.name, "args": c.args, "kwargs": c.kwargs, "stream": c.is_stream} for c in calls
    ]
    each = [settings] if isinstance(settings, Mapping) else settings
    orders = [{"settings": dict(one), "calls": wanted, "later": later} for one in each]
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_OTHER_SETTINGS) and not name.lower().endswith("_proxy")
    }
    done = subprocess.run(
        [str(interpreter(later=later)), "-P", str(_DRIVER)],
        input=json.dumps(orders),
        env={**clean, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    returned: list[Any] = json.loads(done.stdout)["returned"]
    return returned
