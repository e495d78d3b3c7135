"""Hooks of schemathesis that count statuses for the process that started it."""

from __future__ import annotations

import atexit
import json
import os
from collections import Counter
from pathlib import Path
from typing import Any

import schemathesis

_statuses: Counter[int] = Counter()
# With what the first few answers of 500 were got.
_failures: list[str] = []


@schemathesis.hook
def after_call(context: Any, case: Any, response: Any) -> None:
    _statuses[response.status_code] += 1
    if response.status_code == 500 and len(_failures) < 5:
        _failures.append(f"{case.method} {case.formatted_path}: {response.text[:500]}")


def _tell() -> None:
    values = {"statuses": dict(_statuses), "failures": _failures}
    Path(os.environ["FUZZ_COUNTS"]).write_text(json.dumps(values))


atexit.register(_tell)
