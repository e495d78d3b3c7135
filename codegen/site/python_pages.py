"""Reference of Python: a page for each public class, one for the rest of a module, and an index."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from codegen import CodegenError
from codegen.site.schema_tables import cell, table

FOLDER = "reference/python"
_ABOUT = """\
The public names, from their docstrings: each class has a page. The async clients have the methods
of the sync ones, to be awaited; what is iterated over is iterated over with `async for`."""
_MODULES = (
    "synth_pools",
    "synth_pools.container",
    "synth_pools.local",
    "synth_pools.types",
    "synth_pools.spec",
    "synth_pools.contract",
    "synth_pools.contract.pytest_plugin",
    "synth_pools.pytest_plugin",
)
# Classes that clients return, and no program imports.
_RETURNED = {
    "synth_pools._client._sync.short_names.rollouts": ("RolloutsNamespace",),
    "synth_pools._client._sync.short_names.agent_rollouts": ("AgentRolloutsNamespace",),
    "synth_pools._client._sync.namespaces.operations": ("OperationsNamespace",),
    "synth_pools._client._sync.event_stream": ("EventStream",),
    "synth_pools._client._sync.fleet.fleet": ("Fleet",),
}
_RETURNED_TITLE = "What clients return"
NAVIGATION = "navigation.md"


class Name(NamedTuple):
    """Public name: where it is imported from, what it is and says of itself."""

    name: str
    module: str
    defined_in: str
    summary: str
    is_class: bool
    # Class of which this is another name.
    target: str = ""

    @property
    def page(self) -> str:
        """Return the file of its page, with the part of it that it has."""
        if self.is_class:
            return f"{self.target or self.name}.md"
        return f"{self.module}.md#{self.module}.{self.name}"

    @property
    def title(self) -> str:
        """Return the title of its chapter in the index."""
        if self.module != "synth_pools":
            return _RETURNED_TITLE if self.module in _RETURNED else self.module
        if self.name.endswith("Error"):
            return "Errors"
        return "Clients" if self.name.endswith("Client") else "Other names"


def python_pages(root: Path) -> dict[str, str]:
    """Write the pages and their navigation, by their paths in the site.

    Raises:
        CodegenError: A public name is nowhere defined, or two classes have one page.
    """
    names = [name for module in _MODULES for name in public_names(root, module)]
    for module, returned in _RETURNED.items():
        names += [_defined(root, module, name, module) for name in returned]
    chapters: dict[str, list[Name]] = {"Clients": [], _RETURNED_TITLE: []}
    for name in names:
        chapters.setdefault(name.title, []).append(name)
    pages: dict[str, str] = {}
    places: dict[str, str] = {}
    index, navigation = ["# Python", _ABOUT], ["- [Python](index.md)"]
    for title, listed in chapters.items():
        # The sync clients first: the async ones are their variants.
        listed.sort(key=lambda name: name.name.startswith("Async"))
        rows = [[f"[`{name.name}`]({name.page})", cell(name.summary)] for name in listed]
        index += [f"## {title}", table(("name", "what it is"), rows)]
        entries = []
        for page, text, place in _pages(listed):
            # Files whose names differ in case alone are one file on some systems.
            first = places.setdefault(page.lower(), place)
            if first != place:
                raise CodegenError(f"{first} and {place} have one page, {page}")
            if f"{FOLDER}/{page}" not in pages:
                pages[f"{FOLDER}/{page}"] = text
                entries.append(f"- [{page.removesuffix('.md')}]({page})")
        # A module without classes has one page, of its own name.
        alone = entries == [f"- [{title}]({title}.md)"]
        navigation += entries if alone else [f"- {title}", *(f"    {entry}" for entry in entries)]
    pages[f"{FOLDER}/index.md"] = "\n\n".join(index) + "\n"
    pages[f"{FOLDER}/{NAVIGATION}"] = "\n".join(navigation) + "\n"
    return pages


def _pages(names: list[Name]) -> Iterator[tuple[str, str, str]]:
    """Write the pages of a chapter, each with its file and the place of what it describes."""
    for name in names:
        if name.is_class and not name.target:
            # Async methods are those of the sync client, awaited.
            without = "\n      inherited_members: false\n      members: false"
            few = without if name.name.startswith("Async") else ""
            text = f"::: {name.module}.{name.name}\n    options:\n      heading_level: 1{few}\n"
            yield name.page, text, f"{name.defined_in}.{name.name}"
    rest = [name.name for name in names if not name.is_class]
    if rest:
        module = names[0].module
        members = "".join(f"\n        - {name}" for name in rest)
        text = (
            f"# {module}\n\n::: {module}\n    options:\n      show_root_heading: false\n"
            f"      heading_level: 1\n      members:{members}\n"
        )
        yield f"{module}.md", text, module


def public_names(root: Path, module: str) -> list[Name]:
    """Read the public names of a module, without importing it."""
    tree = _parse(root, module)
    exported: list[str] = []
    places: dict[str, str] = {}
    aliases: dict[str, str] = {}
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module:
            places |= {alias.name: node.module for alias in node.names}
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            if node.targets[0].id == "__all__":
                exported = ast.literal_eval(node.value)
            elif isinstance(node.value, ast.Name):
                aliases[node.targets[0].id] = node.value.id
    if not exported:
        defined = [name for node in tree.body if (name := _name_of(node))]
        return [
            name
            for name in (_defined(root, module, name, module) for name in defined)
            if name.summary and not name.name.startswith("_")
        ]
    names = []
    for name in exported:
        if name in aliases:
            target = aliases[name]
            names.append(Name(name, module, module, f"Another name of `{target}`.", True, target))
        elif not name.startswith("__"):
            names.append(_defined(root, places.get(name, module), name, module))
    return names


def _defined(root: Path, defined_in: str, name: str, module: str) -> Name:
    """Read a name where it is defined."""
    body = _parse(root, defined_in).body
    for node, after in zip(body, [*body[1:], None], strict=False):
        if _name_of(node) != name:
            continue
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            text = ast.get_docstring(node) or ""
        elif isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant):
            text = str(after.value.value)
        else:
            text = ""
        summary = " ".join(text.strip().partition("\n\n")[0].split()).replace("``", "`")
        return Name(name, module, defined_in, summary, isinstance(node, ast.ClassDef))
    raise CodegenError(f"{module}: {name} is not defined in {defined_in}")


def _name_of(node: ast.stmt) -> str:
    if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
        return node.name
    targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
    return targets[0].id if isinstance(targets[0], ast.Name) else ""


def _parse(root: Path, module: str) -> ast.Module:
    path = root.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    return ast.parse(file.read_text(encoding="utf-8"))
