"""docs/command-line.md: its tables say what the program does."""

from __future__ import annotations

import re
from pathlib import Path

from synth_pools.cli.failures import EXIT_STATUSES
from synth_pools.cli.operations.commands import FORMATS
from synth_pools.cli.operations.table import COMMANDS

PAGE = (Path(__file__).parents[2] / "docs/command-line.md").read_text(encoding="utf-8")


def test_the_exit_statuses_are_those_of_the_program() -> None:
    rows = re.findall(r"^\| (\d+) \| (.+) \|$", PAGE, re.MULTILINE)
    assert dict(rows) == {str(int(status)): text for status, text in EXIT_STATUSES.items()}


def test_the_formats_are_those_of_the_program() -> None:
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(FORMATS)


def test_the_aliases_are_those_of_the_table() -> None:
    aliases = {alias for row in COMMANDS for alias in row.aliases}
    assert aliases == {"ls", "rm", "show", "submit"}
    assert all(f"`{alias}`" in PAGE or f" {alias}`" in PAGE for alias in aliases)
