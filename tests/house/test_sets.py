"""Sets of tests that are run apart: each is chosen by its marker, and by nothing else."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import SETS
from tests.house.tree import ROOT

OWN = [name for name in SETS if name not in ("house", "system")]


def collected(*options: str) -> list[str]:
    """The files of the tests that pytest would run."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider"]
    done = subprocess.run([*command, *options], cwd=ROOT, capture_output=True, text=True)
    # 5 where it has found none.
    assert done.returncode in (0, 5), done.stdout
    lines = done.stdout.splitlines()
    return sorted({line.partition("::")[0] for line in lines if "::" in line})


def test_none_of_them_is_run_unasked() -> None:
    assert collected(*(f"tests/{name}" for name in OWN)) == []


def test_those_are_run_alone_that_are_asked_for() -> None:
    # Two at once: each run of pytest takes seconds.
    names = ("oci", "postgres")
    result = collected("-m", " or ".join(names), *(f"tests/{name}" for name in OWN))
    assert result == [
        f"tests/{name}/{path.name}"
        for name in names
        for path in sorted(SETS[name].glob("test_*.py"))
    ]
