"""Documentation site: assembly of its source, and the check of the result."""

from __future__ import annotations

from pathlib import Path

import pytest

from codegen import CodegenError
from codegen.site.__main__ import ROOT, derived_pages
from codegen.site.checking import check_site
from codegen.site.staging import stage_site

NAV = "[index.md, changelog.md, contributing.md, security.md]"
GOOD = '<h1 id="top">One</h1> <a href="two/#here">two</a> <img src="one.png" alt="">'


def repository(folder: Path, page: str, *, nav: str = NAV) -> Path:
    """Create a repository with a single page of documentation."""
    (folder / "docs").mkdir()
    (folder / "docs/index.md").write_text(page)
    (folder / "code.py").write_text("print(1)\n")
    (folder / "CHANGELOG.md").write_text("[Start](docs/index.md#one)\n")
    for name in ("CONTRIBUTING.md", "SECURITY.md"):
        (folder / name).write_text("# Of the root\n")
    (folder / "mkdocs.yml").write_text(f"nav: {nav}\n")
    for name in ("openapi.yaml", "container.openapi.yaml"):
        (folder / name).write_text("openapi: 3.1.0\n")
    return folder


def built(folder: Path, page: str, *, sheet: str = "") -> Path:
    """Create a site of two pages."""
    (folder / "two").mkdir()
    (folder / "index.html").write_text(page)
    (folder / "two/index.html").write_text('<p id="here"></p><a href="../">back</a>')
    (folder / "one.png").write_bytes(b"")
    (folder / "style.css").write_text(sheet)
    return folder


def test_the_source_is_put_together(tmp_path: Path) -> None:
    page = "[code](../code.py) [web](https://example.com)\n\n```md\n[not](../a-link.md)\n```\n"
    root = repository(tmp_path, page, nav=NAV[:-1] + ", {Made: made/new.md}]")
    out = tmp_path / "build/docs"
    stage_site(root, out, {"made/new.md": "# New\n"})
    assert (out / "index.md").read_text() == page.replace("../code.py", "code.py")
    assert (out / "code.py").read_text() == "print(1)\n"
    assert (out / "changelog.md").read_text() == "[Start](index.md#one)\n"
    assert (out / "made/new.md").read_text() == "# New\n"
    assert (out / "openapi.yaml").is_file()
    # The folder is new: old files are removed.
    (out / "old.md").write_text("# Old\n")
    stage_site(root, out, {"made/new.md": "# New\n"})
    assert not (out / "old.md").exists()


@pytest.mark.parametrize("target", ["../missing.md", "../docs"])
def test_a_link_that_the_site_cannot_have_is_refused(tmp_path: Path, target: str) -> None:
    root = repository(tmp_path, f"[to]({target})\n")
    with pytest.raises(CodegenError, match=f"cannot link to {target}"):
        stage_site(root, tmp_path / "build", {})


@pytest.mark.parametrize(
    ("nav", "message"),
    [
        (
            NAV.replace("changelog.md, ", ""),
            "changelog.md: the navigation of mkdocs.yml does not name it",
        ),
        (NAV[:-1] + ", a.md]", "a.md: the navigation of mkdocs.yml has no such page"),
    ],
)
def test_the_navigation_has_every_page(tmp_path: Path, nav: str, message: str) -> None:
    with pytest.raises(CodegenError, match=message):
        stage_site(repository(tmp_path, "# One\n", nav=nav), tmp_path / "build", {})


def test_the_site_of_this_repository_can_be_put_together(tmp_path: Path) -> None:
    stage_site(ROOT, tmp_path / "docs", derived_pages())
    assert (tmp_path / "docs/reference/http/pools.md").is_file()


def test_a_good_site_passes(tmp_path: Path) -> None:
    outside = (
        '<a href="https://example.com">out</a> <link rel="canonical" href="https://a.example">'
    )
    assert check_site(built(tmp_path, GOOD + outside, sheet="a { background: url(a.png) }")) == []


@pytest.mark.parametrize(
    ("page", "problem"),
    [
        ('<a href="three/">3</a>', "three/ leads nowhere"),
        ('<a href="two/#there">2</a>', "two/#there leads to no part of that page"),
        ('<a href="#down">2</a>', "#down leads to no part of that page"),
        ('<a href="../up.html">2</a>', "../up.html leads out of the site"),
        ('<img src="none.png">', "none.png leads nowhere"),
        ('<img src="https://example.com/a.png">', "fetches https://example.com/a.png"),
        ('<script src="//cdn.example/a.js"></script>', "fetches //cdn.example/a.js"),
        (
            '<link rel="stylesheet" href="https://fonts.example/a">',
            "fetches https://fonts.example/a",
        ),
        (
            '<pre class="mermaid"></pre>',
            "has an element of class mermaid, for which the theme fetches a library",
        ),
    ],
)
def test_what_is_wrong_with_a_page_is_told(tmp_path: Path, page: str, problem: str) -> None:
    assert check_site(built(tmp_path, GOOD + page)) == [f"index.html: {problem}"]


def test_a_style_that_fetches_is_told(tmp_path: Path) -> None:
    sheet = "@import 'https://fonts.example/one'; a { src: url(//fonts.example/two) }"
    assert check_site(built(tmp_path, GOOD, sheet=sheet)) == [
        "style.css: fetches https://fonts.example/one",
        "style.css: fetches //fonts.example/two",
    ]


def test_no_page_is_no_site(tmp_path: Path) -> None:
    assert check_site(tmp_path) == [f"{tmp_path}: there is no page"]
