"""Files by which shells complete `synth-pools`, which the wheel puts where shells look for them."""

from __future__ import annotations

from pathlib import Path

from synth_pools.cli.completion import script_of

TARGET = "generated/completions"
# By the name under which each shell looks for it.
FILES = {"bash": "synth-pools.bash", "zsh": "_synth-pools", "fish": "synth-pools.fish"}


def write_completions(folder: Path) -> None:
    """Write the file of each shell into a folder, which is made."""
    folder.mkdir()
    for shell, name in FILES.items():
        text = script_of(shell).strip("\n") + "\n"
        (folder / name).write_text(text, encoding="utf-8", newline="\n")
