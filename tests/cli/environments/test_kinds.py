"""References to environments."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path

import pytest

import synth_pools
from synth_pools.environments.kinds import KINDS, split_reference

_LAUNCH = Path(synth_pools.__file__).parent / "environments" / "launch.py"


def test_a_reference_has_a_kind_and_a_name() -> None:
    kind, name = split_reference("gymnasium:module:Guess-v0")
    assert (kind.name, name) == ("gymnasium", "module:Guess-v0")


@pytest.mark.parametrize("reference", ["", "CartPole-v1", "gym:CartPole-v1", "harbor", ":x"])
def test_what_is_none_is_told_with_the_kinds(reference: str) -> None:
    with pytest.raises(ValueError, match="The kinds are gymnasium, inspect"):
        split_reference(reference)


def test_a_kind_alone_is_told_with_its_example() -> None:
    with pytest.raises(ValueError, match=r"write harbor:\./tasks"):
        split_reference("harbor:")


def test_each_kind_has_an_extra() -> None:
    assert set(KINDS) <= set(metadata("synth-pools").get_all("Provides-Extra") or ())


def test_the_program_needs_no_installation_of_this_package(tmp_path: Path) -> None:
    # A program beside it that says which modules it has loaded.
    program = tmp_path / "program.py"
    program.write_text(
        "import json, runpy, sys\n"
        f"sys.argv = [{str(_LAUNCH)!r}, 'nothing']\n"
        "try:\n"
        f"    runpy.run_path({str(_LAUNCH)!r}, run_name='__main__')\n"
        "except SystemExit as error:\n"
        "    print(json.dumps([error.code, sorted(sys.modules)]))\n"
    )
    command = [sys.executable, "-P", "-S", str(program)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    status, modules = json.loads(answer.stdout)
    assert status == 78
    assert "'nothing' is no environment" in answer.stderr
    assert "synth_pools.container" in modules
    assert {"httpx", "attrs", "synth_pools._client"}.isdisjoint(modules)
