"""`synth-pools completion`: scripts that complete commands, options and ids in a shell."""

from __future__ import annotations

import contextlib

import click

from synth_pools.cli.access.connection import ServiceOptions, connection_options

_PROGRAM = "synth-pools"
_VARIABLE = "_SYNTH_POOLS_COMPLETE"
_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
def completion(shell: str) -> int:
    """Print what completes commands in a shell.

    Put it where the shell reads it when it starts, once:

    \b
      bash   synth-pools completion bash >> ~/.bashrc
      zsh    synth-pools completion zsh >> ~/.zshrc
      fish   synth-pools completion fish \\
               > ~/.config/fish/completions/synth-pools.fish

    Ids are completed as well: what the service listed some seconds ago at most.

    \b
    Example:
      synth-pools completion bash
    """
    click.echo(script_of(shell))
    return 0


def script_of(shell: str) -> str:
    """Return the script for a shell.

    Raises:
        ValueError: click knows no such shell.
    """
    # Imported here: it takes 3 ms, and no other command needs it.
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise ValueError(f"click completes nothing in {shell}")
    # The script does not depend on the commands: it calls the program for each completion.
    builder = kind(click.Command(_PROGRAM), {}, _PROGRAM, _VARIABLE)
    # `source()` would ask which bash is installed here, and the script may be for another machine.
    script = builder.source_template % builder.source_vars()
    if shell == "zsh":
        # A new account has no `compinit` yet.
        compinit = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }"
        script = script.replace("    compdef ", f"    {compinit}\n    compdef ", 1)
    return script


@click.command("complete-ids", hidden=True)
@click.argument("parameter")
@click.argument("places", nargs=-1)
@connection_options
def complete_ids_command(
    parameter: str, places: tuple[str, ...], connection: ServiceOptions
) -> int:
    """Ask the service for ids, and keep them for completion.

    \b
    Example:
      synth-pools complete-ids pool_id
    """
    # Imported here: completion itself does not ask the service.
    from synth_pools.cli.operations.ids import keep_ids, list_ids

    words = ["complete-ids", parameter, *places]
    for name, value in (
        ("url", connection.url),
        ("profile", connection.profile),
        ("api-key-file", connection.api_key_file),
    ):
        words += [f"--{name}", str(value)] if value else []
    arguments = {key: value for key, _, value in (word.partition("=") for word in places)}
    ids: list[str] = []
    with contextlib.suppress(click.ClickException), connection.client(max_retries=0) as client:
        ids = list_ids(client, parameter, arguments)
    # An empty list is kept as well: the next key press need not wait for the same answer.
    keep_ids(words, ids)
    return 0
