"""Environments of frameworks that `env install` makes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from synth_pools.environments.kinds import KINDS
from synth_pools.environments.pythons import (
    FOLDER_VARIABLE,
    NotInstalledError,
    find_python,
    install,
)


def test_requirements_of_ones_own_are_installed_with_a_framework(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    commands: list[Sequence[str]] = []

    def run(command: Sequence[str]) -> int:
        commands.append(command)
        return len(commands) - 1

    with pytest.raises(NotInstalledError, match="gymnasium was not installed"):
        install(KINDS["gymnasium"], None, run, ["gymnasium[box2d]"])
    make, fill = commands
    assert str(tmp_path / "gymnasium") in make
    assert any(word.startswith(("gymnasium<2", "gymnasium>")) for word in fill)
    assert fill[-1] == "gymnasium[box2d]"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("was_killed", [False, True])
def test_a_former_environment_is_there_until_a_new_one_works(
    was_killed: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path))
    python = tmp_path / "gymnasium" / "bin" / "python"

    def make(text: str) -> int:
        python.parent.mkdir(parents=True)
        python.write_text(f"#!/bin/sh\necho '{text}'\n")
        python.chmod(0o755)
        return 0

    make('[[], "1.0", [3, 11]]')
    if was_killed:
        # With half of a new one in its place.
        python.parent.parent.rename(tmp_path / ".gymnasium.former")
        python.parent.mkdir(parents=True)
    with pytest.raises(NotInstalledError, match="gymnasium was not installed"):
        install(KINDS["gymnasium"], "/nothing", lambda _: 1)
    assert find_python(KINDS["gymnasium"]).release == "1.0"

    def run(_: Sequence[str]) -> int:
        return 0 if python.exists() else make('[[], "2.0", [3, 11]]')

    assert install(KINDS["gymnasium"], None, run).release == "2.0"
    assert [path.name for path in tmp_path.iterdir()] == ["gymnasium"]
