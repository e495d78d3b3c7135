"""docs/command-line.md: its blocks run, and its tables say what the program does."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

from synth_pools.cli.failures import EXIT_STATUSES
from synth_pools.cli.operations.commands import FORMATS
from synth_pools.cli.operations.table import COMMANDS
from tests.cli.conftest import Command

PAGE = (Path(__file__).parents[2] / "docs/command-line.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def test_the_blocks_print_what_is_shown(
    command: Command, tmp_path: Path, monkeypatch: object
) -> None:
    ran = 0
    for block in BLOCK.findall(PAGE):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            line, _, shown = part.partition("\n")
            program, *words = shlex.split(line)
            assert program == "synth-pools"
            placed = [str(tmp_path / one) if one.endswith(".jsonl") else one for one in words]
            done = command(*placed)
            assert (done.returncode, done.stderr) == (0, ""), line
            expected = shown.replace("\n...\n", "\n").removeprefix("...\n")
            # The widths of columns follow from what is in them.
            assert squeezed(done.stdout).startswith(squeezed(expected)), line
            assert "..." in shown or squeezed(done.stdout) == squeezed(expected), line
            ran += 1
    assert ran > 8


def squeezed(text: str) -> str:
    return re.sub(r" +", " ", text)


def test_the_exit_statuses_are_those_of_the_program() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", PAGE, re.MULTILINE)
    assert dict(rows) == {str(int(status)): text for status, text in EXIT_STATUSES.items()}


def test_the_formats_are_those_of_the_program() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(FORMATS)


def test_the_aliases_are_those_of_the_table() -> None:
    aliases = {alias for row in COMMANDS for alias in row.aliases}
    assert aliases == {"ls", "rm", "submit"}
    assert all(f"`{alias}`" in PAGE or f" {alias}`" in PAGE for alias in aliases)
