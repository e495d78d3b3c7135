"""`synth-pools commands` and `spec`: all commands, and the contract that they are made from."""

from __future__ import annotations

import json
from collections.abc import Iterator
from inspect import cleandoc
from typing import Any

import click

from synth_pools import __version__
from synth_pools.cli.output import form_option, grid, write_bytes, write_text
from synth_pools.spec import load_spec, spec_path


@click.command()
@form_option("A table for people, or JSON with everything.")
@click.pass_context
def commands(context: click.Context, form: str) -> int:
    """List all commands, with their options.

    JSON has the operations in openapi.yaml, arguments, options and help of each, for documentation
    and other programs.

    \b
    Example:
      synth-pools commands --output json
    """
    everything = list(iter_commands(context.find_root()))
    if form == "json":
        write_bytes(json.dumps({"commands": everything}, indent=2).encode())
        return 0
    rows = [
        [row["command"], row["summary"], ", ".join(row["operations"]) or "-"]
        for row in everything
        if not row["hidden"]
    ]
    write_text(grid(["COMMAND", "SUMMARY", "OPERATIONS"], rows))
    return 0


def iter_commands(context: click.Context) -> Iterator[dict[str, Any]]:
    """Describe every command below the one of a context, in the order of the help."""
    # Imported here: other commands do not need the table.
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
        parent = "" if context.parent is None else str(context.info_name)
        row = operations.get((parent, name))
        parameters = command.get_params(below)
        yield {
            "command": " ".join(filter(None, [parent, name])),
            "aliases": [] if row is None else list(row.aliases),
            "operations": [] if row is None else [operation for operation, _ in row.operations],
            "kind": None if row is None else row.kind,
            "hidden": command.hidden,
            "summary": command.get_short_help_str(200),
            "usage": command.get_usage(below).removeprefix("Usage: "),
            "help": cleandoc(command.help or "").replace("\b\n", ""),
            "arguments": [
                _argument(parameter, below)
                for parameter in parameters
                if isinstance(parameter, click.Argument)
            ],
            "options": [
                _option(parameter)
                for parameter in parameters
                if isinstance(parameter, click.Option)
            ],
        }


def _argument(argument: click.Argument, context: click.Context) -> dict[str, Any]:
    return {
        "name": argument.name,
        "metavar": argument.make_metavar(context),
        "required": argument.required,
        "many": argument.nargs == -1,
    }


def _option(option: click.Option) -> dict[str, Any]:
    choices = option.type.choices if isinstance(option.type, click.Choice) else None
    plain = option.default if isinstance(option.default, str | int | float | bool) else None
    return {
        "flags": [*option.opts, *option.secondary_opts],
        "metavar": option.metavar,
        "choices": None if choices is None else [str(choice) for choice in choices],
        "default": plain,
        "is_flag": option.is_flag,
        "repeated": option.multiple,
        "help": option.help or "",
    }


@click.command()
@click.option("--path", "only_path", is_flag=True, help="Print its path, not its text.")
@form_option("As it is, or as JSON.", ("yaml", "json"))
def spec(only_path: bool, form: str) -> int:
    """Print the contract, openapi.yaml, as it came with this program.

    \b
    Example:
      synth-pools spec --path
    """
    if only_path:
        write_text(f"{spec_path()}\n")
    elif form == "yaml":
        write_bytes(spec_path().read_bytes())
    else:
        write_bytes(json.dumps(load_spec(), indent=2, default=str).encode())
    return 0


@click.command("help")
@click.argument("words", nargs=-1, metavar="[COMMAND]...")
@click.pass_context
def show_help(context: click.Context, words: tuple[str, ...]) -> int:
    """Show the help of a command, or of the program.

    \b
    Example:
      synth-pools help rollouts list
    """
    at = context.find_root()
    for word in words:
        if not isinstance(at.command, click.Group):
            raise click.UsageError(f"{at.info_name} has no commands", at)
        name, command, _ = at.command.resolve_command(at, [word])
        assert command is not None  # noqa: S101 - an unknown name is an error
        at = click.Context(command, info_name=name, parent=at)
    write_text(f"{at.get_help()}\n")
    return 0


@click.command()
def version() -> int:
    """Print the version.

    \b
    Example:
      synth-pools version
    """
    write_text(f"synth-pools {__version__}\n")
    return 0
