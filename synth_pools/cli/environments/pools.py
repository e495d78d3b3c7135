"""`synth-pools pools create --environment`: a pool whose processes are an environment."""

from __future__ import annotations

import json
from typing import Any

import click

from synth_pools.cli.failures import CommandError
from synth_pools.environments.pools import environment_pool
from synth_pools.environments.pythons import NotInstalledError


def with_environments(command: click.Command) -> click.Command:
    """Let the command that creates a pool take the environment of its processes.

    Args:
        command: The command of the operation, which is changed.
    """
    create: Any = command.callback

    def call(
        body: tuple[str, ...],
        environment: str | None,
        replicas: int,
        python: str | None,
        **values: Any,
    ) -> Any:
        if environment is not None:
            # Later words win: those of the user.
            body = (*_words(environment, replicas, python), *body)
        return create(body=body, **values)

    command.callback = call
    command.params += [
        click.Option(
            ["--environment"],
            metavar="KIND:NAME",
            help="Its processes are this environment, which is installed on this machine, as is "
            "the backend; see `synth-pools env`.",
        ),
        click.Option(
            ["--replicas"],
            type=click.IntRange(1),
            default=1,
            metavar="N",
            help="Processes of the environment.",
        ),
        click.Option(["--python"], metavar="PATH", help="The Python that has its framework."),
    ]
    return command


def _words(reference: str, replicas: int, python: str | None) -> list[str]:
    """Return the definition of the pool as words of a body.

    Raises:
        CommandError: There is no such environment, or it is not installed.
    """
    try:
        pool = environment_pool(reference, replicas=replicas, python=python)
    except (ValueError, NotInstalledError) as error:
        raise CommandError(str(error)) from None
    return [f"{name}:={json.dumps(value)}" for name, value in pool.items()]
