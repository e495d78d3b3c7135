"""`make release`: from a clean clone to a tag, a dated changelog, a stored contract and a wheel."""

from __future__ import annotations

import datetime
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from codegen import CodegenError, api_changes, openapi32, release
from synth_pools.spec.changes.source import read_openapi_file

# Each test builds a wheel, or runs the checks of a release.
pytestmark = pytest.mark.system

REPO = Path(__file__).parents[2]
DAY = datetime.date(2026, 12, 1)
PROJECT = tomllib.loads((REPO / "pyproject.toml").read_text())
NEEDED = (
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "pyproject.toml",
    ".gitignore",
    # Files of the wheel from other folders.
    *PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"],
)


def git(root: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=T", "-c", "user.email=t@example.com")
    completed = subprocess.run(
        ["git", *identity, *arguments],
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return completed.stdout


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Repository with the files that a release reads, all committed."""
    for name in NEEDED:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(REPO / name, tmp_path / name)
    # Add an entry, as a release may just have dated all of them.
    changelog = (tmp_path / "CHANGELOG.md").read_text()
    new = "## [Unreleased]\n\n### Added\n\n- Something.\n"
    (tmp_path / "CHANGELOG.md").write_text(changelog.replace("## [Unreleased]\n", new, 1))
    for folder in ("synth_pools", "generated/synth_pools_api"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "__init__.py").write_text("")
    shutil.copy(REPO / "synth_pools/_version.py", tmp_path / "synth_pools")
    for name in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{name}_NAME", "T")
        monkeypatch.setenv(f"GIT_{name}_EMAIL", "t@example.com")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "--message", "All of it")
    return tmp_path


def test_a_release_is_dated_tagged_and_built_and_keeps_the_contract(root: Path) -> None:
    # Later than every version of this repository.
    assert release.release(root, "9.1.0", DAY) == "dist/synth_pools-9.1.0-py3-none-any.whl"
    assert git(root, "status", "--porcelain") == ""
    assert git(root, "tag", "--points-at", "HEAD").split() == ["v9.1.0"]
    changelog = (root / "CHANGELOG.md").read_text()
    assert "## [Unreleased]\n\n## [9.1.0] - 2026-12-01\n\n" in changelog
    assert '\nversion = "9.1.0"\n' in (root / "pyproject.toml").read_text()
    assert '\n__version__ = "9.1.0"\n' in (root / "synth_pools/_version.py").read_text()
    version = read_openapi_file(root / "openapi.yaml").content["info"]["version"]
    released = root / f"api/released/{version}.yaml"
    assert released.read_bytes() == (root / "openapi.yaml").read_bytes()
    assert (root / "dist" / openapi32.NAME).is_file()
    # The gate compares with the released document now.
    (last,) = api_changes.released_files(root)
    page = api_changes.render_page(root, read_openapi_file(root / "openapi.yaml"))
    assert f"\n## {version}\n\nThe first version.\n" in page
    assert last.content["info"]["version"] == version

    with pytest.raises(CodegenError, match="nothing under .Unreleased.; write what is new"):
        release.release(root, "9.2.0", DAY)
    with pytest.raises(CodegenError, match=r"v9.1.0 is released already; write a later VERSION"):
        release.release(root, "9.1.0", DAY)


def test_a_breaking_change_is_not_released_without_its_step(root: Path) -> None:
    release.release(root, "9.1.0", DAY)
    spec = (root / "openapi.yaml").read_text()
    (root / "openapi.yaml").write_text(spec.replace("list_pools\n", "find_pools\n", 1))
    changelog = (root / "CHANGELOG.md").read_text()
    changelog = changelog.replace("## [Unreleased]\n", "## [Unreleased]\n\n- Another name.\n")
    (root / "CHANGELOG.md").write_text(changelog)
    git(root, "commit", "--quiet", "--all", "--message", "Rename")
    with pytest.raises(CodegenError, match="operationId list_pools -> find_pools"):
        release.release(root, "9.2.0", DAY)
    assert git(root, "tag", "--list").split() == ["v9.1.0"]


@pytest.mark.parametrize("version", ["1.0", "v1.0.0", "", "1.0.0-rc1"])
def test_what_is_no_version_is_refused(root: Path, version: str) -> None:
    with pytest.raises(CodegenError, match=r"is no version; write VERSION=0.2.0"):
        release.release(root, version, DAY)


def test_why_a_release_is_refused_is_told_in_a_line(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert release.main(["1.0", "--root", str(root)]) == 1
    output = capsys.readouterr()
    assert (output.out, output.err) == ("", "release: '1.0' is no version; write VERSION=0.2.0\n")


def test_changes_are_committed_first(root: Path) -> None:
    (root / "README.md").write_text("Another")
    with pytest.raises(CodegenError, match=r"there are changes; commit them first: README.md"):
        release.release(root, "9.1.0", DAY)


@pytest.mark.parametrize(
    ("old", "new", "why"),
    [
        ("hatchling.build", "nothing.build", "nothing"),
        ('"examples/demo.py" =', '"gone.py" =', "Forced include not found"),
    ],
)
def test_a_wheel_that_cannot_be_built_leaves_everything_as_it_was(
    root: Path, old: str, new: str, why: str
) -> None:
    text = (root / "pyproject.toml").read_text()
    assert old in text
    (root / "pyproject.toml").write_text(text.replace(old, new))
    git(root, "commit", "--quiet", "--all", "--message", "Break the build")
    with pytest.raises(CodegenError, match=f"the wheel could not be built: .*{why}"):
        release.release(root, "9.1.0", DAY)
    assert git(root, "status", "--porcelain") == ""
    assert git(root, "tag", "--list") == ""
    assert not (root / "api/released").exists()
