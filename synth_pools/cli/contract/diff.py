"""`synth-pools contract-diff`: compare two versions of a contract.

`synth_pools.spec.changes` decides whom a change breaks; no backend is called.
"""

from __future__ import annotations

import gc
from pathlib import Path

import click

from synth_pools.cli.contract.reports import write_file
from synth_pools.cli.failures import CommandError, KitCommand, needing
from synth_pools.cli.files import FILE, check_writable

_SIDES = {"both": {"clients", "servers"}, "clients": {"clients"}, "servers": {"servers"}}


@click.command("contract-diff", cls=KitCommand)
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    type=click.Choice(["text", "json", "github", "sarif", "junit"]),
    default="text",
    show_default=True,
    help="For a terminal, programs, GitHub, code scanning, or reports of tests.",
)
@click.option("--json", "form", flag_value="json", help="The same as --format json.")
@click.option(
    "--side",
    type=click.Choice(list(_SIDES)),
    default="both",
    show_default=True,
    help="Whom to protect: what breaks the other side alone is listed, and ends with 0.",
)
@click.option(
    "--baseline", type=FILE, metavar="KNOWN.JSON", help="Changes that are known and do not count."
)
@click.option("--baseline-update", is_flag=True, help="Add what has changed to the baseline.")
@click.option("--baseline-prune", is_flag=True, help="Remove from it what is no change any more.")
def contract_diff(
    old: Path,
    new: Path,
    form: str,
    side: str,
    baseline: Path | None,
    baseline_update: bool,
    baseline_prune: bool,
) -> int:
    """Compare two OpenAPI documents, 3.0 to 3.2: what changed, and whom that breaks.

    Clients and servers that keep the document OLD are judged by the document NEW. Files that they
    refer to are read, nothing is fetched. Exit status: 0 nothing breaks, 1 something breaks, 2 a
    file cannot be used (where, and what to write, is told), 3 an error of this program.

    \b
    Example:
      synth-pools contract-diff old.yaml openapi.yaml
    """
    with needing("`contract-diff`", "contract,cli"):
        # Imported here: other commands do not need the extra `contract`.
        from synth_pools.spec.changes import baseline as known
        from synth_pools.spec.changes import ci_reports, reports
        from synth_pools.spec.changes.comparison import compare_documents
        from synth_pools.spec.changes.parsing import UnusableDocumentError
        from synth_pools.spec.changes.source import read_openapi_file
    render = {
        "text": reports.render_changes,
        "json": reports.render_changes_json,
        "github": ci_reports.render_github,
        "sarif": ci_reports.render_sarif,
        "junit": ci_reports.render_junit_cases,
    }[form]
    if baseline is not None:
        check_writable(baseline, force=True)
    elif baseline_update or baseline_prune:
        raise CommandError("--baseline-update and --baseline-prune need --baseline")
    collects = gc.isenabled()
    # Documents are millions of objects that are used to the end: collections would find nothing.
    gc.disable()
    try:
        files = read_openapi_file(old), read_openapi_file(new)
        listed = known.read_known_changes(baseline) if baseline is not None else frozenset()
        changes = compare_documents(*files)
    except UnusableDocumentError as error:
        raise CommandError(str(error)) from None
    finally:
        if collects:
            gc.enable()
    known_count = 0
    if baseline is not None:
        current = known.known_changes(changes)
        remaining = listed & current if baseline_prune else listed
        remaining |= current if baseline_update else frozenset()
        if remaining != listed:
            write_file(baseline, known.render_known_changes(remaining))
        changes = known.without_known(changes, remaining)
        known_count = len(current & remaining)
        click.echo(f"{known_count} known changes of {baseline.name} do not count", err=True)
    click.echo(render(*files, changes, known_count), nl=False)
    return int(any(_SIDES[side].intersection(change.verdict.hurts) for change in changes))
