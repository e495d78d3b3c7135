"""Files by which shells complete `synth-pools`, which the wheel puts where shells look for them."""

from __future__ import annotations

from pathlib import Path

import click
from click.shell_completion import get_completion_class

from codegen import CodegenError

TARGET = "generated/completions"
# By the name under which each shell looks for it.
FILES = {"bash": "synth-pools.bash", "zsh": "_synth-pools", "fish": "synth-pools.fish"}
_PROGRAM = "synth-pools"
_VARIABLE = "_SYNTH_POOLS_COMPLETE"


def write_completions(folder: Path) -> None:
    """Write the file of each shell into a folder, which is made.

    Raises:
        CodegenError: click knows no such shell any more.
    """
    folder.mkdir()
    for shell, name in FILES.items():
        kind = get_completion_class(shell)
        if kind is None:
            raise CodegenError(f"click completes nothing in {shell}")
        # The script asks the program itself: which commands there are does not matter to it.
        maker = kind(click.Command(_PROGRAM), {}, _PROGRAM, _VARIABLE)
        text = maker.source_template % maker.source_vars()
        (folder / name).write_text(text.strip("\n") + "\n", encoding="utf-8", newline="\n")
