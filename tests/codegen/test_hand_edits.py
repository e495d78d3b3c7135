"""Edits by hand in derived files: `make generate` never replaces them silently."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from codegen import tree
from tests.codegen.test_generation import SMALL_SPEC, make_root, run

# Each generates a client.
pytestmark = pytest.mark.system

REPO = Path(__file__).parents[2]
CLIENT = "generated/synth_pools_api/models/thing.py"
SYNC = "synth_pools/_client/_sync/nap.py"


@pytest.fixture(scope="module")
def generated_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = make_root(tmp_path_factory.mktemp("edited"), SMALL_SPEC)
    assert run(root).returncode == 0
    return root


@pytest.fixture
def root(generated_once: Path, tmp_path: Path) -> Path:
    return shutil.copytree(generated_once, tmp_path / "root")


def append(root: Path, name: str, text: str = "# Mine.\n") -> int:
    """Append a line to a file; return its number."""
    path = root / name
    content = path.read_text(encoding="utf-8") if path.exists() else ""
    path.write_text(content + text, encoding="utf-8")
    return content.count("\n") + 1


def refused(root: Path) -> list[str]:
    """Check that the generation fails; return the lines of the error, with relative paths."""
    before = tree.files(root)
    completed = run(root)
    assert (completed.returncode, completed.stdout) == (1, "")
    assert tree.files(root) == before
    return completed.stderr.removeprefix("generate: ").replace(f"{root}/", "").splitlines()


def git(root: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=T", "-c", "user.email=t@example.com")
    subprocess.run(["git", *identity, *arguments], cwd=root, check=True, timeout=60)


def test_an_edit_of_the_document_is_taken_back_and_generated(root: Path) -> None:
    document = root / "openapi.yaml"
    edited = document.read_text(encoding="utf-8").replace("name: {type", "label: {type")
    document.write_text(edited, encoding="utf-8")
    completed = run(root)
    assert (completed.returncode, completed.stderr) == (0, "")
    assert (
        completed.stdout
        == f"generate: {root}/api/openapi.yaml: took back an edit of openapi.yaml\n"
    )
    assert (root / "api/openapi.yaml").read_text() == SMALL_SPEC.replace(
        "name: {type", "label: {type"
    )
    assert document.read_text(encoding="utf-8").partition("\n")[2] == edited.partition("\n")[2]
    assert "label" in (root / CLIENT).read_text()
    assert run(root, "--check").returncode == 0


def test_an_edit_of_the_document_that_breaks_it_changes_nothing(root: Path) -> None:
    document = root / "openapi.yaml"
    text = document.read_text(encoding="utf-8")
    document.write_text(text.replace("schemas/Thing'}}", "schemas/Thin'}}"), encoding="utf-8")
    (line,) = refused(root)
    assert line.startswith("api/openapi.yaml:13: $ref to #/components/schemas/Thin leads nowhere")


@pytest.mark.parametrize("name", [CLIENT, SYNC])
def test_an_edit_of_derived_code_stops_at_its_line(root: Path, name: str) -> None:
    line = append(root, name)
    first, last = refused(root)
    assert first == f"{name}:{line}: edited by hand"
    assert last == (
        "nothing is written; change what these are derived from, or lose the edits with --overwrite"
    )
    assert run(root, "--overwrite").returncode == 0
    assert "# Mine." not in (root / name).read_text()


def test_a_file_that_somebody_put_among_derived_ones_stops_the_run(root: Path) -> None:
    append(root, "synth_pools/_client/_sync/mine.py")
    assert refused(root)[0] == "synth_pools/_client/_sync/mine.py:1: edited by hand"


def test_every_edited_file_is_named(root: Path) -> None:
    append(root, CLIENT)
    append(root, SYNC)
    assert [line.partition(":")[0] for line in refused(root)[:-1]] == [CLIENT, SYNC]


def test_what_earlier_runs_wrote_is_no_edit(root: Path) -> None:
    source = root / "synth_pools/_client/_async/nap.py"
    first = (root / SYNC).read_bytes()
    append(root, "synth_pools/_client/_async/nap.py", "\nLONG = 5\n")
    assert run(root).returncode == 0
    # As after a change of branches: a new source, and the output of an older run.
    append(root, "synth_pools/_client/_async/nap.py", "\nLONGER = 6\n")
    (root / SYNC).write_bytes(first)
    assert run(root).returncode == 0
    assert "LONGER = 6" in (root / SYNC).read_text()
    assert "LONGER = 6" in source.read_text()


def commit(root: Path) -> None:
    git(root, "commit", "--quiet", "--all", "--message", "Edit")


def stage(root: Path) -> None:
    git(root, "add", "--all")


@pytest.mark.parametrize(("save", "is_saved"), [(commit, True), (stage, True), (None, False)])
def test_in_a_clone_what_git_has_may_be_replaced(
    root: Path, save: Callable[[Path], None] | None, is_saved: bool
) -> None:
    shutil.rmtree(root / "build")
    (root / ".gitignore").write_text("/build/\n")
    git(root, "init", "--quiet")
    git(root, "add", "--all")
    git(root, "commit", "--quiet", "--message", "All of it")
    line = append(root, SYNC)
    if save is not None:
        save(root)
    if is_saved:
        assert run(root).returncode == 0
        assert "# Mine." not in (root / SYNC).read_text()
    else:
        assert refused(root)[0] == f"{SYNC}:{line}: edited by hand"


def test_before_the_first_run_without_git_derived_files_are_renewed(root: Path) -> None:
    shutil.rmtree(root / "build")
    append(root, "synth_pools/_client/_async/nap.py", "\nLONG = 5\n")
    assert run(root).returncode == 0
    assert "LONG = 5" in (root / SYNC).read_text()
