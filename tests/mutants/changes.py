"""Lines that changed since a revision, and the tests of a module."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from codegen.unasync import TREES, rewrite

ROOT = Path(__file__).parents[2]
# Where hand-written code is, a folder or a module, and the folder of its tests, or several.
TESTS_OF = {
    "synth_pools/__init__.py": "tests/client",
    "synth_pools/errors.py": "tests/client",
    "synth_pools/local.py": "tests/backend",
    "synth_pools/spec": "tests/spec",
    "synth_pools/_client": "tests/client",
    # Those that no quick test runs come before the folder that they are in.
    "synth_pools/backend/storage/postgres": "tests/postgres",
    "synth_pools/backend/sharing": "tests/postgres",
    "synth_pools/backend/services.py": "tests/backend tests/postgres",
    "synth_pools/backend/rollouts/claims.py": "tests/postgres",
    "synth_pools/backend/storage/claims.py": "tests/backend tests/postgres",
    "synth_pools/backend/storage/contents/bucket.py": "tests/s3",
    "synth_pools/backend/storage/contents/opening.py": "tests/backend tests/s3",
    "synth_pools/backend/processes/image_launcher.py": "tests/oci",
    "synth_pools/backend": "tests/backend",
    "synth_pools/contract": "tests/contract",
    "synth_pools/cli/contract": "tests/cli tests/contract",
    "synth_pools/cli": "tests/cli",
    "synth_pools/ui": "tests/ui tests/cli/local",
    "codegen": "tests/codegen tests/spec",
    "bench": "tests/bench",
}
# Markers of tests that pytest leaves out unless it is asked for them. Of benchmarks and generators
# what they do as a whole is tested by slow tests alone.
SETS = {
    "tests/bench": "not tools",
    "tests/codegen": "not tools",
    "tests/oci": "oci",
    "tests/postgres": "postgres",
    "tests/s3": "s3",
}
_DERIVED = (
    "synth_pools/_client/_async/short_names/",
    "synth_pools/_client/_sync/",
    "synth_pools/cli/operations/table.py",
)
# Tests of backends themselves: whether they see what they are there for is tried with faults that
# are planted in a backend, `make contract-selftest`.
_TRIED_BY_FAULTS = ("synth_pools/contract/scenarios/", "synth_pools/contract/stateful/")
# Its tests need a cluster, and run in an environment of their own.
_UNTRIED = ("synth_pools/backend/processes/ray_cluster/",)
_LEFT_OUT = _DERIVED + _TRIED_BY_FAULTS + _UNTRIED
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
    return room_of(path) is not None and not path.startswith(_LEFT_OUT)


def room_of(path: str) -> str | None:
    """Name the folder of hand-written code that a module is under, or the module itself."""
    return next((room for room in TESTS_OF if f"{path}/".startswith(f"{room}/")), None)


def modules_of(room: str, root: Path = ROOT) -> list[str]:
    """List the modules of a folder of hand-written code, those that are derived as well."""
    place = root / room
    paths = [place] if place.suffix else sorted(place.rglob("*.py"))
    return [path.relative_to(root).as_posix() for path in paths if path.is_file()]


def derived_of(path: str) -> str | None:
    """Name the module that is derived from another one, if any is."""
    is_source = any(path.startswith(f"{source}/") for source in TREES)
    return rewrite(path) if is_source else None


def package_of(path: str) -> str:
    """Name the package of a module; both variants of one are one package."""
    parts = [part for part in Path(path).parent.parts if part not in {"async_", "sync_"}]
    return "/".join(parts)


def folders_of_tests(path: str) -> tuple[str, ...]:
    """Name the folders of the tests of the room of a module."""
    room = room_of(path)
    assert room is not None, path
    return tuple(TESTS_OF[room].split())


def distance_of(path: str, tests: str) -> int:
    """Tell how near a file of tests is to a module: 0 its own, 1 of its package, 2 of its room."""
    if Path(tests).name == f"test_{Path(path).stem}.py":
        return 0
    room = room_of(path)
    assert room is not None, path
    # The tests of the variants are named `async_`, since a leading underscore makes a name private.
    package = Path(package_of(path)).relative_to(package_of(room) if room == path else room)
    rooms = {part.replace("_async", "async_") for part in package.parts}
    folders = set(Path(tests).parts)
    return 1 if rooms <= folders or {rewrite(part) for part in rooms} <= folders else 2


def _git(root: Path, *words: str, check: bool = True) -> str:
    done = subprocess.run(
        ["git", *words], cwd=root, capture_output=True, text=True, check=False, timeout=60
    )
    if check and done.returncode:
        raise LookupError(done.stderr.strip())
    return done.stdout
