"""Copies of the work tree, and runs of pytest in them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from codegen.unasync import update_tests
from tests.mutants.changes import SETS

# What is imported and not rewritten by pytest, which keeps its own.
_COMPILED = ("synth_pools", "generated", "tests", "bench", "codegen")
_OUTER = {"PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"}


@dataclass(frozen=True)
class Ended:
    """End of a test, as `recorder.py` wrote it down."""

    context: str
    name: str
    seconds: float
    passed: bool
    skipped: bool


def copy_tree(root: Path, copy: Path) -> Path:
    """Copy what git tracks, as it is in the work tree, and what is new in it.

    Python finds by their contents which of the modules were changed since they were compiled: in a
    copy a module changes more than once a second.
    """
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    for name in filter(None, listed.stdout.split("\0")):
        source, target = root / name, copy / name
        # A tracked file may have been deleted in the work tree.
        if source.is_file():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, target)
    update_tests(copy)
    # Tests find the published clients in environments beside them.
    for environment in root.glob(".venv-*"):
        (copy / environment.name).symlink_to(environment)
    command = [sys.executable, "-m", "compileall", "-q", "--invalidation-mode", "checked-hash"]
    folders = [folder for folder in _COMPILED if (copy / folder).is_dir()]
    subprocess.run([*command, *folders], cwd=copy, check=True, timeout=600)
    return copy


def run_tests(
    copy: Path,
    tests: Sequence[str],
    limit: float,
    records: Path,
    *,
    measured: Path | None = None,
    jobs: int = 1,
) -> int | None:
    """Run tests in a copy of the work tree.

    Args:
        copy: Where to run them.
        tests: Names of tests, which end with the first that fails; or a folder, if `measured`.
        limit: After so many seconds they are ended.
        records: A folder for what `recorded` reads.
        measured: The settings with which coverage.py measures what they run.
        jobs: How many run at a time.

    Returns:
        The exit code of pytest; None if the time was up.
    """
    records.mkdir()
    plugins = records.with_name(f"{records.name}-plugin")
    plugins.mkdir()
    shutil.copy2(Path(__file__).with_name("recorder.py"), plugins)
    names = plugins / "tests.txt"
    names.write_text("\n".join(tests), encoding="utf-8")
    # Without their parameters, which pytest may write in another order here.
    functions = dict.fromkeys(name.partition("[")[0] for name in tests)
    (plugins / "functions.txt").write_text("\n".join(functions), encoding="utf-8")
    command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider"]
    # By the name of its entry point, so that it is not there twice.
    command += ["-p", "recorder", *(["-p", "xdist", "-n", str(jobs)] if jobs > 1 else [])]
    # The copy comes before the work tree that the environment points to, in processes of tests too.
    path = os.pathsep.join([str(copy), str(copy / "generated"), str(plugins)])
    added = {"PYTHONPATH": path, "RECORDER_FOLDER": str(records)}
    if measured:
        added["COVERAGE_PROCESS_START"] = str(measured)
        command += _set_of(tests)
    else:
        added["RECORDER_TESTS"] = str(names)
        # They are chosen by their names, whatever set they are of.
        command += ["-x", "-m", ""]
    process = subprocess.Popen(
        [*command, f"@{plugins / 'functions.txt'}"],
        cwd=copy,
        # Of a run of tests that this may be inside of, nothing is handed on.
        env={**{name: value for name, value in os.environ.items() if name not in _OUTER}, **added},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    with _ended(process):
        try:
            return process.wait(limit)
        except subprocess.TimeoutExpired:
            return None


def _set_of(tests: Sequence[str]) -> list[str]:
    """Ask pytest for the set of tests that a folder is of, if it is of one."""
    markers = {marker for place, marker in SETS.items() for test in tests if test.startswith(place)}
    return ["-m", " or ".join(sorted(markers))] if markers else []


def recorded(records: Path) -> list[Ended]:
    """Read how the tests of a run ended."""
    return [
        Ended(**json.loads(line))
        for path in sorted(records.glob("*.jsonl"))
        for line in path.read_text(encoding="utf-8").splitlines()
    ]


def end_what_runs() -> None:
    """End the test runs that are under way."""
    for process in list(_running):
        _kill(process)


_running: set[subprocess.Popen[bytes]] = set()


@contextlib.contextmanager
def _ended(process: subprocess.Popen[bytes]) -> Iterator[None]:
    """End the process, and the processes that its tests have left."""
    _running.add(process)
    try:
        yield
    finally:
        _running.discard(process)
        _kill(process)
        process.wait(20)


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
