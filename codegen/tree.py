"""Folders of derived files: how they are compared, and how a new one takes the old one's place."""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path


def files(tree: Path) -> dict[str, bytes]:
    """Every file of `tree` by its path in it. Bytecode is no part of what was derived."""
    return {
        path.relative_to(tree).as_posix(): path.read_bytes()
        for path in sorted(tree.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }


def differences(name: str, committed: Path, fresh: Path) -> list[str]:
    """One line for each file of `committed` that is not as in `fresh`; `name` goes before each."""
    old, new = files(committed), files(fresh)
    lines = [
        f"differs: {name}/{path}"
        for path in sorted(old.keys() & new.keys())
        if old[path] != new[path]
    ]
    lines += [f"missing: {name}/{path}" for path in sorted(new.keys() - old.keys())]
    lines += [f"extra:   {name}/{path}" for path in sorted(old.keys() - new.keys())]
    return lines


@contextlib.contextmanager
def workspace(beside: Path | None) -> Iterator[Path]:
    """A temporary folder; inside `beside` it is on the same file system: renames are atomic."""
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
