"""Lint openapi.yaml: as OpenAPI 3.1, and as text for readers.

    python codegen/lint_spec.py             both documents of this repository
    python codegen/lint_spec.py FILE ...    other documents

Each problem is a line: the part, the line in it, the problem and the rule. Two linters are npm
packages. They run on the node of the machine if it is new enough, else on that of a wheel, so that
no machine skips them.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

# As a script, Python would import the modules of this folder in place of other packages.
if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from openapi_spec_validator import OpenAPIV31SpecValidator

from codegen import CodegenError, node_packages, tree
from codegen.parts import SPEC, join_parts
from codegen.spec_rules import read_joined_spec, read_spec_file
from synth_pools.spec.changes.source import OpenApiFile

ROOT = Path(__file__).resolve().parents[1]
CONTAINER = "container.openapi.yaml"
# Settings of the first npm package, with paths relative to them.
SETTINGS = ("redocly.yaml", ".redocly.lint-ignore.yaml")
RULES = node_packages.FOLDER / "spectral.yaml"


def main(argv: list[str] | None = None) -> int:
    names = sys.argv[1:] if argv is None else argv
    try:
        if names:
            files = [read_spec_file(Path(name)) for name in names]
            problems = list(_lint(files, [file.path for file in files], ROOT))
        else:
            problems = _lint_ours()
    except (CodegenError, OSError, subprocess.SubprocessError) as error:
        print(f"lint-spec: {error}", file=sys.stderr)
        return 1
    for line in problems:
        print(line, file=sys.stderr)
    return 1 if problems else 0


def _lint_ours() -> list[str]:
    """Lint the documents of this repository, openapi.yaml as joined from its parts."""
    joined = join_parts(ROOT)
    files = [read_joined_spec(joined), read_spec_file(ROOT / CONTAINER)]
    with tree.workspace(beside=ROOT) as folder:
        (folder / SPEC).write_text(joined.text, encoding="utf-8", newline="\n")
        for name in (CONTAINER, *SETTINGS):
            shutil.copy(ROOT / name, folder / name)
        return list(_lint(files, [folder / SPEC, folder / CONTAINER], folder))


def _lint(files: list[OpenApiFile], paths: list[Path], settings: Path) -> Iterator[str]:
    """Iterate over the problems of documents, which the linters read at these paths."""
    for file in files:
        for error in OpenAPIV31SpecValidator(file.content).iter_errors():
            nearest: Any = error
            # The alternative of a schema that the value almost matches.
            while nearest.context:
                nearest = max(
                    nearest.context, key=lambda alternative: len(alternative.absolute_path)
                )
            yield _line(file.at(tuple(nearest.absolute_path)), nearest.message, "openapi")
    node, npm = node_packages.node_and_npm()
    packages = node_packages.install(npm)
    redocly = str(packages / "@redocly/cli/bin/cli.js")
    spectral = str(packages / "@stoplight/spectral-cli/dist/index.js")
    lines = {path.resolve(): file.line for path, file in zip(paths, files, strict=True)}
    command = [*node, redocly, "lint", f"--config={settings / SETTINGS[0]}", "--format=json"]
    for problem in _run([*command, *map(str, paths)], settings):
        place = problem["location"][0]
        where = lines[(settings / place["source"]["ref"]).resolve()](place["start"]["line"])
        yield _line(where, problem["message"], problem["ruleId"])
    command = [*node, spectral, "lint", f"--ruleset={RULES}", "--fail-severity=warn", "--quiet"]
    for problem in _run([*command, "--format=json", *map(str, paths)], settings):
        where = lines[Path(problem["source"]).resolve()](problem["range"]["start"]["line"] + 1)
        yield _line(where, problem["message"], problem["code"])


def _line(where: str, message: str, rule: str) -> str:
    return f"{where}: {' '.join(message.split())[:400]} ({rule})"


def _run(command: list[str], folder: Path) -> Iterator[Any]:
    """Run a linter, and iterate over the problems that it prints as JSON."""
    result = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=300,
    )
    output = result.stdout.strip()
    try:
        while output:
            # The first linter prints an object for each document, the second a list.
            value, end = json.JSONDecoder().raw_decode(output)
            yield from value if isinstance(value, list) else value["problems"]
            output = output[end:].lstrip()
    except ValueError:
        raise CodegenError(f"a linter gave up: {_last(output)}") from None
    if result.returncode != 0 and not result.stdout.strip():
        raise CodegenError(f"a linter gave up: {_last(result.stderr)}")


def _last(output: str) -> str:
    return " ".join(output.split())[-400:]


if __name__ == "__main__":
    sys.exit(main())
