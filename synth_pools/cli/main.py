"""The command group, whose errors are printed on one line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import click

from synth_pools import __version__
from synth_pools.cli.failures import ExitStatus
from synth_pools.cli.groups import HELP_NAMES, SuggestingGroup
from synth_pools.cli.operations.model import CommandRow

_PROGRAM = "synth-pools"

# Hand-written commands: module, attribute, first line of help. Each is imported only when it runs:
# the imports of a single one take longer than printing all help.
WRITTEN: dict[str, tuple[str, str, str]] = {
    "serve": ("local.serve", "serve", "Serve container pools on this machine until ^C or SIGTERM."),
    "demo": ("local.demo", "demo", "Show a backend at work, in a few seconds."),
    "top": ("top", "top", "Show pools, their rollouts and the queue, until ^C."),
    "logs": ("logs", "logs", "Show the output of the processes of a pool."),
    "run": ("fleet.run", "run_seeds", "Run a rollout for each seed on a pool."),
    "env": (
        "environments.commands",
        "environments",
        "Run environments of Gymnasium, Inspect, verifiers, OpenEnv and Harbor.",
    ),
    "relay": ("local.relay", "relay_command", "Pass calls of a model on, and record them."),
    "journal": ("fleet.journal", "journal", "Show and merge the journals of runs."),
    "compare": ("fleet.compare", "compare_command", "Compare runs: what got better."),
    "export": ("fleet.export", "export", "Write the results of a run for other tools."),
    "query": ("fleet.query", "query", "Read runs, rollouts, usage and events with SQL."),
    "ui": ("local.page", "ui", "Show a backend, or the journal of a fleet, in the browser."),
    "mcp": ("agents.mcp", "mcp", "Serve the operations as tools of MCP, for coding agents."),
    "backup": ("local.backup", "backup", "Copy the data of a backend to a new directory DIR."),
    "compact": ("local.backup", "compact", "Shrink the database of a stopped backend."),
    "contract-test": ("contract.run", "contract_test", "Judge the backend at URL by the contract."),
    "container-test": (
        "contract.container",
        "container_test",
        "Judge the container at URL by its protocol.",
    ),
    "contract-diff": ("contract.diff", "contract_diff", "Compare two OpenAPI documents."),
    "contract-judge": ("contract.traffic", "contract_judge", "Judge recorded traffic."),
    "contract-proxy": (
        "contract.traffic",
        "contract_proxy",
        "Pass requests on to a backend, and judge it by them.",
    ),
    "config": ("access.config", "config", "Keep services and their keys under names."),
    "doctor": (
        "access.doctor",
        "doctor",
        "Check what is installed, and whether the service answers.",
    ),
    "spec": ("listing", "spec", "Print the contract, openapi.yaml."),
    "commands": ("listing", "commands", "List all commands, with their options."),
    "completion": ("completion", "completion", "Print what completes commands in a shell."),
    "help": ("listing", "show_help", "Show the help of a command."),
    "version": ("listing", "version", "Print the version."),
    "complete-ids": ("completion", "complete_ids_command", ""),
}
# Hand-written commands in groups of the table.
WRITTEN_IN_GROUPS: dict[str, dict[str, tuple[str, str, str]]] = {
    "rollouts": {
        "watch": ("logs", "watch", "Follow a rollout to its end."),
        "logs": ("logs", "rollout_logs", "Show what the container of a rollout wrote meanwhile."),
    }
}
_HIDDEN = {"complete-ids"}


class OperationGroup(SuggestingGroup):
    """Commands for the operations of one group."""

    def __init__(self, name: str, help: str) -> None:  # noqa: A002 - click's own name
        super().__init__(name, help=help or None, context_settings=HELP_NAMES)
        # Imported here: other commands do not need the table.
        from synth_pools.cli.operations.table import COMMANDS

        self._rows = {row.name: row for row in COMMANDS if row.group == name}
        self._aliases = {alias: row.name for row in self._rows.values() for alias in row.aliases}
        self._written = WRITTEN_IN_GROUPS.get(name, {})

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self._rows, *self._written]

    def known_names(self, context: click.Context) -> list[str]:
        return [*self.list_commands(context), *self._aliases]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        name = self._aliases.get(cmd_name, cmd_name)
        if name in self._written:
            return _load(self._written[name])
        row = self._rows.get(name)
        if row is None:
            return None
        if (self.name, name) == ("pools", "create"):
            # Imported here, as its other commands.
            from synth_pools.cli.environments.pools import with_environments

            return with_environments(_command_of(row))
        return _command_of(row)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        lines = [
            (" ".join([row.name, *row.aliases]).replace(" ", ", "), f"{row.summary}.")
            for row in self._rows.values()
            if not row.hidden
        ]
        lines += [(name, short) for name, (_, _, short) in self._written.items()]
        with formatter.section("Commands"):
            formatter.write_dl(lines)


class RootGroup(SuggestingGroup):
    """Group of all commands."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # click itself would end the process with 1, which stands for failed rollouts.
            return _broken_pipe()

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*_groups(), *_rows_without_group(), *WRITTEN]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in WRITTEN:
            return _load(WRITTEN[cmd_name])
        groups = _groups()
        if cmd_name in groups:
            return OperationGroup(cmd_name, groups[cmd_name])
        row = _rows_without_group().get(cmd_name)
        return None if row is None else _command_of(row)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        operations = list(_groups().items())
        operations += [(row.name, f"{row.summary}.") for row in _rows_without_group().values()]
        with formatter.section("Operations of a service"):
            formatter.write_dl(operations)
        commands = [(name, short) for name, (_, _, short) in WRITTEN.items() if name not in _HIDDEN]
        with formatter.section("Commands"):
            formatter.write_dl(commands)


