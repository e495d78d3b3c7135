"""Comparison and replacement of derived files and folders."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


def files(tree: Path) -> dict[str, bytes]:
    """Read every file of `tree` but bytecode, by relative path; a single file has an empty one."""
    if tree.is_file():
        return {"": tree.read_bytes()}
    return {
        path.relative_to(tree).as_posix(): path.read_bytes()
        for path in sorted(tree.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def differences(name: str, committed: Path, fresh: Path) -> list[str]:
    """List the files that differ between `committed` and `fresh`, with `name` before each."""
    old, new = files(committed), files(fresh)
    lines = [
        f"differs: {name}/{path}".rstrip("/")
        for path in sorted(old.keys() & new.keys())
        if old[path] != new[path]
    ]
    lines += [f"missing: {name}/{path}".rstrip("/") for path in sorted(new.keys() - old.keys())]
    lines += [f"extra:   {name}/{path}" for path in sorted(old.keys() - new.keys())]
    return lines


@contextlib.contextmanager
def workspace(beside: Path | None) -> Iterator[Path]:
    """Create a temporary folder, inside `beside` so that renames are atomic."""
    folder = Path(tempfile.mkdtemp(prefix=".generate-", dir=beside))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def swap(fresh: Path, target: Path, *, attic: Path) -> None:
    """Replace `target` by `fresh`. Move the old one to `attic`, and back after a failure."""
    target.parent.mkdir(parents=True, exist_ok=True)
    had_old = target.exists()
    if had_old:
        target.rename(attic)
    try:
        fresh.rename(target)
    except BaseException:
        if had_old:
            attic.rename(target)
        raise
