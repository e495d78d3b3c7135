"""Pools whose processes are an environment: their options, and `pools create --environment`."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import click

from synth_pools.cli.failures import CommandError
from synth_pools.environments.pythons import NotInstalledError, environment_pool

python_option = click.option(
    "--python",
    metavar="PATH",
    help="The Python that has the framework. [default: that of `env install`, or this one]",
)


@contextlib.contextmanager
def refused_environments() -> Iterator[None]:
    """Turn the name of no environment, and a framework that is missing, into a `CommandError`."""
    try:
        yield
    except (ValueError, NotInstalledError) as error:
        raise CommandError(str(error)) from None


def with_environments(command: click.Command) -> click.Command:
    """Let the command that creates a pool take the environment of its processes.

    Args:
        command: The command of the operation, which is changed.
    """
    create: Any = command.callback

    @python_option
    @click.option(
        "--replicas",
        type=click.IntRange(1),
        default=1,
        metavar="N",
        help="Processes of the environment.",
    )
    @click.option(
        "--environment",
        metavar="KIND:NAME",
        help="Its processes are this environment, which is installed on this machine, as is "
        "the backend; see `synth-pools env`.",
    )
    def call(
        body: tuple[str, ...],
        environment: str | None,
        replicas: int,
        python: str | None,
        **values: Any,
    ) -> Any:
        if environment is not None:
            with refused_environments():
                pool = environment_pool(environment, replicas=replicas, python=python)
            # Later words win: those of the user.
            body = (*(f"{name}:={json.dumps(pool[name])}" for name in pool), *body)
        return create(body=body, **values)

    command.callback = call
    command.params += reversed(call.__click_params__)  # type: ignore[attr-defined]
    return command
