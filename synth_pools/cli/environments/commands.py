"""`synth-pools env`: what is installed, what an environment reads, and its container alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from synth_pools.cli import output
from synth_pools.cli.environments.pools import python_option, refused_environments
from synth_pools.cli.environments.run import run_environment
from synth_pools.cli.failures import CommandError, ExitStatus
from synth_pools.cli.groups import HELP_NAMES, SuggestingGroup
from synth_pools.environments.kinds import KINDS, Kind, split_reference
from synth_pools.environments.pythons import (
    NotInstalledError,
    find_python,
    install,
    launch_command,
    requirements_of,
)

_SHOW_SECONDS = 300.0


@click.group("env", cls=SuggestingGroup, context_settings=HELP_NAMES)
def environments() -> None:
    """Run environments of Gymnasium, Inspect, verifiers, OpenEnv and Harbor.

    NAME is a kind, a colon and a name, such as gymnasium:CartPole-v1; `env list` has the kinds.
    Names of modules and files are those of the current folder.
    """


environments.add_command(run_environment)


@environments.command("list")
@output.form_option("A table for people, or JSON with what each needs.")
def list_environments(form: str) -> int:
    """List the kinds of environments, and which of them are installed.

    \b
    Example:
      synth-pools env list
    """
    rows = [_row(kind) for kind in KINDS.values()]
    if form == "json":
        output.write_text(json.dumps({"items": rows}, indent=2) + "\n")
    else:
        cells = [
            [row["kind"], row["release"] or "-", row["example"], row["python"] or row["advice"]]
            for row in rows
        ]
        output.write_text(output.grid(["KIND", "RELEASE", "EXAMPLE", "PYTHON"], cells))
        for row in rows:
            brought = ", ".join(row["requirements"])
            output.write_text(f"pip install 'synth-pools[{row['kind']}]' brings {brought}\n")
    return ExitStatus.DONE


def _row(kind: Kind) -> dict[str, Any]:
    try:
        framework, advice = find_python(kind), None
    except NotInstalledError as error:
        # The first of its remedies is enough here.
        framework, advice = None, str(error).partition(", or ")[0]
    return {
        "kind": kind.name,
        "subject": kind.subject,
        "example": kind.example,
        "release": framework and framework.release,
        "python": framework and str(framework.path),
        "advice": advice,
        "requirements": requirements_of(kind),
    }


@environments.command("show")
@click.argument("reference", metavar="NAME")
@python_option
@output.form_option("Sentences for people, or JSON.")
def show_environment(reference: str, python: str | None, form: str) -> int:
    """Show the tasks of an environment, and what it reads of policy, env and limits.

    \b
    Example:
      synth-pools env show gymnasium:CartPole-v1
    """
    path = _python_of(reference, python)
    description = describe(reference, path)
    if form == "json":
        output.write_text(json.dumps(description, indent=2) + "\n")
    else:
        output.write_text(_sentences(description, path))
    return ExitStatus.DONE


def _sentences(description: Mapping[str, Any], path: Path) -> str:
    tasks = description["tasks"]
    lines = [f"{description['name']}, played by {path}\n"]
    if tasks is None:
        lines.append("Tasks: none; a rollout has a seed alone.")
    else:
        names = ", ".join(list(tasks)[:10])
        lines.append(f"Tasks: {len(tasks)}: {names}{', ...' if len(tasks) > 10 else ''}")
    lines.append(f"Seeds: {description['seeds']}\n")
    rows = [
        [f"{part}.{name}", sentence]
        for part, names in description["reads"].items()
        for name, sentence in names.items()
    ]
    lines.append(output.grid(["READS", "MEANING"], rows))
    lines += [f"It cannot: {sentence}" for sentence in description["cannot"]]
    return "\n".join(lines).rstrip("\n") + "\n"


def _python_of(reference: str, python: str | None) -> Path:
    with refused_environments():
        return find_python(split_reference(reference)[0], python).path


def describe(reference: str, python: Path) -> dict[str, Any]:
    """Return what an environment says of itself, after it was set up.

    Args:
        reference: Its reference.
        python: The Python that has its framework.

    Raises:
        CommandError: Its own code failed; its traceback is printed.
    """
    command = [*launch_command(python), reference, "--show"]
    try:
        done = subprocess.run(  # noqa: S603 - our own program
            command, capture_output=True, text=True, timeout=_SHOW_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise CommandError(
            f"{reference} was not set up within {_SHOW_SECONDS:g} seconds", ExitStatus.FAILED
        ) from None
    # A framework may print lines before it.
    last = done.stdout.strip().rpartition("\n")[2]
    if not done.returncode and last.startswith("{"):
        description: dict[str, Any] = json.loads(last)
        return description
    traceback, _, sentence = done.stderr.strip().rpartition("\n")
    if traceback:
        click.echo(traceback, err=True)
    raise CommandError(sentence or f"{reference} ended with status {done.returncode}")


@environments.command("serve")
@click.argument("reference", metavar="NAME")
@python_option
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=9000,
    show_default=True,
    help="Port to listen on; 0 picks a free one.",
)
def serve_environment(reference: str, python: str | None, port: int) -> int:
    """Serve an environment as a container alone, without a backend, until ^C or SIGTERM.

    The first line on standard output has its address. A pool names it as its container_url.

    \b
    Example:
      synth-pools env serve gymnasium:CartPole-v1 --port 9000
    """
    path = _python_of(reference, python)
    sys.stdout.flush()
    # In its place: signals and the standard streams are its own.
    os.environ["PORT"] = str(port)
    os.execv(path, [*launch_command(path), reference])  # noqa: S606 - our own program


@environments.command("install")
@click.argument("name", metavar="KIND", type=click.Choice(list(KINDS)))
@click.argument("requirements", metavar="[REQUIREMENT]...", nargs=-1)
@click.option("--python", metavar="PATH", help="The Python that the environment is made of.")
def install_environment(name: str, requirements: tuple[str, ...], python: str | None) -> int:
    """Install a framework into an environment of its own, beside the profiles.

    uv makes it where there is one, else venv and pip. An earlier installation is replaced
    once the new one works.
    Each REQUIREMENT is installed with it: what your environments need besides the framework.

    \b
    Examples:
      synth-pools env install gymnasium
      synth-pools env install gymnasium 'gymnasium[box2d]'
    """
    kind = KINDS[name]
    try:
        # Lines of uv, venv and pip, if they have any, tell what went wrong.
        framework = install(kind, python, subprocess.call, requirements)
    except (NotInstalledError, OSError) as error:
        raise CommandError(str(error), ExitStatus.FAILED) from None
    # Where only the client of OpenEnv is there, it has no release.
    subject = " ".join(filter(None, [kind.name, framework.release]))
    output.write_text(f"{subject} is installed: {framework.path}\n")
    return ExitStatus.DONE
