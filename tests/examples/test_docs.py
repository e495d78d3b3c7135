"""Code on the pages of the documentation, run as a reader would type or paste it.

The blocks of a chapter run one after the other, with the same names; those of a page with a
console all together. What a page says that a program prints is compared with what it prints.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path
from typing import Any

import click
import pytest

from synth_pools.cli.main import root
from synth_pools.local import LocalBackend
from tests.support.commands import run_command
from tests.support.pages import BLOCKS, ROOT, Block, assert_printed

SHOWN = [block for block in BLOCKS if block.language in ("python", "console")]
TYPED = [block for block in BLOCKS if block.language == "sh"]
CONSOLES = {block.page for block in SHOWN if block.language == "console"}
UNITS = [
    list(blocks)
    for _, blocks in groupby(
        (block for block in SHOWN if not block.note),
        key=lambda block: (block.page, "" if block.page in CONSOLES else block.chapter),
    )
]


@pytest.fixture(scope="module")
def backend() -> Iterator[LocalBackend]:
    with LocalBackend() as backend:
        yield backend


def test_there_is_something_to_run() -> None:
    assert len(UNITS) > 20
    assert len(TYPED) > 10


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_says_what_it_is(block: Block) -> None:
    assert block.language, "name its language: text is one"
    if block.note == "run by":
        test = ROOT / block.reason
        assert Path(block.page).name in test.read_text(encoding="utf-8")
    elif block.note == "part of":
        assert block.text in (ROOT / block.reason).read_text(encoding="utf-8")
    elif block.note:
        assert len(block.reason.split()) > 2, "say why"


@pytest.mark.parametrize("blocks", UNITS, ids=lambda blocks: f"{blocks[0]}")
def test_it_runs(
    blocks: list[Block],
    backend: LocalBackend,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    for name in [name for name in os.environ if name.startswith(("SYNTH_", "XDG_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("SYNTH_API_KEY", backend.api_key)
    monkeypatch.setenv("SYNTH_BACKEND_URL", backend.url)
    monkeypatch.setenv("COLUMNS", "80")
    work, home = tmp_path / "work", tmp_path / "home"
    work.mkdir()
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.chdir(work)
    names: dict[str, Any] = {"__name__": "__main__"}
    for block in blocks:
        if block.language == "console":
            run_console(block)
            continue
        capsys.readouterr()
        # Tracebacks name the line of the page.
        lines = "\n" * block.line + block.text
        program = compile(lines, str(ROOT / block.page), "exec", dont_inherit=True)
        exec(program, names)
        if block.printed is not None:
            assert_printed(capsys.readouterr().out, block.printed, str(block))


def run_console(block: Block) -> None:
    for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]:
        line, _, expected = part.replace("\\\n", "").partition("\n")
        program, *words = shlex.split(line)
        if program == "synth-pools":
            completed = run_command(*words, environment=os.environ, folder=Path.cwd())
        else:
            program = sys.executable if program == "python" else program
            completed = subprocess.run(
                [program, *map(os.path.expandvars, words)],
                capture_output=True,
                text=True,
                timeout=60,
                check=False,
            )
        assert (completed.returncode, completed.stderr) == (0, ""), line
        assert_printed(completed.stdout, expected, line)


@pytest.mark.parametrize("block", TYPED, ids=str)
def test_what_is_typed_can_be_typed(block: Block) -> None:
    """Check names, options and extras of shell commands without running them."""
    command_count = 0
    for line in block.text.replace("\\\n", "").splitlines():
        for command in re.split(r" && | \| ", line):
            words = shlex.split(command, comments=True)
            if not words:
                continue
            command_count += 1
            program = Path(words[0]).name
            if program == "synth-pools":
                parse_command(words[1:])
            elif program == "make":
                assert f"\n{words[1]}:" in (ROOT / "Makefile").read_text()
            elif program in ("pip", "pipx", "uvx"):
                assert_extras_exist(words)
            else:
                assert words[0] == "export" or block.note or (ROOT / words[0]).is_file(), line
    assert command_count


def parse_command(words: list[str]) -> None:
    context = click.Context(root, info_name="synth-pools")
    command: click.Command | None = root
    while isinstance(command, click.Group):
        name, words = words[0], words[1:]
        command = command.get_command(context, name)
        assert command is not None, name
        context = click.Context(command, info_name=name, parent=context)
    assert command is not None
    # Values are not checked: they name files of the reader.
    command.make_parser(context).parse_args(args=list(words))


def assert_extras_exist(words: list[str]) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    for word in words:
        match = re.match(r"(?:synth-pools|\.)\[([\w,]+)\]", word)
        if match:
            assert set(match[1].split(",")) <= set(project["optional-dependencies"])
