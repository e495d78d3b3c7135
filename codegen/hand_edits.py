"""Protection of edits by hand in derived files, which a new run would replace.

A file may be replaced if git has its content, staged or committed, or if an earlier run in this
checkout wrote it. The digests of written files are in build/, which git ignores: committed, they
would conflict in every merge.
"""

from __future__ import annotations

import hashlib
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from codegen import CodegenError, tree

_RECORD = "build/generated.txt"
_MOST = 20_000


def refuse_hand_edits(root: Path, derived: Mapping[str, Path]) -> None:
    """Refuse to replace edited files by the derived files and folders of these targets.

    Raises:
        CodegenError: Files were edited; it names each with its first edited line.
    """
    recorded = set(_read_record(root))
    edited: dict[str, int] = {}
    for target, fresh in derived.items():
        if (root / target).exists():
            new = tree.files(fresh)
            for name, content in tree.files(root / target).items():
                if new.get(name) != content and _digest(content) not in recorded:
                    path = f"{target}/{name}".rstrip("/")
                    edited[path] = _first_difference(content, new.get(name, b""))
    # Without git, edits cannot be told from old output before the first run.
    unsaved = _unsaved(root, edited) if edited else None
    names = [name for name in edited if (name in unsaved if unsaved is not None else recorded)]
    if names:
        advice = "change what these are derived from, or lose the edits with --overwrite"
        lines = [f"{root / name}:{edited[name]}: edited by hand" for name in sorted(names)]
        raise CodegenError("\n".join([*lines, f"nothing is written; {advice}"]))


def record_written(root: Path, targets: Iterable[str]) -> None:
    """Record the digests of the current derived files and folders."""
    digests = dict.fromkeys(_read_record(root))
    for target in targets:
        digests.update(
            dict.fromkeys(_digest(content) for content in tree.files(root / target).values())
        )
    path = root / _RECORD
    path.parent.mkdir(exist_ok=True)
    path.write_text("".join(f"{digest}\n" for digest in [*digests][-_MOST:]), encoding="ascii")


def _read_record(root: Path) -> list[str]:
    path = root / _RECORD
    return path.read_text(encoding="ascii").split() if path.is_file() else []


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _first_difference(content: bytes, fresh: bytes) -> int:
    """Return the first line, from 1, at which two files differ."""
    lines, fresh_lines = content.splitlines(), fresh.splitlines()
    shared = min(len(lines), len(fresh_lines))
    return next((i for i in range(shared) if lines[i] != fresh_lines[i]), shared) + 1


def _unsaved(root: Path, names: Iterable[str]) -> set[str] | None:
    """Return the files whose content git does not have; None without git."""
    command = ["git", "status", "--porcelain", "-z", "--no-renames", "--untracked-files=all"]
    try:
        status = subprocess.run(
            [*command, "--", *names], cwd=root, capture_output=True, text=True, timeout=60
        )
        base = subprocess.run(
            ["git", "rev-parse", "--show-prefix"],  # noqa: S607 - the git of this machine
            cwd=root,
            capture_output=True,
            text=True,
            timeout=60,
        )
    except OSError:
        return None
    if status.returncode != 0:
        return None
    prefix = base.stdout.strip()
    entries = [(entry[:2], entry[3:]) for entry in status.stdout.split("\0") if entry]
    # A file in conflict may be replaced: its sides are in git.
    return {
        name.removeprefix(prefix) for state, name in entries if state == "??" or state[1] in "AM"
    }
