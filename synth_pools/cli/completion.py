"""`synth-pools completion`: what makes a shell complete commands, options and ids."""

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
    # 3 ms, which no other command needs.
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    if kind is None:
        raise ValueError(f"click completes nothing in {shell}")
    # The script asks the program itself: which commands there are does not matter to it.
    maker = kind(click.Command(_PROGRAM), {}, _PROGRAM, _VARIABLE)
    # Not `source`: that of bash asks which version is installed, and this may be another machine.
    script = maker.source_template % maker.source_vars()
    if shell == "zsh":
        # In a new account nothing has started it.
        started = "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -i }"
        script = script.replace("    compdef ", f"    {started}\n    compdef ", 1)
    return script


@click.command("complete-ids", hidden=True)
@click.argument("parameter")
@click.argument("known", nargs=-1)
@connection_options
def complete_ids_command(parameter: str, known: tuple[str, ...], connection: ServiceOptions) -> int:
    """Ask the service for ids, and keep them for the completion.

    \b
    Example:
      synth-pools complete-ids pool_id
    """
    # Only here: completion itself asks nobody.
    from synth_pools.cli.operations.ids import keep_ids, list_ids

    words = ["complete-ids", parameter, *known]
    for name, value in (
        ("url", connection.url),
        ("profile", connection.profile),
        ("api-key-file", connection.key_file),
    ):
        words += [f"--{name}", str(value)] if value else []
    arguments = {key: value for key, _, value in (one.partition("=") for one in known)}
    ids: list[str] = []
    with contextlib.suppress(click.ClickException), connection.client(max_retries=0) as client:
        ids = list_ids(client, parameter, arguments)
    # None, too: that nothing is known is an answer, and the next key need not wait for it.
    keep_ids(words, ids)
    return 0
