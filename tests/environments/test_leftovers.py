"""Temporary folders of environments, of processes that run, end and are killed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PROGRAM = """
import sys
from synth_pools.environments.leftovers import open_folder
print(open_folder("words"), flush=True)
sys.stdin.read()
"""


@contextmanager
def owner(folder: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """A process that has a folder until its standard input ends, and the folder."""
    with subprocess.Popen(
        [sys.executable, "-c", _PROGRAM],
        env={"TMPDIR": str(folder)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield process, Path(process.stdout.readline().strip())


def test_a_folder_ends_with_its_process_or_at_the_start_of_the_next(tmp_path: Path) -> None:
    with owner(tmp_path) as (first, folder_of_first), owner(tmp_path) as (second, killed):
        (killed / "trial").mkdir()
        second.kill()
        second.wait(30)
        # Those of other kinds, and links, are none of its.
        others = [tmp_path / "synth-pools-harbor-x", tmp_path / "synth-pools-words-file"]
        others[0].mkdir()
        others[1].touch()
        (tmp_path / "synth-pools-words-link").symlink_to(others[0])
        with owner(tmp_path) as (third, folder_of_third):
            assert not killed.exists()
            assert folder_of_first.is_dir()
            assert third.poll() is None
        assert not folder_of_third.exists()
        assert all(path.exists() for path in others)
    assert first.returncode == 0
    assert not folder_of_first.exists()
