"""Drive published releases of synth-ai, in an environment of their own."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.support.surface import Call

# Releases with the client that ours takes the place of, the last one first.
ANCESTORS = ("0.17.4", "0.16.1", "0.11.6")
# The last release that knew container pools.
LAST = "0.22.1"
_ENVIRONMENT = Path(__file__).resolve().parents[2] / ".venv-published"
_DRIVER = Path(__file__).with_name("published_driver.py")
# Beginnings of variables that the published SDK reads as well, or that would lead it away from the
# loopback interface.
_OTHER_SETTINGS = ("SYNTH_", "PROD_", "DEV_", "ENVIRONMENT", "APP_ENVIRONMENT", "RAILWAY_", "ENV")


def drive(
    settings: Mapping[str, Any] | Iterable[Mapping[str, Any]],
    calls: Iterable[Call],
    *,
    environment: Mapping[str, str] | None = None,
    release: str = ANCESTORS[0],
) -> list[Any]:
    """Make the calls with a published client for each of the settings.

    Args:
        settings: The keyword arguments of a client, or of several.
        calls: The calls that each client makes.
        environment: Environment variables to add.
        release: The release of synth-ai; one of requirements/published-releases.txt.

    Returns:
        The values that the calls returned, models as dictionaries, and the errors that they raised,
        as `published_driver.describe` describes them.
    """
    interpreter, packages = _ENVIRONMENT / "bin/python", _ENVIRONMENT / release
    if not packages.exists():
        raise RuntimeError(f"{packages} is missing: run `make test ARGS=FILE`, which makes it")
    call_list = [
        {"name": c.name, "args": c.args, "kwargs": c.kwargs, "stream": c.is_stream} for c in calls
    ]
    item = [settings] if isinstance(settings, Mapping) else settings
    orders = [{"settings": dict(keywords), "calls": call_list} for keywords in item]
    clean = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(_OTHER_SETTINGS) and not name.lower().endswith("_proxy")
    }
    done = subprocess.run(
        [str(interpreter), "-P", str(_DRIVER)],
        input=json.dumps(orders),
        env={**clean, "PYTHONPATH": str(packages), **(environment or {})},
        capture_output=True,
        text=True,
        timeout=170,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    returned: list[Any] = json.loads(done.stdout)["returned"]
    return returned
