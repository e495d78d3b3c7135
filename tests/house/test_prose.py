"""Files, links and make targets that the documentation names."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.house.tree import ROOT

PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
_FOLDERS = ("bench/", "codegen/", "docs/", "examples/", "generated/", "synth_pools/", "tests/")
_MODULE = re.compile(r"(?:synth_pools|tests|bench)(?:\.[a-z_0-9]+)+")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_TARGET = re.compile(r"\bmake ([a-z][a-z-]*)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def page_name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def anchors(text: str) -> set[str]:
    """The anchors that GitHub gives to the headings of a page."""
    titles = (title.lower().replace("`", "") for title in _HEADING.findall(text))
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def module_exists(name: str) -> bool:
    """Tell whether a dotted name begins with a module, or is an attribute of one."""
    path = ROOT.joinpath(*name.split("."))
    return any(item.is_dir() or item.with_suffix(".py").is_file() for item in (path, path.parent))


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_what_is_named_is_there(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    code = [word for match in _CODE.findall(_FENCED.sub("", text)) for word in match.split()]
    paths = [word for word in code if word.startswith(_FOLDERS)]
    missing = [path for path in paths if not (ROOT / path.strip("(),")).exists()]
    modules = [word for word in code if _MODULE.fullmatch(word) and "/" not in word]
    missing += [name for name in modules if not module_exists(name)]
    assert missing == []


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in _LINK.findall(_FENCED.sub("", page.read_text(encoding="utf-8"))):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page
        text = anchors(target.read_text(encoding="utf-8")) if anchor else set()
        if not target.exists() or (anchor and anchor not in text):
            broken.append(link)
    assert broken == []


def test_make_has_the_targets_that_are_named() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z][a-z-]*):", makefile, re.MULTILINE))
    text = {
        target
        for page in PAGES
        for code in _CODE.findall(page.read_text(encoding="utf-8"))
        for target in _TARGET.findall(code)
    }
    assert {"crash", "fuzz", "soak"} <= text
    assert text <= targets


def test_the_picture_of_the_house_names_its_rooms() -> None:
    _, _, chapter = (ROOT / "docs/design.md").read_text(encoding="utf-8").partition("## The house")
    rooms = {path.name for path in (ROOT / "synth_pools").iterdir() if path.suffix != ".typed"}
    rooms -= {"__pycache__", "_version.py", "py.typed"}
    assert len(rooms) > 8
    assert {room for room in rooms if room not in chapter} == set()
