"""`synth-pools contract-test`: check that a backend keeps the contract."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path
from typing import Any

import click

from synth_pools.cli.contract.runs import Runs, json_object, list_option, run_options
from synth_pools.cli.failures import CommandError, KitCommand, needing
from synth_pools.cli.files import FILE

_KEY_VARIABLE = "SYNTH_API_KEY"
_TOKEN_SECONDS = 60.0


def _image(
    context: click.Context, parameter: click.Parameter, text: str | None
) -> dict[str, Any] | None:
    """Read a `config.image`: a reference alone, or an object."""
    if text is None or text.startswith(("@", "{")):
        return json_object(context, parameter, text)
    return {"image": text}


def _names(_: click.Context, __: click.Parameter, text: str | None) -> tuple[str, ...]:
    return tuple(filter(None, (name.strip() for name in (text or "").split(","))))


def _key_of_command(command: str) -> str:
    """Run a command that prints the key."""
    try:
        # The user's own command, for their shell.
        process = subprocess.run(  # noqa: S602
            command, shell=True, stdout=subprocess.PIPE, timeout=_TOKEN_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise CommandError(f"the token command took more than {_TOKEN_SECONDS:.0f} s") from None
    if process.returncode != 0 or not process.stdout.strip():
        raise CommandError(f"the token command ended with {process.returncode}, or printed nothing")
    return process.stdout.decode("utf-8", "replace").strip()


@click.command("contract-test", cls=KitCommand)
@click.argument("url")
@click.option("--api-key", metavar="KEY", help=f"The key; else the variable {_KEY_VARIABLE}.")
@click.option("--token-command", metavar="CMD", help="A command that prints the key.")
@click.option(
    "--other-key", metavar="KEY", help="The key of another organisation, which must find nothing."
)
@click.option(
    "--restart", metavar="CMD", help="A command that restarts the backend: try what it keeps."
)
@click.option(
    "--image",
    metavar="REF|JSON|@FILE",
    callback=_image,
    help="An image whose containers serve rollouts, or a whole config.image.",
)
@click.option(
    "--scenarios", multiple=True, type=FILE, metavar="FILE.PY", help="Scenarios of your own."
)
@click.option(
    "--subject",
    type=FILE,
    is_eager=True,
    metavar="FILE.YAML",
    help="What makes, reads, lists, changes and ends the resources of another API; also Arazzo.",
)
@click.option(
    "--operations",
    callback=_names,
    metavar="A,B",
    help="The operations that the backend has so far, by id, tag or path.",
)
@click.option(
    "--without-operations", callback=_names, metavar="A,B", help="Those that it does not have yet."
)
@click.option("--offered", is_flag=True, help="Find out which operations the backend has.")
@click.option("--read-only", is_flag=True, help="Send GETs alone, for production.")
@click.option("--seed", type=int, help="Repeat a run: the same seed sends the same requests.")
@click.option(
    "--profile",
    type=click.Choice(["smoke", "quick", "full"]),
    default="full",
    show_default=True,
    help="quick shortens the fuzzing; smoke, for every commit, plays the shortest scenarios alone.",
)
@click.option(
    "--pool-request",
    callback=json_object,
    metavar="@F.JSON",
    help="The body that pools are created with. [default: an arbitrary pool on the echo target]",
)
@click.option(
    "--rollout-request",
    callback=json_object,
    metavar="@F.JSON",
    help="The body that rollouts are created with. [default: an empty one]",
)
@click.option("--container-url", metavar="URL", help="The container that pools are given.")
@list_option("run", "known_checks", "spec", "subject")
@run_options
@click.option("--cleanup", is_flag=True, help="Only remove what earlier runs left over, and end.")
def contract_test(
    url: str,
    api_key: str | None,
    token_command: str | None,
    runs: Runs,
    spec: Path | None,
    cleanup: bool,
    **settings: Any,
) -> int:
    """Judge the backend at URL by the contract, openapi.yaml.

    Exit status: 0 it conforms, 1 it departs (where, and with which request, is told), 2 it could
    not be judged (what stood in the way is told), 3 an error of this program, 130 interrupted. What
    the run makes it removes.

    \b
    Example:
      synth-pools contract-test http://127.0.0.1:8080 --profile smoke
    """
    with needing("`contract-test`", "contract,cli"):
        # Imported here: other commands do not need the extra `contract`.
        from synth_pools.contract.run import clean_leftovers, run_contract
    runs.check()
    if token_command is not None:
        api_key = _key_of_command(token_command)

    def clean_up() -> int:
        removed, remaining = clean_leftovers(url, api_key=api_key, spec=spec)
        click.echo(f"removed {removed} pools of earlier runs, {remaining} could not be removed")
        return 0 if not remaining else 2

    if cleanup:
        return runs.guarded(clean_up)
    return runs.judge(partial(run_contract, url, api_key=api_key, spec=spec, **settings))
