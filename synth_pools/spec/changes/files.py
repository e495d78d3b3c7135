"""Files that a document refers to, brought into it; nothing is read from the network."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from synth_pools.spec.changes.parsing import (
    Pointer,
    UnusableDocumentError,
    described_objects,
    parse_text,
    read_document_text,
)

# The key of a document that holds the files by their paths.
FILES = "x-files"
# Pointers, objects and kinds, as `described_objects` finds them.
Objects = list[tuple[Pointer, dict[str, Any], str]]

_MOST_FILES = 2_000
_MOST_BYTES = 100_000_000
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:|//")


def join_files(
    path: Path, content: dict[str, Any], objects: Objects, locate: Callable[[Pointer], str]
) -> None:
    """Add the files that a document refers to, and let its references lead there.

    Args:
        path: The file of the document.
        content: The document, which is changed.
        objects: Its objects that are no data.
        locate: Returns the line of a part of the document as `file:line`.

    Raises:
        UnusableDocumentError: A file cannot be read, or they are too many or too large.
    """
    root = path.resolve()
    files: dict[str, Any] = {}
    keys: dict[Path, str] = {}
    size = 0
    waiting: list[tuple[Path, Objects]] = [(root, objects)]
    while waiting:
        at, parts = waiting.pop()
        for pointer, node, kind in parts:
            reference = node.get("$ref") if kind == "object" else None
            if not isinstance(reference, str) or (at == root and reference[:1] == "#"):
                continue
            where, _, fragment = reference.partition("#")
            place = str(at) if at != root else locate((*pointer, "$ref"))
            place = f"{place}: $ref to {reference}"
            target = _target(at, where, place) if where else at
            if target == root:
                node["$ref"] = f"#{fragment}"
                continue
            if target not in keys:
                size += _size(target, place)
                if len(keys) >= _MOST_FILES or size > _MOST_BYTES:
                    raise UnusableDocumentError(
                        f"{path}: refers to more than {_MOST_FILES} files, or to more than "
                        f"{_MOST_BYTES} bytes in them; write fewer"
                    )
                keys[target] = os.path.relpath(target, root.parent).replace(os.sep, "/")
                loaded = _load(target)
                files[keys[target]] = loaded
                waiting.append((target, list(described_objects(loaded))))
            step = keys[target].replace("~", "~0").replace("/", "~1").replace("%", "%25")
            node["$ref"] = f"#/{FILES}/{step}{fragment}"
    if files:
        content[FILES] = files


def _target(at: Path, where: str, place: str) -> Path:
    if _ADDRESS.match(where):
        raise UnusableDocumentError(
            f"{place}: nothing is fetched from an address; save it in a file, and refer to that"
        )
    return (at.parent / unquote(where)).resolve()


def _size(target: Path, place: str) -> int:
    # A device or a pipe may have no end.
    if not target.is_file():
        raise UnusableDocumentError(f"{place} leads nowhere: write the path of a YAML or JSON file")
    return target.stat().st_size


def _load(target: Path) -> Any:
    text = read_document_text(target, "write the path of a file in YAML or JSON")
    content, _ = parse_text(text, target, lambda line: f"{target}:{line}")
    return content
