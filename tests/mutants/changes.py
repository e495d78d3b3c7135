"""Lines that changed since a revision, and the tests of a module."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from codegen.unasync import TREES, rewrite

ROOT = Path(__file__).parents[2]
# Folders and modules of hand-written code, with the folders of their tests.
TESTS_OF = {
    "synth_pools/__init__.py": "tests/client",
    "synth_pools/errors.py": "tests/client",
    "synth_pools/local.py": "tests/backend",
    "synth_pools/spec": "tests/spec",
    "synth_pools/_client": "tests/client",
    "synth_pools/backend/storage/postgres": "tests/postgres",
    "synth_pools/backend/sharing": "tests/postgres",
    "synth_pools/backend/services.py": "tests/backend tests/postgres",
    "synth_pools/backend/storage/claims.py": "tests/backend tests/postgres",
    "synth_pools/backend/storage/contents/bucket.py": "tests/s3",
    "synth_pools/backend/storage/contents/opening.py": "tests/backend tests/s3",
    "synth_pools/backend/processes/image_launcher.py": "tests/oci",
    "synth_pools/backend": "tests/backend",
    "synth_pools/contract": "tests/contract",
    "synth_pools/cli/contract": "tests/cli tests/contract",
    "synth_pools/cli": "tests/cli",
    "synth_pools/ui": "tests/ui",
    "codegen": "tests/codegen tests/spec",
    "bench": "tests/bench",
}
# Markers of tests that pytest leaves out by default. Only slow tests run benchmarks and generators
# as a whole.
SETS = {
    "tests/bench": "not tools",
    "tests/codegen": "not tools",
    "tests/oci": "oci",
    "tests/postgres": "postgres",
    "tests/s3": "s3",
}
_LEFT_OUT = (
    # Derived modules.
    "synth_pools/_client/_async/facade/siblings.py",
    "synth_pools/_client/_async/short_names/",
    "synth_pools/_client/_sync/",
    "synth_pools/cli/operations/table.py",
    # Tests of backends, which are tried with planted faults: `make contract-selftest`.
    "synth_pools/contract/scenarios/",
    "synth_pools/contract/stateful/",
    # Its tests need a cluster, and an environment of their own.
    "synth_pools/backend/processes/ray_cluster/",
)
_HUNK = re.compile(r"^@@ -\S+ \+(\d+)(?:,(\d+))? @@")


def changed_lines(since: str | None, root: Path = ROOT) -> dict[str, set[int]]:
    """List the lines of hand-written modules that are new in the work tree since a revision.

    The default is the fork from main, else the last tag. A moved file has no changed lines.

    Raises:
        LookupError: There is no such revision.
    """
    revision = since or _default_revision(root)
    text = _git(root, "diff", "--unified=0", "--find-renames", "--no-color", revision, "--", "*.py")
    changed: dict[str, set[int]] = {}
    path = ""
    for line in text.splitlines():
        if line.startswith("+++ "):
            path = line[4:].removeprefix("b/")
        elif (hunk := _HUNK.match(line)) and is_mutated(path):
            first, count = int(hunk[1]), int(hunk[2] or 1)
            changed.setdefault(path, set()).update(range(first, first + count))
    return {path: lines for path, lines in changed.items() if lines}


def _default_revision(root: Path) -> str:
    head = _git(root, "rev-parse", "HEAD").strip()
    for name in ("origin/main", "main"):
        base = _git(root, "merge-base", "HEAD", name, check=False).strip()
        if base and base != head:
            return base
    tag = _git(root, "describe", "--tags", "--abbrev=0", check=False).strip()
    if not tag:
        raise LookupError("neither a fork from main nor a tag: name a revision with --since")
    return tag


def _git(root: Path, *words: str, check: bool = True) -> str:
    command = ["git", *words]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60)
    if check and done.returncode:
        raise LookupError(done.stderr.strip())
    return done.stdout


def is_mutated(path: str) -> bool:
    """Tell whether a module is written by hand and has tests of its own."""
    return bool(_room_of(path)) and not path.startswith(_LEFT_OUT)


def _room_of(path: str) -> str:
    """Name the folder of hand-written code that a module is under, or the module itself."""
    return next((room for room in TESTS_OF if f"{path}/".startswith(f"{room}/")), "")


def modules_of(room: str, root: Path = ROOT) -> list[str]:
    """List the modules of a folder of hand-written code, derived modules included."""
    place = root / room
    paths = [place] if place.suffix else sorted(place.rglob("*.py"))
    return [path.relative_to(root).as_posix() for path in paths if path.is_file()]


def derived_of(path: str) -> str | None:
    """Name the sync module that is derived from an async module, or return None."""
    is_source = any(path.startswith(f"{source}/") for source in TREES)
    return rewrite(path) if is_source else None


def package_of(path: str) -> str:
    """Name the package of a module; both variants of one are one package."""
    return "/".join(part for part in Path(path).parent.parts if part not in {"async_", "sync_"})


def folders_of_tests(path: str) -> tuple[str, ...]:
    """Name the folders of the tests of a module."""
    return tuple(TESTS_OF[_room_of(path)].split())


def distance_of(path: str, tests: str) -> int:
    """Tell how near a file of tests is to a module: 0 its own, 1 in its package, 2 elsewhere."""
    if Path(tests).name == f"test_{Path(path).stem}.py":
        return 0
    # Tests of the variants are in `async_`, since a leading underscore makes a name private.
    package = package_of(path).replace("_async", "async_").replace("_client", "client")
    folder = package.partition("/")[2]
    return 1 if tests.startswith((f"tests/{folder}/", f"tests/{rewrite(folder)}/")) else 2
