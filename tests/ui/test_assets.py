"""The files of the page: their size, where those of others are from, and how they are joined."""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

import pytest

import synth_pools.ui
from codegen.vendor_page import SOURCES, adapted
from synth_pools.ui.assets import joined, load_assets

FOLDER = Path(synth_pools.ui.__file__).parent / "page"
VENDOR = FOLDER / "vendor"
# Compressed bytes of the whole page, without the licences, which no page loads.
MOST_BYTES = 60_000


def test_all_of_the_page_is_small() -> None:
    sent = {
        name: len(asset.compressed)
        for name, asset in load_assets({}).items()
        if not name.endswith(".txt")
    }
    assert len(sent) == 9
    assert sum(sent.values()) <= MOST_BYTES, sent


def test_the_modules_of_others_are_those_of_the_manifest() -> None:
    entries = json.loads((VENDOR / "manifest.json").read_text())
    assert [entry["file"] for entry in entries] == [source.file for source in SOURCES]
    for entry, source in zip(entries, SOURCES, strict=True):
        content = (VENDOR / entry["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"], entry["file"]
        assert (entry["package"], entry["version"], entry["licence"], entry["member"]) == (
            source.package,
            source.version,
            source.licence,
            source.member,
        )
        assert re.fullmatch(r"sha512-[A-Za-z0-9+/]{86}==", entry["integrity"])
    expected = {entry["file"] for entry in entries} | {"manifest.json", "licences.txt"}
    assert {path.name for path in VENDOR.iterdir()} == expected
    licences = (VENDOR / "licences.txt").read_text()
    for entry in entries:
        assert f"{entry['package']}\n" in licences


def test_a_module_of_others_exports_what_it_would_set() -> None:
    uplot = next(source for source in SOURCES if source.variable)
    text = "var uPlot=1;\n//# sourceMappingURL=uPlot.js.map"
    assert adapted(uplot, text) == "var uPlot=1;\nexport default uPlot;\n"


def test_nothing_is_loaded_from_elsewhere() -> None:
    for name, asset in load_assets({}).items():
        if "vendor" in name or name.endswith(".svg"):
            continue
        text = asset.content.decode()
        assert re.findall(r"""(?:src|href)=["'](?:https?:)?//""", text) == []
        assert re.findall(r"""(?:from|import)\s*\(?["'](?!\./)""", text) == []
        assert "innerHTML" not in text


def test_what_the_page_is_told_is_text() -> None:
    text = load_assets({"url": 'http://x/"><script>'})["index.html"].content.decode()
    assert '<meta name="url" content="http://x/&quot;&gt;&lt;script&gt;">' in text


def test_modules_are_joined_after_what_they_need_and_without_comments() -> None:
    modules = {
        "app.js": (
            "// The page.\n"
            'import { b, a } from "./parts.js";\n'
            'import thing from "./vendor/thing.js";\n'
            'import { y, x } from "./vendor/other.js";\n'
            "/** @param {string} one */\n"
            "  const text = /** @type {any} */ (b(thing) + x + 'http://kept // here');\n"
        ),
        "parts.js": (
            'import { x } from "./vendor/other.js";\n'
            "export const a = x;\nexport async function b() {}\n"
        ),
    }
    assert joined(modules).splitlines() == [
        'import { x, y } from "./vendor/other.js";',
        'import { default as thing } from "./vendor/thing.js";',
        "const a = x;",
        "async function b() {}",
        "const text = (b(thing) + x + 'http://kept // here');",
    ]
    for line in ('import "./parts.js";\n', "export default 1;\n", "export { a };\n"):
        with pytest.raises(ValueError, match="not understood"):
            joined({"app.js": line})


def test_no_two_modules_have_a_name_in_common() -> None:
    names = [
        name
        for path in FOLDER.glob("*.js")
        for name in re.findall(
            r"^(?:export )?(?:async )?(?:const|let|class|function\*?) (\w+)",
            path.read_text(),
            re.MULTILINE,
        )
    ]
    assert len(names) > 50
    assert sorted(names) == sorted(set(names))
