"""Parts of openapi.yaml, written by hand, and the document joined from them.

`api/openapi.yaml` is the beginning of the document, down to its tags. `api/paths/` has a file for
each tag; each kind of component has a folder (`api/schemas/`) or a file (`api/headers.yaml`).
A part is a mapping of names to operations or components. Parts follow each other in the order of
the tags, then by name.

A part is copied line by line, and refers to others as the document does,
`#/components/schemas/Pool`: moving a component to another file changes no reference, comments stay,
and each line of the document has one origin. The linter's bundler does neither, and needs node.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from codegen import CodegenError
from synth_pools.spec.changes.parsing import UnusableDocumentError, read_document_text

SPEC = "openapi.yaml"
FOLDER = "api"
ROOT_PART = f"{FOLDER}/{SPEC}"
# The digest distinguishes an edit of the document from an edit of its parts.
_BANNER = "# Joined from api/ by `make generate`, which takes edits back there; digest {digest}\n"
_BANNER_LINE = re.compile(re.escape(_BANNER).replace(r"\{digest\}", "([0-9a-f]{16})"))
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
# Complete documents of earlier versions.
RELEASED_FOLDER = "released"
# Extensions for this project's generators, which are not published.
OVERLAY = "overlay.yaml"
_TAG = re.compile(r"^ *- name: *(\w+) *$", re.MULTILINE)


@dataclass(frozen=True)
class JoinedDocument:
    """Document joined from its parts.

    Attributes:
        path: Its file.
        body: Its text, without the banner.
        origins: Part and line, from 1, of each line of the body; line 0 for the name of a group,
            which no part has.
    """

    path: Path
    body: str
    origins: tuple[tuple[Path, int], ...]

    @property
    def text(self) -> str:
        """Complete text, with the banner."""
        return _BANNER.format(digest=digest_of(self.body)) + self.body

    def locate(self, line: int) -> str:
        """Return `part:line` of a line of the complete text."""
        part, number = self.origins[min(max(line - 1, 1), len(self.origins)) - 1]
        return f"{part}:{max(number, 1)}"


def digest_of(body: str) -> str:
    """Return the digest of a body for the banner."""
    return hashlib.sha256(body.encode()).hexdigest()[:16]


def split_banner(text: str) -> tuple[str | None, str]:
    """Split a document into the digest in its banner, None without a banner, and its body."""
    banner = _BANNER_LINE.match(text)
    return (banner[1], text[banner.end() :]) if banner else (None, text)


def indent_of(root: Path, part: Path) -> int:
    """Return the number of spaces that indent a part in the document."""
    if part == root / ROOT_PART:
        return 0
    return 2 if part.relative_to(root / FOLDER).parts[0] == PATHS else 4


def join_parts(root: Path, edited: Mapping[Path, str] | None = None) -> JoinedDocument:
    """Join the parts of openapi.yaml, with the texts of edited parts in place of their files.

    Raises:
        CodegenError: A part cannot be read, or would have no place in the document.
    """
    folder = root / FOLDER
    first = root / ROOT_PART
    edited = edited or {}
    start = _read(first, edited)
    tags = _TAG.findall("".join(start))
    lines = [*start]
    origins = _numbered(first, start)

    def add(name: str, parts: list[Path], indent: int) -> None:
        lines.append(f"{' ' * (indent - 2)}{name}:\n")
        origins.append((parts[0] if parts else first, 0))
        for part in parts:
            text = _read(part, edited)
            lines.extend(" " * indent + line if line.strip() else line for line in text)
            origins.extend(_numbered(part, text))

    parts = _parts(folder, tags)
    if PATHS in parts:
        add(PATHS, parts[PATHS], 2)
    groups = [group for group in COMPONENTS if group in parts]
    if groups:
        add("components", [], 2)
    for group in groups:
        add(group, parts[group], 4)
    return JoinedDocument(root / SPEC, "".join(lines), tuple(origins))


def _parts(folder: Path, tags: list[str]) -> dict[str, list[Path]]:
    """Find the parts of each kind, in order."""
    parts: dict[str, list[Path]] = {}
    for entry in sorted(folder.iterdir()):
        if entry.name in (RELEASED_FOLDER, OVERLAY, SPEC) or entry.name.startswith("."):
            continue
        if entry.stem not in (PATHS, *COMPONENTS) or entry.suffix not in ("", ".yaml"):
            kinds = ", ".join((PATHS, *COMPONENTS))
            raise CodegenError(f"{entry}: no kind of part; name it after one of {kinds}")
        if entry.stem in parts:
            raise CodegenError(f"{entry}: {entry.stem} has a folder, too; keep one of the two")
        parts[entry.stem] = list(_files(entry, tags)) if entry.is_dir() else [entry]
    return parts


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


def _read(part: Path, edited: Mapping[Path, str]) -> list[str]:
    if part in edited:
        return edited[part].splitlines(keepends=True)
    try:
        text = read_document_text(part, "write this part of the document there")
    except UnusableDocumentError as error:
        raise CodegenError(str(error)) from None
    return [f"{line}\n" for line in text.replace("\r\n", "\n").removesuffix("\n").split("\n")]


def _numbered(part: Path, lines: list[str]) -> list[tuple[Path, int]]:
    return [(part, number) for number in range(1, len(lines) + 1)]
