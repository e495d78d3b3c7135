"""Source of the site: pages of docs/ and of the root, linked files, the reference."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path
from typing import Any

import yaml

from codegen import CodegenError

CONFIG = "mkdocs.yml"
DOCS = "docs"
# Pages of the site from the root of the repository.
_OF_THE_ROOT = {
    "CHANGELOG.md": "changelog.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
}
_FENCED = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s#]+)(#[^)\s]*)?\)")


def stage_site(root: Path, output: Path, derived: dict[str, str]) -> None:
    """Write the source of the site into a new folder, with the derived pages by their paths.

    Raises:
        CodegenError: A link has no file as its target, or a page is not in the navigation.
    """
    shutil.rmtree(output, ignore_errors=True)
    shutil.copytree(root / DOCS, output)
    for name, text in derived.items():
        page = output / name
        page.parent.mkdir(parents=True, exist_ok=True)
        page.write_text(text, encoding="utf-8")
    places = {path: Path(DOCS, path) for path in map(_relative(root / DOCS), _pages(root / DOCS))}
    places |= {Path(target): Path(source) for source, target in _OF_THE_ROOT.items()}
    for page_in_site, page_in_repo in places.items():
        text = (root / page_in_repo).read_text(encoding="utf-8")
        moved = _Links(root, output, page_in_repo, page_in_site).move(text)
        (output / page_in_site).write_text(moved, encoding="utf-8")
    for name in ("openapi.yaml", "container.openapi.yaml"):
        shutil.copyfile(root / name, output / name)
    _check_navigation(root, output)


class _Links:
    """Links of a page, rewritten from paths of the repository to paths of the site."""

    def __init__(self, root: Path, output: Path, page_in_repo: Path, page_in_site: Path) -> None:
        self._root = root
        self._output = output
        self._repo = page_in_repo
        self._site = page_in_site

    def move(self, text: str) -> str:
        parts, last = [], 0
        for fence in _FENCED.finditer(text):
            parts += [_LINK.sub(self._moved, text[last : fence.start()]), fence[0]]
            last = fence.end()
        return "".join([*parts, _LINK.sub(self._moved, text[last:])])

    def _moved(self, match: re.Match[str]) -> str:
        target, anchor = match[1], match[2] or ""
        if re.match(r"\w+:", target):
            return match[0]
        path = os.path.normpath(self._repo.parent / target)
        if not (self._root / path).is_file():
            raise CodegenError(f"{self._repo}: the site cannot link to {target}: it is no file")
        place = _OF_THE_ROOT.get(path, path.removeprefix(f"{DOCS}/"))
        if path == place:
            copy = self._output / place
            copy.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self._root / path, copy)
        link = Path(os.path.relpath(place, self._site.parent)).as_posix()
        return f"]({link}{anchor})"


def _pages(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.md"))


def _relative(folder: Path) -> Any:
    return lambda path: path.relative_to(folder)


def _check_navigation(root: Path, output: Path) -> None:
    settings = yaml.safe_load((root / CONFIG).read_text(encoding="utf-8"))
    in_navigation = set(_named(settings["nav"]))
    in_site = {path.relative_to(output).as_posix() for path in _pages(output)}
    # A folder has a navigation of its own, and is in ours with all of its pages.
    folders = {entry for entry in in_navigation if entry.endswith("/")}
    in_navigation -= folders
    in_site = {page for page in in_site if not page.startswith(tuple(folders))}
    for page in sorted(in_navigation ^ in_site):
        missing = "has no such page" if page in in_navigation else "does not name it"
        raise CodegenError(f"{page}: the navigation of {CONFIG} {missing}")


def _named(entries: Any) -> list[str]:
    if isinstance(entries, str):
        return [entries]
    inner = entries.values() if isinstance(entries, dict) else entries
    return [page for entry in inner for page in _named(entry)]
