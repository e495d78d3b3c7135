"""Completion files for shells; the wheel installs them into the folders that shells search."""

from __future__ import annotations

from pathlib import Path

from synth_pools.cli.completion import script_of

TARGET = "generated/completions"
# File names that each shell searches for.
FILES = {"bash": "synth-pools.bash", "zsh": "_synth-pools", "fish": "synth-pools.fish"}


def write_completions(folder: Path) -> None:
    """Write the file of each shell into a new folder."""
    folder.mkdir()
    for shell, name in FILES.items():
        text = script_of(shell).strip("\n") + "\n"
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
