"""Edits of the joined openapi.yaml, moved to the parts of its lines.

The digest in the first line shows whether the rest was edited after it was written. If it was, and
the parts were not, each changed line has a single place in them. Otherwise the generation stops
before it writes anything.
"""

from __future__ import annotations

from collections.abc import Iterator
from difflib import SequenceMatcher
from pathlib import Path
from typing import NamedTuple

from codegen import CodegenError
from codegen.parts import (
    FOLDER,
    SPEC,
    JoinedDocument,
    digest_of,
    indent_of,
    join_parts,
    split_banner,
)


class _Edit(NamedTuple):
    """Change of adjacent lines.

    Attributes:
        start: First removed line of the joined parts, from 0.
        end: Line after the last removed one.
        line: First line of the edit in the edited file, from 1.
        added: Lines in place of the removed ones.
    """

    start: int
    end: int
    line: int
    added: list[str]


def take_back(root: Path) -> tuple[JoinedDocument, dict[Path, str]]:
    """Join the parts with the edits of the joined file; return the texts of the edited parts too.

    Raises:
        CodegenError: A part cannot be read, or an edit has no place in the parts.
    """
    joined = join_parts(root)
    path = root / SPEC
    if not path.is_file():
        return joined, {}
    text = path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")
    digest, body = split_banner(text)
    if body == joined.body or digest == digest_of(body):
        return joined, {}
    edits = _compare(joined.body.splitlines(keepends=True), body.splitlines(keepends=True))
    if digest != digest_of(joined.body):
        raise CodegenError("\n".join(_describe_both(joined, edits)))
    parts = _edit_parts(root, joined, edits)
    rejoined = join_parts(root, parts)
    if rejoined.body != body:
        raise _misplaced(path, edits[0], "the parts cannot say exactly this")
    return rejoined, parts


def _compare(old: list[str], new: list[str]) -> list[_Edit]:
    """List the edits between two different texts, by line."""
    shared = min(len(old), len(new))
    first = next((i for i in range(shared) if old[i] != new[i]), shared)
    most = shared - first
    last = next((i for i in range(most) if old[-1 - i] != new[-1 - i]), most)
    matcher = SequenceMatcher(
        None, old[first : len(old) - last], new[first : len(new) - last], autojunk=False
    )
    return [
        # The banner is the first line of the file.
        _Edit(first + i1, first + i2, first + j1 + 2, new[first + j1 : first + j2])
        for tag, i1, i2, j1, j2 in matcher.get_opcodes()
        if tag != "equal"
    ]


def _describe_both(joined: JoinedDocument, edits: list[_Edit]) -> Iterator[str]:
    """Describe the differences between the joined file and the parts, if both were edited."""
    for edit in edits:
        # The banner is the first line of the file.
        yield f"{joined.path}:{edit.line}: differs from {joined.locate(edit.start + 2)}"
    yield (
        f"nothing is written; {SPEC} and {FOLDER}/ were both edited since they were joined: "
        "write all edits into the parts, and generate with --overwrite"
    )


def _edit_parts(root: Path, joined: JoinedDocument, edits: list[_Edit]) -> dict[Path, str]:
    """Return the texts of the parts that the edits change."""
    lines: dict[Path, list[str]] = {}
    # From the end, so that the numbers of earlier lines stay valid.
    for edit in reversed(edits):
        part, start, end = _place(joined, edit)
        if part not in lines:
            copied = zip(joined.origins, joined.body.splitlines(keepends=True), strict=True)
            width = indent_of(root, part)
            lines[part] = [
                line[width:] if line.strip() else line
                for (origin, number), line in copied
                if origin == part and number
            ]
        indent = " " * indent_of(root, part)
        for offset, line in enumerate(edit.added):
            if line.strip() and not line.startswith(indent):
                moved = edit._replace(line=edit.line + offset)
                raise _misplaced(joined.path, moved, f"{part} is indented by {len(indent)} spaces")
        added = [line[len(indent) :] if line.strip() else line for line in edit.added]
        lines[part][start:end] = added
    return {part: "".join(text) for part, text in lines.items()}


def _place(joined: JoinedDocument, edit: _Edit) -> tuple[Path, int, int]:
    """Return the part of an edit, and the range of its lines there, from 0."""
    replaced = joined.origins[edit.start : edit.end]
    if not replaced:
        # An insertion between two parts belongs to the first one.
        part, number = joined.origins[edit.start - 1] if edit.start else (joined.path, 0)
        if number:
            return part, number, number
        if edit.start < len(joined.origins) and joined.origins[edit.start][1]:
            part, number = joined.origins[edit.start]
            return part, number - 1, number - 1
    elif len({part for part, _ in replaced}) == 1 and all(number for _, number in replaced):
        return replaced[0][0], replaced[0][1] - 1, replaced[-1][1]
    raise _misplaced(joined.path, edit, "it belongs to no part, or to several")


def _misplaced(path: Path, edit: _Edit, reason: str) -> CodegenError:
    return CodegenError(
        f"{path}:{edit.line}: this edit cannot be taken back into api/: {reason}; "
        "write it there, and generate with --overwrite"
    )
