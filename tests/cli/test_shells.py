"""Completion in a shell that runs: keys are pressed on a terminal, and the line is read from it."""

from __future__ import annotations

import contextlib
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from synth_pools.cli.completion import script_of
from synth_pools.local import LocalBackend
from tests.support.terminal import Terminal, program_on_terminal

# Contents before the script, by the file that `synth-pools completion --help` names.
FILES = {
    "bash": {".bashrc": "PS1='ready> '"},
    "zsh": {".zshrc": "PS1='ready> '"},
    "fish": {
        ".config/fish/completions/synth-pools.fish": "",
        ".config/fish/config.fish": "function fish_prompt; echo -n 'ready> '; end",
    },
}
CLEAR_LINE = "\x15"


@pytest.fixture(scope="module")
def backend() -> Iterator[LocalBackend]:
    with LocalBackend() as backend, backend.client() as client:
        client.create_pool({"id": "completed-pool", "name": "x"})
        yield backend


@pytest.fixture(params=sorted(FILES))
def shell(
    request: pytest.FixtureRequest, backend: LocalBackend, tmp_path: Path
) -> Iterator[Terminal]:
    """Shell that has read the script from the documented place."""
    name = request.param
    for program in (name, "setsid"):
        if shutil.which(program) is None:
            pytest.skip(f"there is no {program} here")
    script = script_of(name)
    for path, before in FILES[name].items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(before + "\n")
        if path == next(iter(FILES[name])):
            (tmp_path / path).write_text(f"{before}\n{script}\n")
    environment = {
        "HOME": str(tmp_path),
        "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
        "SYNTH_BACKEND_URL": backend.url,
        "SYNTH_API_KEY": backend.api_key,
    }
    # The terminal is the shell's own, as fish wants it.
    with program_on_terminal(["setsid", "--ctty", name, "-i"], environment) as terminal:
        terminal.until("ready> ")
        yield terminal


def test_commands_options_ids_and_files_are_completed(shell: Terminal, tmp_path: Path) -> None:
    (tmp_path / "a-folder").mkdir()
    for line, completed in (
        ("synth-pools rol", "rollouts"),
        ("synth-pools rollouts wa", "watch"),
        ("synth-pools pools list --sta", "--state"),
        ("synth-pools pools get completed-p", "completed-pool"),
        ("synth-pools serve --data-dir ~/a-fol", "a-folder"),
    ):
        press_tab(shell, line, completed)


def press_tab(shell: Terminal, line: str, completed: str) -> None:
    """Press it until the line is completed: ids may not be there at once."""
    for _ in range(30):
        shell.type(f"{CLEAR_LINE}{line}\t")
        with contextlib.suppress(TimeoutError):
            shell.until(completed, seconds=2)
            return
    raise AssertionError(f"{line} is completed to {shell.text!r}")
