"""Environments of frameworks that `env install` makes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from synth_pools.environments.kinds import KINDS
from synth_pools.environments.pythons import FOLDER_VARIABLE, NotInstalledError, install


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