def _groups() -> dict[str, str]:
    # Imported here: it takes 4 ms, and most commands written by hand do not need it.
    from synth_pools.cli.operations.table import GROUPS

    return GROUPS


def _rows_without_group() -> dict[str, CommandRow]:
    # Imported here for the same reason.
    from synth_pools.cli.operations.table import COMMANDS

    return {row.name: row for row in COMMANDS if not row.group}


def _command_of(row: CommandRow) -> click.Command:
    # Imported here: only a command of the table needs it.
    from synth_pools.cli.operations.commands import command_of

    return command_of(row)


def _load(place: tuple[str, str, str]) -> click.Command:
    module, attribute, _ = place
    try:
        command: click.Command = getattr(import_module(f"synth_pools.cli.{module}"), attribute)
    except ModuleNotFoundError as error:
        if (error.name or "").startswith("synth_pools"):
            raise
        raise click.ClickException(
            f"`{attribute.replace('_', '-')}` needs {error.name}, which the base install leaves "
            "out: pip install 'synth-pools[all]'"
        ) from error
    return command


@click.group(cls=RootGroup, invoke_without_command=True, context_settings=HELP_NAMES)
@click.version_option(__version__, prog_name=_PROGRAM, message="%(prog)s %(version)s")
@click.pass_context
def root(context: click.Context) -> None:
    """Run rollouts on container pools, and watch them.

    The service is that of SYNTH_BACKEND_URL, with the key of SYNTH_API_KEY, or a profile of
    `synth-pools config`. `synth-pools serve` has one on this machine, with no account.
    """
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


def main(argv: Sequence[str] | None) -> int:
    """Run a command; return its exit status."""
    try:
        # In standalone mode click prints several lines of usage around an error.
        status: Any = root.main(
            args=None if argv is None else list(argv), prog_name=_PROGRAM, standalone_mode=False
        )
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        # A group without a command asks for help; this is no error.
        click.echo(error.format_message())
        return 0
    except click.ClickException as error:
        click.echo(f"{_PROGRAM}: error: {_one_line(error)}", err=True)
        return error.exit_code
    except click.Abort:
        return ExitStatus.INTERRUPTED
    except BrokenPipeError:
        return _broken_pipe()
    return int(status) if isinstance(status, int) else 0


def _broken_pipe() -> int:
    # Otherwise Python fails again when it flushes at exit.
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return ExitStatus.BROKEN_PIPE


def _one_line(error: click.ClickException) -> str:
    text = " ".join(error.format_message().split())
    if isinstance(error, click.UsageError) and error.ctx is not None:
        text = f"{text.rstrip('.')}; see `{error.ctx.command_path} --help`"
    return text
