"""The command group; errors of users are told in one line."""

from __future__ import annotations

from collections.abc import Sequence

import click

from synth_pools import __version__

from .backup import backup, compact
from .contract import contract_test
from .contract_diff import contract_diff
from .contract_traffic import contract_judge, contract_proxy
from .serve import serve

_PROGRAM = "synth-pools"


@click.group(invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name=_PROGRAM, message="%(prog)s %(version)s")
@click.pass_context
def root(context: click.Context) -> None:
    """Container pools on this machine: a backend to develop against."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


root.add_command(serve)
root.add_command(backup)
root.add_command(compact)
root.add_command(contract_test)
root.add_command(contract_diff)
root.add_command(contract_judge)
root.add_command(contract_proxy)


def main(argv: Sequence[str] | None) -> int:
    """Run a command; return its exit status."""
    try:
        # Not click's own way to end: it prints a usage text of several lines around an error.
        status = root.main(
            args=None if argv is None else list(argv), prog_name=_PROGRAM, standalone_mode=False
        )
    except click.ClickException as error:
        click.echo(f"{_PROGRAM}: error: {_one_line(error)}", err=True)
        return error.exit_code
    except click.Abort:
        return 130
    return status if isinstance(status, int) else 0


def _one_line(error: click.ClickException) -> str:
    text = " ".join(error.format_message().split())
    if isinstance(error, click.UsageError) and error.ctx is not None:
        text = f"{text.rstrip('.')}; see `{error.ctx.command_path} --help`"
    return text
