"""Location and content of the two documents, in a checkout and in an installed wheel."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import yaml

_API = "openapi.yaml"
_CONTAINER = "container.openapi.yaml"


def spec_path(name: str = _API) -> Path:
    """Find openapi.yaml, or another document, at the root of a checkout, else inside the package.

    Args:
        name: The name of the document.

    Returns:
        Its path.

    Raises:
        FileNotFoundError: Neither place has it.
    """
    package = Path(__file__).resolve().parents[1]
    # The checkout first: an editable install must use the edited file.
    for folder in (package.parent, package):
        candidate = folder / name
        if candidate.is_file():
            return candidate
    raise FileNotFoundError(f"{name} is not beside or inside {package}: reinstall the package")


def read_spec(path: Path) -> dict[str, Any]:
    """Parse an OpenAPI document.

    Args:
        path: A YAML or JSON file.

    Returns:
        The document.

    Raises:
        OSError: The file cannot be read.
        UnicodeDecodeError: It is not UTF-8.
        yaml.YAMLError: It is not YAML.
        TypeError: Its content is no object.
    """
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    document = yaml.load(path.read_bytes(), Loader=loader)  # noqa: S506 - both are the safe ones
    if not isinstance(document, dict):
        raise TypeError(f"{path} holds no OpenAPI document")
    return document


@cache
def load_spec() -> dict[str, Any]:
    """Parse openapi.yaml, once per process; treat the result as read-only.

    Returns:
        The document.
    """
    return read_spec(spec_path())


@cache
def load_container_spec() -> dict[str, Any]:
    """Parse container.openapi.yaml, once per process; treat the result as read-only.

    Returns:
        The document.
    """
    return read_spec(spec_path(_CONTAINER))
