"""Reads the document that a run judges by, and says in one line what is wrong with it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from synth_pools.contract.preflight import UnjudgeableError
from synth_pools.spec import spec_path


def read_specification(path: Path | None) -> dict[str, Any]:
    """The contract from a file, by default the one that this package comes with."""
    try:
        file = spec_path() if path is None else path
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        document = yaml.load(file.read_bytes(), Loader=loader)  # noqa: S506 - both are the safe ones
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UnjudgeableError(f"the spec cannot be read: {_line(error)}") from None
    paths = document.get("paths") if isinstance(document, dict) else None
    if not isinstance(document, dict) or not isinstance(paths, dict) or not paths:
        raise UnjudgeableError(f"the spec {file} is no OpenAPI document: it has no paths")
    return document


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
