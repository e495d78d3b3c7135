"""Reference of Python: every public name is in the index, and every class has a page."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from codegen import CodegenError
from codegen.site import python_pages as reference
from codegen.site.__main__ import ROOT
from codegen.site.python_pages import FOLDER, NAVIGATION, public_names, python_pages

PAGES = python_pages(ROOT)
INDEX = PAGES[f"{FOLDER}/index.md"]


def write_package(folder: Path, init: str, **modules: str) -> Path:
    """Create a package `pkg` with these modules."""
    (folder / "pkg").mkdir()
    (folder / "pkg/__init__.py").write_text(init)
    for name, text in modules.items():
        (folder / f"pkg/{name}.py").write_text(text)
    return folder


@pytest.mark.parametrize("module", reference._MODULES)
def test_every_public_name_is_in_the_index_with_its_page(module: str) -> None:
    imported = import_module(module)
    names = {name.name: name for name in public_names(ROOT, module)}
    exported = getattr(imported, "__all__", names)
    assert set(names) == {name for name in exported if not name.startswith("__")}
    for name, read in names.items():
        assert read.is_class == isinstance(getattr(imported, name), type), name
        assert f"| [`{name}`]({read.page}) | {read.summary}" in INDEX.replace("\\|", "|")
        text = PAGES[f"{FOLDER}/{read.page.partition('#')[0]}"]
        assert re.search(rf"^::: [\w.]+\.{read.target or name}$|^ +- {name}$", text, re.MULTILINE)


def test_every_class_has_one_page_and_the_navigation_has_them_all() -> None:
    assert f"{FOLDER}/Fleet.md" in PAGES
    assert f"{FOLDER}/PoolsClient.md" not in PAGES
    linked = re.findall(r"\]\((.+)\)", PAGES[f"{FOLDER}/{NAVIGATION}"])
    assert sorted([*linked, NAVIGATION]) == sorted(path.rpartition("/")[2] for path in PAGES)
    described = [
        text.splitlines()[0].rpartition(".")[2]
        for text in PAGES.values()
        if text.startswith("::: ")
    ]
    assert len(described) == len(set(described)) > 40


def test_names_are_read_without_an_import(tmp_path: Path) -> None:
    init = "from pkg.a import One, f\n__all__ = ['One', 'Uno', 'f', 'x']\nUno = One\n"
    init += "x = 1\n'''An x.'''\n"
    of_a = "raise SystemExit\nclass One:\n    '''A\n    class.\n\n    More.'''\ndef f(): ...\n"
    names = public_names(write_package(tmp_path, init, a=of_a), "pkg")
    assert [(name.name, name.summary, name.page) for name in names] == [
        ("One", "A class.", "One.md"),
        ("Uno", "Another name of `One`.", "One.md"),
        ("f", "", "pkg.md#pkg.f"),
        ("x", "An x.", "pkg.md#pkg.x"),
    ]


def test_a_module_without_a_list_of_names_shows_what_it_describes(tmp_path: Path) -> None:
    init = "from a import b\nX: int = 1\n'''An X.'''\nT = 2\ndef _f():\n    '''F.'''\n"
    assert [name.name for name in public_names(write_package(tmp_path, init), "pkg")] == ["X"]


def test_a_name_that_is_nowhere_defined_is_refused(tmp_path: Path) -> None:
    package = write_package(tmp_path, "from pkg.a import One\n__all__ = ['One']\n", a="")
    with pytest.raises(CodegenError, match=re.escape("pkg: One is not defined in pkg.a")):
        public_names(package, "pkg")


def test_two_classes_on_one_page_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_a, of_b = "class One:\n    '''A.'''\n", "class ONE:\n    '''B.'''\n"
    package = write_package(tmp_path, "", a=of_a, b=of_b)
    monkeypatch.setattr(reference, "_MODULES", ("pkg.a", "pkg.b"))
    monkeypatch.setattr(reference, "_RETURNED", {})
    with pytest.raises(CodegenError, match=re.escape("pkg.a.One and pkg.b.ONE have one page")):
        python_pages(package)
