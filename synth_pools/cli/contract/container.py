"""`synth-pools container-test`: check that a container keeps its protocol."""

from __future__ import annotations

import os
from functools import partial
from typing import Any

import click

from synth_pools.cli.contract.runs import Runs, json_object, list_option, run_options
from synth_pools.cli.failures import KitCommand, needing

# The variable in which a pool gives its key to the containers that it starts.
_KEY_VARIABLE = "ENVIRONMENT_API_KEY"


@click.command("container-test", cls=KitCommand)
@click.argument("url")
@click.option(
    "--api-key",
    metavar="KEY",
    help=f"The key that it wants as X-API-Key; else the variable {_KEY_VARIABLE}.",
)
@click.option(
    "--level",
    type=click.Choice(["answers", "protocol", "rollouts", "load"]),
    default="load",
    show_default=True,
    help="The last level of checks.",
)
@click.option(
    "--rollout-request",
    callback=json_object,
    metavar="@F.JSON",
    help="What a rollout needs here, such as its env. [default: nothing]",
)
@click.option(
    "--slow-request",
    callback=json_object,
    metavar="@F.JSON",
    help="The same of a rollout that lasts, to try termination.",
)
@click.option(
    "--concurrency",
    type=click.IntRange(1, 1_000),
    default=50,
    show_default=True,
    metavar="N",
    help="How many rollouts it has to run at once.",
)
@run_options
@list_option("container.run", "known_container_checks")
def container_test(url: str, api_key: str | None, runs: Runs, **settings: Any) -> int:
    """Judge the container at URL by container.openapi.yaml.

    What it may leave out is not blamed, but listed. Exit status: 0 it conforms, 1 it departs
    (where, and with which request, is told), 2 it could not be judged (what stood in the way is
    told), 3 an error of this program, 130 interrupted.

    \b
    Example:
      synth-pools container-test http://127.0.0.1:9000 --level rollouts
    """
    with needing("`container-test`", "contract,cli"):
        # Imported here: other commands do not need the extra `contract`.
        from synth_pools.contract.container.run import run_container_test
    runs.check()
    key = api_key or os.environ.get(_KEY_VARIABLE)
    return runs.judge(partial(run_container_test, url, api_key=key, **settings))
