"""Every Python block of the guide and of the README, run against a local backend.

The blocks of a chapter run one after the other with the same names, as a reader would paste them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from synth_pools.local import LocalBackend

ROOT = Path(__file__).parents[2]
PAGES = ("README.md", "docs/guide.md", "docs/local-backend.md", "docs/write-a-container.md")
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.DOTALL | re.MULTILINE)
CHAPTER = re.compile(r"^## (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Chapter:
    page: str
    title: str
    blocks: tuple[tuple[int, str], ...]

    def __str__(self) -> str:
        return f"{self.page}: {self.title}"


def chapters(page: str) -> Iterator[Chapter]:
    text = (ROOT / page).read_text(encoding="utf-8")
    starts = [(0, "(beginning)"), *((match.start(), match[1]) for match in CHAPTER.finditer(text))]
    ends = [start for start, _ in starts[1:]] + [len(text)]
    for (start, title), end in zip(starts, ends, strict=True):
        blocks = tuple(
            (text.count("\n", 0, start + match.start(1)), match[1])
            for match in BLOCK.finditer(text[start:end])
        )
        if blocks:
            yield Chapter(page, title, blocks)


CHAPTERS = [chapter for page in PAGES for chapter in chapters(page)]


@pytest.fixture(scope="module")
def backend() -> Iterator[LocalBackend]:
    with LocalBackend() as backend:
        yield backend


def test_there_is_something_to_run() -> None:
    assert len(CHAPTERS) > 5


@pytest.mark.parametrize("chapter", CHAPTERS, ids=str)
def test_it_runs(
    chapter: Chapter, backend: LocalBackend, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SYNTH_API_KEY", backend.api_key)
    monkeypatch.setenv("SYNTH_BACKEND_URL", backend.url)
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"__name__": "__main__"}
    for line, code in chapter.blocks:
        # Tracebacks name the line of the page.
        program = compile("\n" * line + code, str(ROOT / chapter.page), "exec", dont_inherit=True)
        exec(program, names)
