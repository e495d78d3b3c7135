"""Blocks of code on the pages of the documentation, with the remark before each."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Pages in results/ are written by programs.
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *(path for path in sorted((ROOT / "docs").rglob("*.md")) if path.parent.name != "results"),
]
_FENCE = re.compile(r"^ *```(\w*)[^\n]*\n(.*?)^ *```$", re.DOTALL | re.MULTILINE)
_HEADING = re.compile(r"^## (.+)$", re.MULTILINE)
# The line before a block, which readers of the page do not see.
_NOTE = re.compile(r"<!-- (not run|run by|part of): (.+) -->\s*\Z")
# The separator of a program and its output.
_PRINTS = re.compile(r"\n[^\n]*\bprints?\b[^\n]*:\n\s*\Z")


@dataclass(frozen=True)
class Block:
    """One block of code.

    Attributes:
        page: The page, from the root of the repository.
        line: The number of lines before its code.
        language: Its language; empty for none.
        text: The code.
        chapter: The heading above it.
        note: "not run", "run by" or "part of"; empty for a block that is run with its page.
        reason: The reason, the test that runs it, or the file with it.
        printed: Its output on the page; None without one.
    """

    page: str
    line: int
    language: str
    text: str
    chapter: str
    note: str
    reason: str
    printed: str | None

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"


def read_blocks(path: Path) -> Iterator[Block]:
    """Read the blocks of a page, in order."""
    text = path.read_text(encoding="utf-8")
    headings = [(match.start(), match[1]) for match in _HEADING.finditer(text)]
    fences = list(_FENCE.finditer(text))
    for number, fence in enumerate(fences):
        before = text[fences[number - 1].end() if number else 0 : fence.start()]
        note = _NOTE.search(before)
        following = fences[number + 1] if number + 1 < len(fences) else None
        shows = following is not None and following[1] == "text"
        between = text[fence.end() : following.start()] if following else ""
        yield Block(
            path.relative_to(ROOT).as_posix(),
            text.count("\n", 0, fence.start(2)),
            fence[1],
            fence[2],
            next((title for at, title in reversed(headings) if at < fence.start()), ""),
            note[1] if note else "",
            note[2] if note else "",
            following[2] if following and shows and _PRINTS.search(between) else None,
        )


BLOCKS = [block for page in PAGES for block in read_blocks(page)]


def assert_printed(printed: str, expected: str, kind: str) -> None:
    """Compare what a program printed with what its page shows.

    A line `...` stands for any lines, and `...` within a line for any text. Widths of the columns
    of a table do not count.
    """
    pattern = "".join(
        r"(?:.*\n)*?" if line.strip() == "..." else _pattern_of(line) + r"\n"
        for line in expected.rstrip("\n").split("\n")
    )
    squeezed = re.sub(r" +", " ", printed.rstrip("\n") + "\n")
    assert re.fullmatch(pattern, squeezed), (
        f"{kind} printed:\n{printed}\nand is to print:\n{expected}"
    )


def _pattern_of(line: str) -> str:
    parts = re.sub(r" +", " ", line).split("...")
    return ".*".join(re.escape(part) for part in parts)
