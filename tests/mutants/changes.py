"""Lines that changed since a revision, and the tests of a module."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Where hand-written code is, and the folder of its tests.
TESTS_OF = {
    "synth_pools/_client": "tests/client",
    "synth_pools/backend": "tests/backend",
    "synth_pools/contract": "tests/contract",
    "synth_pools/cli": "tests/cli",
    "codegen": "tests/codegen",
    "bench": "tests/bench",
}
_DERIVED = "synth_pools/_client/_sync/"
_HUNK = re.compile(r"^@@ -\S+ \+(\d+)(?:,(\d+))? @@")


def default_revision(root: Path = ROOT) -> str:
    """Find where this work begins: the fork from main, or else the last tag.

    Raises:
        LookupError: The repo has neither.
    """
    head = _git(root, "rev-parse", "HEAD").strip()
    for name in ("origin/main", "main"):
        base = _git(root, "merge-base", "HEAD", name, check=False).strip()
        if base and base != head:
            return base
    tag = _git(root, "describe", "--tags", "--abbrev=0", check=False).strip()
    if not tag:
        raise LookupError("neither a fork from main nor a tag: name a revision with --since")
    return tag


def changed_lines(since: str, root: Path = ROOT) -> dict[str, set[int]]:
    """List the lines of hand-written modules that the work tree has and `since` has not.

    A file that was only moved has no changed lines.
    """
    text = _git(root, "diff", "--unified=0", "--find-renames", "--no-color", since, "--", "*.py")
    found: dict[str, set[int]] = {}
    path = ""
    for line in text.splitlines():
        if line.startswith("+++ "):
            path = line[4:].removeprefix("b/")
        elif (hunk := _HUNK.match(line)) and is_mutated(path):
            first, count = int(hunk[1]), int(hunk[2] or 1)
            found.setdefault(path, set()).update(range(first, first + count))
    return {path: lines for path, lines in found.items() if lines}


def is_mutated(path: str) -> bool:
    """Tell whether a module is written by hand and has tests of its own."""
    return package_of(path) is not None and not path.startswith(_DERIVED)


def package_of(path: str) -> str | None:
    return next((package for package in TESTS_OF if path.startswith(f"{package}/")), None)


def mirrored_tests(path: str, root: Path = ROOT) -> list[tuple[str, ...]]:
    """Name the tests of a module: of its room, its own file first, then of its package."""
    package = package_of(path)
    assert package is not None, path
    base = root / TESTS_OF[package]
    rooms = list(Path(path).relative_to(package).parent.parts)
    # The tests of the variants are named `async_`, since a leading underscore makes a name private.
    rooms = ["async_" if room == "_async" else room for room in rooms]
    folder = next(
        found
        for length in range(len(rooms), -1, -1)
        for order in (rooms[:length], rooms[:length][::-1])
        if (found := base.joinpath(*order)).is_dir()
    )
    own = sorted(folder.rglob(f"test_{Path(path).stem}.py"))
    near, far = [
        tuple(one.relative_to(root).as_posix() for one in stage)
        for stage in ([*own, folder], [base])
    ]
    return [near] if folder == base else [near, far]


def _git(root: Path, *words: str, check: bool = True) -> str:
    done = subprocess.run(
        ["git", *words], cwd=root, capture_output=True, text=True, check=False, timeout=60
    )
    if check and done.returncode:
        raise LookupError(done.stderr.strip())
    return done.stdout
