"""Comparison and replacement of derived files and folders."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


def files(tree: Path) -> dict[str, bytes]:
    """Read every file of `tree` but bytecode, by its path; one file has none."""
    if tree.is_file():
        return {"": tree.read_bytes()}
    return {
        path.relative_to(tree).as_posix(): path.read_bytes()
        for path in sorted(tree.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def differences(name: str, committed: Path, fresh: Path) -> list[str]:
    """List the files of `committed` that differ from `fresh`, each on a line that `name` begins."""
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
    """Make a temporary folder; inside `beside`, so that renames are atomic."""
    folder = Path(tempfile.mkdtemp(prefix=".generate-", dir=beside))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def swap(fresh: Path, target: Path, *, attic: Path) -> None:
    """Put `fresh` where `target` is. What was there moves to `attic`, and back if that fails."""
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
