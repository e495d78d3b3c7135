"""Check of the site as it was built: links that lead nowhere, and anything from another server."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

# What a browser fetches by itself, unlike the target of a link.
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
# Names the page itself, and is fetched by nobody.
_HARMLESS_LINKS = {"canonical", "next", "prev"}
# The theme fetches a library from elsewhere for pages that have an element of these classes.
_FETCHING_CLASSES = {"glightbox", "mermaid", "pyodide"}
_CSS_URL = re.compile(r"(?:@import\s*|url\()\s*['\"]?((?:https?:)?//[^'\")\s]+)")


def check_site(site: Path) -> list[str]:
    """List what is wrong with a site.

    Args:
        site: The folder with its index.html.

    Returns:
        A line for each link that leads nowhere, and for each thing that a browser would fetch from
        another server; none if all is well.
    """
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
            # Shown for any address: its links begin at the root, which only the server knows.
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
        # Where the theme's own link to the beginning leads.
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
