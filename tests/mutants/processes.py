"""Copies of the work tree, and runs of pytest in them."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from tests.mutants.changes import SETS

_LEFT_OUT = (".git", ".venv*", ".*cache", "__pycache__", "node_modules", "build", "dist")
_OUTER = {"PYTEST_CURRENT_TEST", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"}


class TestRun(NamedTuple):
    """Exit code of pytest, None if its time was up, and its test functions with their duration."""

    code: int | None
    seconds: dict[str, float]
    failed: set[str]


def copy_tree(root: Path, copy: Path) -> Path:
    """Copy the work tree; its environments and npm packages are linked."""
    shutil.copytree(root, copy, symlinks=True, ignore=shutil.ignore_patterns(*_LEFT_OUT))
    for environment in (*root.glob(".venv-*"), *root.glob("codegen/node/node_modules")):
        (copy / environment.relative_to(root)).symlink_to(environment)
    return copy


def run_tests(
    copy: Path, tests: Sequence[str], limit: float, *, measured: Path | None = None, jobs: int = 1
) -> TestRun:
    """Run tests in a copy of the work tree, `jobs` at a time, for `limit` seconds.

    They end with the first failure, or all run, `measured` by coverage.py with these settings.
    """
    with tempfile.TemporaryDirectory(prefix="synth-pools-tests-") as name:
        folder = Path(name)
        shutil.copy2(Path(__file__).with_name("recorder.py"), folder)
        records = folder / "records.jsonl"
        command = [sys.executable, "-m", "pytest", "-q", "--no-header", "-p", "no:cacheprovider"]
        # Under the name of its entry point xdist is loaded once.
        command += ["-p", "recorder", *(["-p", "xdist", "-n", str(jobs)] if jobs > 1 else [])]
        # The copy comes before the work tree that the environment has, in programs of tests too.
        path = os.pathsep.join([str(copy), str(copy / "generated"), str(folder)])
        added = {"PYTHONPATH": path, "RECORDER_FILE": str(records)}
        if measured:
            added["COVERAGE_PROCESS_START"] = str(measured)
            markers = sorted({SETS[name] for name in SETS if tests[0].startswith(name)})
            command += ["-m", " or ".join(markers)] if markers else []
        else:
            command += ["-x", "-m", ""]
        process = subprocess.Popen(
            [*command, *tests],
            cwd=copy,
            env={**{key: os.environ[key] for key in os.environ if key not in _OUTER}, **added},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        code = None
        try:
            with contextlib.suppress(subprocess.TimeoutExpired):
                code = process.wait(limit)
        finally:
            # Processes of tests may outlive pytest.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(20)
        return TestRun(code, *_read(records))


def _read(records: Path) -> tuple[dict[str, float], set[str]]:
    seconds: dict[str, float] = defaultdict(float)
    failed, passed = set[str](), set[str]()
    for line in records.read_text(encoding="utf-8").splitlines() if records.exists() else ():
        nodeid, outcome, duration = json.loads(line)
        # The name without parameters and the group of pytest-xdist.
        name = nodeid.partition("[")[0].partition("@")[0]
        seconds[name] += duration
        if outcome != "skipped":
            (failed if outcome == "failed" else passed).add(name)
    return {name: seconds[name] for name in passed | failed}, failed
