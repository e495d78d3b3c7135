"""Release of a version: date the changelog, keep the contract, build, commit and tag.

    python codegen/release.py 0.2.0

`make release VERSION=0.2.0` runs the checks and the tests before. Nothing is pushed or uploaded. A
failure leaves the repository as it was.
"""

from __future__ import annotations

import argparse
import datetime
import re
import subprocess
import sys
from pathlib import Path

# As a script, Python would import the modules of this folder in place of other packages.
if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from codegen import CodegenError, api_changes, openapi32
from codegen.parts import SPEC
from codegen.spec_rules import read_spec_file

CHANGELOG = "CHANGELOG.md"
_UNRELEASED = "## [Unreleased]\n"
_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
# Files with the version of the package on a separate line.
_NAMED_IN = ("pyproject.toml", "synth_pools/_version.py")
_VERSION_LINE = re.compile(r'^((?:__version__|version) = )".*"$', re.MULTILINE)
_RAISED = re.compile(r"[\w.]*(?:Error|Exception): ")


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Release a version.")
    parser.add_argument("version", help="the version, as 0.2.0")
    parser.add_argument("--root", type=Path, default=Path(__file__).resolve().parents[1])
    options = parser.parse_args(argv)
    try:
        wheel = release(
            options.root.resolve(), options.version, datetime.datetime.now(tz=datetime.UTC).date()
        )
    except CodegenError as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    print(f"v{options.version} is tagged, {wheel} is built; to publish: git push --follow-tags")
    return 0


def release(root: Path, version: str, day: datetime.date) -> str:
    """Release a version from a clean checkout; return the path of the wheel below `root`.

    Raises:
        CodegenError: It cannot be released; nothing has changed.
    """
    changelog = _ready(root, version, day)
    spec = read_spec_file(root / SPEC)
    problems = api_changes.check_step(api_changes.released_files(root), spec)
    if problems:
        raise CodegenError("\n".join(problems))
    head = _git(root, "rev-parse", "HEAD").strip()
    try:
        (root / CHANGELOG).write_text(changelog, encoding="utf-8")
        for name in _NAMED_IN:
            text = (root / name).read_text(encoding="utf-8")
            text = _VERSION_LINE.sub(rf'\g<1>"{version}"', text, count=1)
            (root / name).write_text(text, encoding="utf-8")
        released = root / api_changes.RELEASED / f"{spec.content['info']['version']}.yaml"
        if not released.exists():
            released.parent.mkdir(parents=True, exist_ok=True)
            released.write_bytes((root / SPEC).read_bytes())
        wheel = _build(root, version)
        openapi32.write(root / SPEC, (root / wheel).parent)
        _git(root, "add", "--all")
        _git(root, "commit", "--quiet", "--message", f"Release {version}")
        _git(root, "tag", "--annotate", f"v{version}", "--message", f"synth-pools {version}")
    except BaseException:
        _git(root, "reset", "--quiet", "--hard", head)
        _git(root, "clean", "--quiet", "--force", "-d", "--", api_changes.RELEASED)
        raise
    return wheel


def _ready(root: Path, version: str, day: datetime.date) -> str:
    """Refuse an impossible release, else return the new changelog."""
    requested = _VERSION.fullmatch(version)
    if requested is None:
        raise CodegenError(f"{version!r} is no version; write VERSION=0.2.0")
    changed = _git(root, "status", "--porcelain")
    if changed:
        raise CodegenError(f"there are changes; commit them first: {changed.split()[1]}")
    tags = _git(root, "tag", "--list", "v*").split()
    for tag in tags:
        released = _VERSION.fullmatch(tag.removeprefix("v"))
        if released is not None and _numbers(released) >= _numbers(requested):
            raise CodegenError(f"{tag} is released already; write a later VERSION than {version}")
    text = (root / CHANGELOG).read_text(encoding="utf-8")
    before, heading, after = text.partition(_UNRELEASED)
    entries = after.partition("\n## [")[0]
    if not heading or "\n- " not in entries:
        where = f"{CHANGELOG}:{before.count(chr(10)) + 1}"
        raise CodegenError(f"{where}: nothing under [Unreleased]; write what is new")
    return f"{before}{_UNRELEASED}\n## [{version}] - {day.isoformat()}\n{after}"


def _numbers(match: re.Match[str]) -> tuple[int, ...]:
    return tuple(int(part) for part in match.groups())


def _build(root: Path, version: str) -> str:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel", "--quiet"]
    command += ["--no-deps", "--no-build-isolation", "--wheel-dir", "dist", "."]
    result = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=300)
    name = f"dist/synth_pools-{version}-py3-none-any.whl"
    if result.returncode != 0 or not (root / name).is_file():
        lines = [line.strip() for line in result.stderr.splitlines() if line.strip()]
        # pip ends with advice; the last quoted exception, indented or not, is the cause.
        raised = [line[match.start() :] for line in lines if (match := _RAISED.search(line))]
        why = (raised or lines or ["no wheel"])[-1]
        raise CodegenError(f"the wheel could not be built: {why}")
    return name


def _git(root: Path, *arguments: str) -> str:
    result = subprocess.run(
        ["git", *arguments],  # noqa: S607 - the git of this machine
        cwd=root,
        capture_output=True,
        text=True,
        timeout=60,
    )
    if result.returncode != 0:
        message = " ".join(result.stderr.split())
        raise CodegenError(f"git {arguments[0]}: {message}")
    return result.stdout


if __name__ == "__main__":
    sys.exit(main())
