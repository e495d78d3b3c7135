"""Search index of the built site."""

from __future__ import annotations

import json
from pathlib import Path

from codegen.site.python_pages import FOLDER


def name_members(site: Path) -> None:
    """Put the class before the name of each member, in the titles that a search shows.

    A command is then found before the methods that have its name.
    """
    file = site / "search.json"
    index = json.loads(file.read_text(encoding="utf-8"))
    for item in index["items"]:
        page, _, anchor = item["location"].partition("#")
        owner, _, member = anchor.rpartition(".")
        owner = owner.rpartition(".")[2]
        if page.startswith(f"{FOLDER}/") and owner and page.endswith(f"/{owner}/"):
            item["title"] = f"{owner}.{member}"
    file.write_text(json.dumps(index, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
