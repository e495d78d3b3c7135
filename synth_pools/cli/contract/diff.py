"""`synth-pools contract-diff`: compare two versions of the contract.

`synth_pools.spec.changes` decides whom a change breaks; no backend is called.
"""

from __future__ import annotations

from pathlib import Path

import click

from synth_pools.cli.failures import CommandError, KitCommand, needing


@click.command("contract-diff", cls=KitCommand)
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="JSON in place of text, for programs.")
def contract_diff(old: Path, new: Path, as_json: bool) -> int:
    """Compare two OpenAPI 3.1 documents: what changed, and whom that breaks.

    Clients and servers that keep the document OLD are judged by the document NEW. Exit status: 0
    nothing breaks, 1 something breaks, 2 a file cannot be used (where, and what to write, is told).

    \b
    Example:
      synth-pools contract-diff old.yaml openapi.yaml
    """
    with needing("`contract-diff`", "contract,cli"):
        # Imported here: other commands do not need the extra `contract`.
        from synth_pools.spec.changes.comparison import compare_documents
        from synth_pools.spec.changes.reports import render_changes, render_changes_json
        from synth_pools.spec.changes.source import UnusableDocumentError, read_openapi_file
        from synth_pools.spec.changes.verdicts import Level, heaviest_level
    try:
        files = read_openapi_file(old), read_openapi_file(new)
    except UnusableDocumentError as error:
        raise CommandError(str(error)) from None
    changes = compare_documents(*files)
    render = render_changes_json if as_json else render_changes
    click.echo(render(*files, changes), nl=False)
    return int(heaviest_level(changes) is Level.BREAKING)
