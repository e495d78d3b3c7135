"""Gate for changes of openapi.yaml, and the page that lists them by release.

    python codegen/api_changes.py     compare with the last release

Exit status: 0 the version is high enough, 1 it is too low, 2 a document cannot be used. The
documents of releases are in api/released/, which the first release creates.
"""

from __future__ import annotations

import sys
from pathlib import Path

# As a script, Python would import the modules of this folder in place of other packages.
if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from codegen import CodegenError
from codegen.parts import FOLDER, RELEASED_FOLDER, join_parts
from codegen.spec_rules import read_joined_spec, version_of
from synth_pools.spec.changes.comparison import compare_documents
from synth_pools.spec.changes.parsing import UnusableDocumentError
from synth_pools.spec.changes.reports import chapter_of, render_changes
from synth_pools.spec.changes.source import OpenApiFile, read_openapi_file
from synth_pools.spec.changes.verdicts import Level, heaviest_level, step_between

ROOT = Path(__file__).resolve().parents[1]
RELEASED = f"{FOLDER}/{RELEASED_FOLDER}"
# Written into the site and not committed: it only repeats the documents that it compares.
PAGE = "api-changes.md"

_HEAD = """\
# Changes of the API

The comparison of each released version of `openapi.yaml` with the one before, as
`synth-pools contract-diff` makes it. *Breaks clients*: a client that keeps the older document fails
with a server that keeps the newer one. *Breaks servers*: a server that keeps the older document
does not keep the newer one. What is only said in other words is not listed. [Changing the
API](changing-the-api.md) tells what each kind of change asks of a maintainer.
"""


def main() -> int:
    try:
        current = read_joined_spec(join_parts(ROOT))
        problems = check_step(released_files(ROOT), current)
    except CodegenError as error:
        print(f"check-api: {error}", file=sys.stderr)
        return 2
    for problem in problems:
        print(f"check-api: {problem}", file=sys.stderr)
    return 1 if problems else 0


def released_files(root: Path) -> list[OpenApiFile]:
    """Read the released documents, the oldest first.

    Raises:
        CodegenError: A document cannot be read, or its file has the name of another version.
    """
    released = []
    for path in (root / RELEASED).glob("*.yaml"):
        try:
            file = read_openapi_file(path)
        except UnusableDocumentError as error:
            raise CodegenError(str(error)) from None
        if path.stem != _text(version_of(file)):
            where = file.at(("info", "version"))
            raise CodegenError(
                f"{where}: {_text(version_of(file))} is in {path.name}; rename the file"
            )
        released.append(file)
    return sorted(released, key=version_of)


def check_step(released: list[OpenApiFile], current: OpenApiFile) -> list[str]:
    """List why the version of the document does not fit its changes since the last release."""
    if not released:
        return []
    last = released[-1]
    where = current.at(("info", "version"))
    if version_of(current) < version_of(last):
        older = _text(version_of(current))
        return [f"{where}: {older} is older than {_text(version_of(last))}, the last release"]
    changes = compare_documents(last, current)
    allowed = step_between(version_of(last), version_of(current)) or Level.NOTE
    if heaviest_level(changes) <= allowed:
        return []
    heavy = tuple(change for change in changes if change.level > allowed)
    lines = render_changes(last, current, heavy).splitlines()[:-1]
    needed = next_version(version_of(last), heaviest_level(changes))
    return [*lines, f"{where}: write version: {needed}, or take these changes back"]


def next_version(version: tuple[int, int, int], level: Level) -> str:
    """Return the next version that a change of this weight needs."""
    major, minor, patch = version
    if level is Level.BREAKING:
        return f"{major + 1}.0.0"
    return f"{major}.{minor + 1}.0" if level is Level.GROWTH else f"{major}.{minor}.{patch + 1}"


def render_page(root: Path, current: OpenApiFile) -> str:
    """Write the page of all changes in Markdown, the newest version first."""
    versions = released_files(root)
    if not versions or version_of(current) != version_of(versions[-1]):
        versions.append(current)
    chapters: list[str] = []
    for index, file in enumerate(versions):
        heading = _text(version_of(file))
        if file.path == current.path:
            heading += " (not released yet)"
        lines = [f"## {heading}", ""]
        if index == 0:
            lines += ["The first version.", ""]
        else:
            lines += chapter_of(compare_documents(versions[index - 1], file))
        chapters.insert(0, "\n".join(lines))
    return "\n".join([_HEAD, *chapters]).rstrip("\n") + "\n"


def _text(version: tuple[int, int, int]) -> str:
    return ".".join(str(part) for part in version)


if __name__ == "__main__":
    sys.exit(main())
