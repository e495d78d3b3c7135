"""Finds and loads openapi.yaml, in a checkout and in an installed wheel."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

_NAME = "openapi.yaml"


def spec_path() -> Path:
    """Where the contract lies: the root of a checkout, else inside the package."""
    package = Path(__file__).resolve().parent
    # The checkout first: an editable install must serve the file that is being edited.
    for folder in (package.parent, package):
        candidate = folder / _NAME
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"{_NAME} is not beside or inside {package}: reinstall the package")


@cache
def load_spec() -> dict[str, Any]:
    """The contract, parsed once per process; treat it as read-only."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with spec_path().open("rb") as file:
        document = yaml.load(file, Loader=loader)  # noqa: S506 - both loaders are the safe ones
    if not isinstance(document, dict):
        raise TypeError(f"{spec_path()} holds no OpenAPI document")
    return document
