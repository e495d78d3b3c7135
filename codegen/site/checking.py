"""Check of the built site for broken links and for resources of other servers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# Attributes whose targets a browser fetches without a click.
_FETCHED = {
    "audio": "src",
    "embed": "src",
    "iframe": "src",
    "img": "src",
    "link": "href",
    "object": "data",
    "script": "src",
    "source": "src",
    "video": "src",
}
# These links of a page are not fetched.
_HARMLESS_LINKS = {"canonical", "next", "prev"}
# For elements of these classes the theme fetches a library from another server.
_FETCHING_CLASSES = {"glightbox", "mermaid", "pyodide"}
_CSS_URL = re.compile(r"(?:@import\s*|url\()\s*['\"]?((?:https?:)?//[^'\")\s]+)")


def check_site(site: Path) -> list[str]:
    """List the broken links of a site, and what a browser would fetch from other servers."""
    problems = [
        f"{sheet.relative_to(site)}: fetches {url}"
        for sheet in sorted(site.rglob("*.css"))
        for url in _CSS_URL.findall(sheet.read_text(encoding="utf-8"))
    ]
    pages = sorted(site.rglob("*.html"))
    if not pages:
        problems.append(f"{site}: there is no page")
    for page in pages:
        if page.name == "404.html":
            # Its links begin at the root of the server, which is unknown here.
            continue
        problems += [f"{page.relative_to(site)}: {text}" for text in _problems_of(site, page)]
    return problems


def _problems_of(site: Path, page: Path) -> Iterator[str]:
    read = _read(page)
    for url in read.fetched:
        if urlsplit(url).netloc:
            yield f"fetches {url}"
    for name in sorted(read.classes & _FETCHING_CLASSES):
        yield f"has an element of class {name}, for which the theme fetches a library"
    for url in [*read.links, *read.fetched]:
        parts = urlsplit(url)
        if parts.scheme or parts.netloc:
            continue
        target = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        if not target.is_relative_to(site.resolve()) and parts.path:
            yield f"{url} leads out of the site"
            continue
        if target.is_dir():
            target /= "index.html"
        if not target.is_file():
            yield f"{url} leads nowhere"
        elif (
            parts.fragment
            and target.suffix == ".html"
            and unquote(parts.fragment) not in _read(target).anchors
        ):
            yield f"{url} leads to no part of that page"


class _Page(HTMLParser):
    """Reader of one page."""

    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.fetched: list[str] = []
        # Target of the theme's link to the content.
        self.anchors: set[str] = {"__skip"}
        self.classes: set[str] = set()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        self.anchors |= {attributes[name] for name in ("id", "name") if name in attributes}
        self.classes |= set(attributes.get("class", "").split())
        if tag == "a" and "href" in attributes:
            self.links.append(attributes["href"])
        elif _FETCHED.get(tag) in attributes and attributes.get("rel") not in _HARMLESS_LINKS:
            self.fetched.append(attributes[_FETCHED[tag]])


@cache
def _read(page: Path) -> _Page:
    reader = _Page()
    reader.feed(page.read_text(encoding="utf-8"))
    return reader
