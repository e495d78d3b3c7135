"""`synth-pools commands`: every command with its operation, arguments, options and help."""

from __future__ import annotations

import json
from collections.abc import Iterator
from inspect import cleandoc
from typing import Any

import click

from synth_pools.cli.output import grid, write_bytes, write_text


@click.command()
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="A table for people, or JSON with everything.",
)
@click.pass_context
def commands(context: click.Context, output: str) -> int:
    """List all commands, with their options.

    JSON has for each of them its operations in openapi.yaml, arguments, options and help: what
    documentation and other programs are made from.

    \b
    Example:
      synth-pools commands --output json
    """
    found = list(iter_commands(context.find_root()))
    if output == "json":
        write_bytes(json.dumps({"commands": found}, indent=2).encode())
        return 0
    rows = [
        [one["command"], one["summary"], ", ".join(one["operations"]) or "-"]
        for one in found
        if not one["hidden"]
    ]
    write_text(grid(["COMMAND", "SUMMARY", "OPERATIONS"], rows))
    return 0


def iter_commands(context: click.Context) -> Iterator[dict[str, Any]]:
    """Describe every command below the one of a context, in the order of the help."""
    # With the table, which other commands do without.
    from synth_pools.cli.operations.table import COMMANDS

    operations = {(row.group, row.name): row for row in COMMANDS}
    group = context.command
    assert isinstance(group, click.Group)  # noqa: S101 - only groups have commands below them
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None:
            continue
        below = click.Context(command, info_name=name, parent=context)
        if isinstance(command, click.Group):
            yield from iter_commands(below)
            continue
        within = "" if context.parent is None else str(context.info_name)
        row = operations.get((within, name))
        yield {
            "command": " ".join(filter(None, [within, name])),
            "aliases": [] if row is None else list(row.aliases),
            "operations": [] if row is None else [one for one, _ in row.operations],
            "kind": None if row is None else row.kind,
            "hidden": command.hidden,
            "summary": command.get_short_help_str(200),
            "usage": command.get_usage(below).removeprefix("Usage: "),
            "help": cleandoc(command.help or "").replace("\b\n", ""),
            "arguments": [
                _argument(one, below)
                for one in command.get_params(below)
                if isinstance(one, click.Argument)
            ],
            "options": [
                _option(one) for one in command.get_params(below) if isinstance(one, click.Option)
            ],
        }


def _argument(one: click.Argument, context: click.Context) -> dict[str, Any]:
    return {
        "name": one.name,
        "metavar": one.make_metavar(context),
        "required": one.required,
        "many": one.nargs == -1,
    }


def _option(one: click.Option) -> dict[str, Any]:
    choices = one.type.choices if isinstance(one.type, click.Choice) else None
    plain = one.default if isinstance(one.default, str | int | float | bool) else None
    return {
        "flags": [*one.opts, *one.secondary_opts],
        "metavar": one.metavar,
        "choices": None if choices is None else [str(choice) for choice in choices],
        "default": plain,
        "is_flag": one.is_flag,
        "repeated": one.multiple,
        "help": one.help or "",
    }
