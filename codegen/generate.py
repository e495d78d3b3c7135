"""Write all derived files.

These are openapi.yaml from its parts, generated/, the sync variant, the short names of operations,
the operations that repeat others, the table of commands and the completion files of shells.

    python codegen/generate.py                write the files
    python codegen/generate.py --check        compare with a fresh run; exit 1 and name what differs
    python codegen/generate.py --overwrite    write the files, even over edits by hand

All files are written to a temporary folder and then swapped in: a failure changes nothing. The same
input gives the same bytes on every machine. An edit of openapi.yaml is taken back into its parts;
an edit of another derived file stops the run.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from pathlib import Path

# As a script, Python would import the modules of this folder in place of other packages.
if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from codegen import (
    CodegenError,
    completions,
    contract_clauses,
    formatting,
    short_names,
    siblings,
    tree,
    unasync,
)
from codegen import command_table as commands
from codegen.client import generate_client
from codegen.hand_edits import record_written, refuse_hand_edits
from codegen.overlay import join_overlay
from codegen.parts import SPEC, JoinedDocument, join_parts
from codegen.spec_rules import read_joined_spec
from codegen.take_back import take_back

CONFIG = "generator_config.yml"
TEMPLATES = "codegen/templates"
CLIENT = "generated/synth_pools_api"
ASYNC = "synth_pools/_client/_async"


def derive(root: Path, work: Path, joined: JoinedDocument) -> dict[str, Path]:
    """Write every derived file and folder below `work`; return their paths by target."""
    spec = read_joined_spec(joined)
    document_path = work / SPEC
    document_path.write_text(joined.text, encoding="utf-8", newline="\n")
    client = work / "client"
    document = join_overlay(spec.content, root)
    generate_client(document, root / CONFIG, root / TEMPLATES, client, file=spec)
    formatting.format_generated(client)
    table = work / "commands" / Path(commands.TARGET).name
    table.parent.mkdir()
    commands.write_command_table(document, table)
    formatting.format_ours(table.parent, settings=root / "pyproject.toml")
    completed = work / "completions"
    completions.write_completions(completed)
    targets = {
        SPEC: document_path,
        CLIENT: client,
        commands.TARGET: table,
        completions.TARGET: completed,
    }
    variants = {ASYNC: _complete_async_tree(root / ASYNC, work / "async", root / "pyproject.toml")}
    for name in (short_names.TARGET, siblings.TARGET):
        if (derived := variants[ASYNC] / name).exists():
            targets[f"{ASYNC}/{name}"] = derived
    for number, (source, target) in enumerate(unasync.TREES.items()):
        origin = variants.get(source, root / source)
        if origin.is_dir():
            derived = work / f"sync{number}"
            unasync.derive_tree(origin, derived, label=source)
            formatting.format_ours(derived, settings=root / "pyproject.toml")
            targets[target] = derived
    return targets


def _complete_async_tree(source: Path, output: Path, settings: Path) -> Path:
    """Copy the async tree to `output`, with new siblings and short names."""
    ignored = shutil.ignore_patterns("__pycache__", short_names.TARGET)
    shutil.copytree(source, output, ignore=ignored)
    if (source / short_names.FACADE).is_dir():
        siblings.derive(output)
        formatting.format_ours(output / short_names.FACADE, settings=settings)
        short_names.derive(output, output / short_names.TARGET)
        formatting.format_ours(output / short_names.TARGET, settings=settings)
    return output


def write(root: Path, *, overwrite: bool = False) -> list[Path]:
    """Write all derived files, and take edits of openapi.yaml back into its parts.

    Args:
        root: The repository.
        overwrite: Replace edits by hand instead of taking them back or refusing them.

    Returns:
        The changed parts.

    Raises:
        CodegenError: The document cannot be used, or an edit would be lost; nothing has changed.
    """
    joined, parts = (join_parts(root), {}) if overwrite else take_back(root)
    with tree.workspace(beside=root) as work:
        derived = derive(root, work, joined)
        if not overwrite:
            refuse_hand_edits(root, {name: derived[name] for name in derived if name != SPEC})
        replaced = {root / target: fresh for target, fresh in derived.items()}
        for number, (part, text) in enumerate(parts.items()):
            replaced[part] = work / f"part{number}.yaml"
            replaced[part].write_text(text, encoding="utf-8", newline="\n")
        for number, (target, fresh) in enumerate(replaced.items()):
            tree.swap(fresh, target, attic=work / f"old{number}")
    record_written(root, derived)
    return [*parts]


def check(root: Path) -> list[str]:
    with tree.workspace(beside=None) as work:
        return [
            line
            for target, fresh in derive(root, work, join_parts(root)).items()
            for line in tree.differences(target, root / target, fresh)
        ]


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument(
        "--overwrite", action="store_true", help="replace edits by hand in derived files"
    )
    parser.add_argument(
        "--root",
        type=Path,
        default=Path(__file__).resolve().parents[1],
        help="the repository (default: this one)",
    )
    options = parser.parse_args(argv)
    root = options.root.resolve()
    try:
        if not options.check:
            for part in write(root, overwrite=options.overwrite):
                print(f"generate: {part}: took back an edit of {SPEC}")
            for line in contract_clauses.clause_problems(root):
                print(f"look at: {line}", file=sys.stderr)
            return 0
        lines = check(root)
    except (CodegenError, OSError) as error:
        print(f"generate: {error}", file=sys.stderr)
        return 1
    if lines:
        print("\n".join([*lines, "generate: not up to date; run `make generate`"]), file=sys.stderr)
    stale = contract_clauses.clause_problems(root)
    if stale:
        stale.append("clauses: look at these scenarios, then run `make clauses`")
        print("\n".join(stale), file=sys.stderr)
    return 1 if lines or stale else 0


if __name__ == "__main__":
    sys.exit(main())
