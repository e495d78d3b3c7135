"""`synth-pools spec`: the contract, openapi.yaml, as it came with this program."""

from __future__ import annotations

import json

import click

from synth_pools.cli.output import write_bytes, write_text
from synth_pools.spec import load_spec, spec_path


@click.command()
@click.option("--path", "only_path", is_flag=True, help="Print its path, not its text.")
@click.option(
    "-o",
    "--output",
    type=click.Choice(["yaml", "json"]),
    default="yaml",
    show_default=True,
    help="As it is, or as JSON.",
)
def spec(only_path: bool, output: str) -> int:
    """Print the contract, openapi.yaml, as it came with this program.

    \b
    Example:
      synth-pools spec --path
    """
    if only_path:
        write_text(f"{spec_path()}\n")
    elif output == "yaml":
        write_bytes(spec_path().read_bytes())
    else:
        write_bytes(json.dumps(load_spec(), indent=2, default=str).encode())
    return 0
