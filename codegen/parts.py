"""Parts of openapi.yaml, which are written by hand, and the whole that they are joined to.

`api/openapi.yaml` is how the document begins, down to its tags. Below it, `api/paths/` has a file
for each tag; each kind of component has a folder (`api/schemas/`) or a file (`api/headers.yaml`).
A part is a mapping from names to what they stand for. Parts follow each other in the order of the
tags, and then by name.

A part is copied line by line, and refers to others as the whole does, `#/components/schemas/Pool`:
what moves to another file changes no reference, comments stay, and each line of the whole has one
line that it comes from. The bundler that comes with the linter does neither, and needs node.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from codegen import CodegenError
from synth_pools.spec.changes.source import UnusableDocumentError, read_document_text

SPEC = "openapi.yaml"
FOLDER = "api"
ROOT_PART = f"{FOLDER}/{SPEC}"
BANNER = "# Joined from api/ by `make generate`; do not edit.\n"
PATHS = "paths"
COMPONENTS = (
    "securitySchemes",
    "parameters",
    "headers",
    "requestBodies",
    "responses",
    "links",
    "callbacks",
    "pathItems",
    "examples",
    "schemas",
)
# Whole documents of earlier versions.
RELEASED_FOLDER = "released"
# What is joined to the document for this project's generators alone.
OVERLAY = "overlay.yaml"
_TAG = re.compile(r"^ *- name: *(\w+) *$", re.MULTILINE)


@dataclass(frozen=True)
class JoinedDocument:
    """The whole document.

    Attributes:
        path: Where it is written.
        text: What it says.
        origins: For each of its lines the part and the line there.
    """

    path: Path
    text: str
    origins: tuple[tuple[Path, int], ...]

    def locate(self, line: int) -> str:
        """Return `part:line` of a line of the whole."""
        part, number = self.origins[min(max(line, 1), len(self.origins)) - 1]
        return f"{part}:{number}"


def join_parts(root: Path) -> JoinedDocument:
    """Join the parts of openapi.yaml.

    Args:
        root: The repository.

    Returns:
        The document.

    Raises:
        CodegenError: A part cannot be read, or would have no place in the document.
    """
    folder = root / FOLDER
    first = root / ROOT_PART
    start = _read(first)
    tags = _TAG.findall("".join(start))
    lines = [BANNER, *start]
    origins = [(first, 1), *_numbered(first, start)]

    def add(name: str, parts: list[Path], indent: int) -> None:
        lines.append(f"{' ' * (indent - 2)}{name}:\n")
        origins.append((parts[0], 1) if parts else (first, len(start)))
        for part in parts:
            text = _read(part)
            lines.extend(" " * indent + line if line.strip() else line for line in text)
            origins.extend(_numbered(part, text))

    found = _parts(folder, tags)
    if PATHS in found:
        add(PATHS, found[PATHS], 2)
    groups = [group for group in COMPONENTS if group in found]
    if groups:
        add("components", [], 2)
    for group in groups:
        add(group, found[group], 4)
    return JoinedDocument(root / SPEC, "".join(lines), tuple(origins))


def _parts(folder: Path, tags: list[str]) -> dict[str, list[Path]]:
    """Find the parts of each kind, in their order."""
    found: dict[str, list[Path]] = {}
    for entry in sorted(folder.iterdir()):
        if entry.name in (RELEASED_FOLDER, OVERLAY, SPEC) or entry.name.startswith("."):
            continue
        if entry.stem not in (PATHS, *COMPONENTS) or entry.suffix not in ("", ".yaml"):
            kinds = ", ".join((PATHS, *COMPONENTS))
            raise CodegenError(f"{entry}: no kind of part; name it after one of {kinds}")
        if entry.stem in found:
            raise CodegenError(f"{entry}: {entry.stem} has a folder, too; keep one of the two")
        found[entry.stem] = list(_files(entry, tags)) if entry.is_dir() else [entry]
    return found


def _files(folder: Path, tags: list[str]) -> Iterator[Path]:
    def place(part: Path) -> tuple[int, str]:
        return (tags.index(part.stem) if part.stem in tags else len(tags), part.stem)

    parts = [part for part in folder.iterdir() if not part.name.startswith(".")]
    for part in sorted(parts, key=place):
        if part.suffix != ".yaml" or not part.is_file():
            raise CodegenError(f"{part}: no part; name a part as {folder.name}/pools.yaml")
        if folder.name == PATHS and part.stem not in tags:
            raise CodegenError(f"{part}: no tag has this name; write '- name: {part.stem}' in tags")
        yield part


def _read(part: Path) -> list[str]:
    try:
        text = read_document_text(part, "write this part of the document there")
    except UnusableDocumentError as error:
        raise CodegenError(str(error)) from None
    return [f"{line}\n" for line in text.replace("\r\n", "\n").removesuffix("\n").split("\n")]


def _numbered(part: Path, lines: list[str]) -> list[tuple[Path, int]]:
    return [(part, number) for number in range(1, len(lines) + 1)]
