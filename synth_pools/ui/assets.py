"""Files of the page: compressed, with media types and entity tags.

The page's own modules are joined into one without comments, so that one short request loads them.
"""

from __future__ import annotations

import gzip
import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from html import escape
from importlib.resources import files
from importlib.resources.abc import Traversable

INDEX = "index.html"
_ENTRY = "app.js"
_IMPORT = re.compile(r'^import ([^"]+?) from "\./([^"]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=async |class |const |function )", re.MULTILINE)
# Some comments, which contain types, are in the middle of a line.
_COMMENT = re.compile(r"/\*\*.*?\*/ ?|^\s*//[^\n]*$", re.DOTALL | re.MULTILINE)
_TYPES = {
    "html": "text/html; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
    "txt": "text/plain; charset=utf-8",
}


@dataclass(frozen=True)
class Asset:
    """File of the page."""

    name: str
    content: bytes

    @property
    def content_type(self) -> str:
        return _TYPES[self.name.rpartition(".")[2]]

    @cached_property
    def etag(self) -> str:
        return f'"{hashlib.sha256(self.content).hexdigest()[:32]}"'

    @cached_property
    def compressed(self) -> bytes:
        # Without a timestamp, so that equal files have equal bytes.
        return gzip.compress(self.content, mtime=0)


def load_assets(about: Mapping[str, str]) -> dict[str, Asset]:
    """Read the files of the page, by their paths below `/ui/`.

    Args:
        about: Contents of `meta` elements of `index.html`, by name.
    """
    assets = {
        name: Asset(name, content) for name, content in _files(files("synth_pools.ui") / "page")
    }
    names = [name for name in assets if name.endswith(".js") and "/" not in name]
    modules = {name: assets.pop(name).content.decode("utf-8") for name in names}
    assets[_ENTRY] = Asset(_ENTRY, joined(modules).encode("utf-8"))
    text = assets[INDEX].content.decode("utf-8")
    metas = "".join(
        f'<meta name="{escape(name)}" content="{escape(value)}">\n' for name, value in about.items()
    )
    assets[INDEX] = Asset(INDEX, text.replace("</head>", f"{metas}</head>", 1).encode("utf-8"))
    return assets


def joined(modules: Mapping[str, str]) -> str:
    """Join modules into one, each after its imports, with one import of each vendored file.

    Args:
        modules: The modules by name, with `app.js`. Their top-level names must differ.

    Raises:
        ValueError: An import or an export has an unknown form.
    """
    imports: dict[str, set[str]] = {}
    bodies: dict[str, str] = {}

    def add(name: str) -> None:
        if name in bodies:
            return
        bodies[name] = ""
        text = modules[name]
        for names, file in _IMPORT.findall(text):
            if file in modules:
                add(file)
                continue
            imported = names.strip("{ }").split(",") if "{" in names else [f"default as {names}"]
            imports.setdefault(file, set()).update(
                name_of_import.strip() for name_of_import in imported
            )
        # Inserted again at the end, after the modules that it imports.
        del bodies[name]
        bodies[name] = _EXPORT.sub("", _IMPORT.sub("", text))

    add(_ENTRY)
    lines = [
        f'import {{ {", ".join(sorted(names))} }} from "./{file}";'
        for file, names in imports.items()
    ]
    for body in bodies.values():
        code_lines = (line.strip() for line in _COMMENT.sub("", body).splitlines())
        lines += [line for line in code_lines if line]
    if any(line.startswith(("import ", "export ")) for line in lines[len(imports) :]):
        raise ValueError("a module has an import or an export that is not understood")
    return "\n".join(lines) + "\n"


def _files(folder: Traversable, path: str = "") -> Iterator[tuple[str, bytes]]:
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from _files(entry, f"{path}{entry.name}/")
        elif entry.name.rpartition(".")[2] in _TYPES:
            yield path + entry.name, entry.read_bytes()
