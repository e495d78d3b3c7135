"""`synth-pools env run`: an environment with backend, pool, fleet and live page, in one command."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from synth_pools.cli.access.connection import ServiceOptions
from synth_pools.cli.environments.pools import python_option, refused_environments
from synth_pools.cli.failures import CommandError, ExitStatus, needing, reported_errors
from synth_pools.cli.fleet.options import RunOptions, options_of_run
from synth_pools.cli.fleet.requests import RunRequests
from synth_pools.cli.fleet.run import carry_out
from synth_pools.cli.output import say
from synth_pools.cli.signals import raise_interrupt
from synth_pools.container import EpisodeError
from synth_pools.container.models import KEY_VARIABLE, URL_VARIABLE, server_of
from synth_pools.environments.kinds import Kind, split_reference
from synth_pools.environments.leftovers import ENGINES
from synth_pools.environments.models import MODEL_READS
from synth_pools.environments.policies import READS as POLICY_READS
from synth_pools.environments.pythons import environment_pool

if TYPE_CHECKING:
    from synth_pools import ContainerPoolsClient
    from synth_pools.backend.local_backend import LocalBackend

_PORT_FILE = "port"
_MOST_REPLICAS = 4
_DEFAULT_SEEDS = 10
_WITHOUT_MODEL = ("oracle", "nop")
_GIVE_MODEL = "--model NAME with --model-url URL"
_GIVE_POLICY = f"--policy random, or actions or python in an object of JSON, or {_GIVE_MODEL}"
# Fields of the policy that each kind reads, as `env show` lists them.
POLICY_FIELDS: Mapping[str, frozenset[str]] = {
    "gymnasium": frozenset(POLICY_READS),
    "inspect": frozenset(MODEL_READS),
    "verifiers": frozenset(MODEL_READS),
    "openenv": frozenset({*POLICY_READS, "turns"}),
    "harbor": frozenset({"agent", "agent_kwargs", "model", "inference_url", "temperature"}),
}


@click.command("run")
@click.argument("reference", metavar="NAME")
@click.argument("body", nargs=-1, metavar="[BODY]...")
@click.option(
    "--policy",
    metavar="WORD|JSON",
    help="The policy of all rollouts: a word such as random, its type, or an object in JSON.",
)
@click.option("--model", metavar="NAME", help="The model that plays: policy.model.")
@click.option(
    "--model-url",
    "inference_url",
    metavar="URL",
    help="The OpenAI-compatible server of the model, up to /v1; the variable "
    f"{KEY_VARIABLE} has its key, which no other server gets. [default: {URL_VARIABLE}]",
)
@click.option("--agent", metavar="NAME", help="The agent that plays: policy.agent.")
@click.option(
    "--limit",
    type=click.IntRange(1),
    metavar="N",
    help="Only the first N tasks, or the seeds 0..N-1 where there are no tasks.",
)
@click.option(
    "--replicas",
    type=click.IntRange(1, 1000),
    metavar="N",
    help=f"Processes of the environment. [default: one a processor, at most {_MOST_REPLICAS}]",
)
@python_option
@click.option(
    "--pass-env",
    multiple=True,
    metavar="VARIABLE",
    help=f"A variable that the processes get, besides {KEY_VARIABLE}; repeatable.",
)
@click.option(
    "--data-dir",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Where the backend keeps its data. [default: beside --journal, or nowhere]",
)
@options_of_run
def run_environment(
    reference: str,
    body: tuple[str, ...],
    policy: str | None,
    limit: int | None,
    replicas: int | None,
    python: str | None,
    pass_env: tuple[str, ...],
    data_dir: Path | None,
    options: RunOptions,
    **fields: str | None,
) -> int:
    """Run an environment: with a backend, processes and a live page of its own.

    Without --seeds, --requests and --task all tasks are played, or the seeds 0..9 where there are
    none. BODY and the other options are those of `synth-pools run`. Exit status: as of
    `synth-pools run`.

    \b
    Examples:
      synth-pools env run gymnasium:CartPole-v1 --seeds 0..99 --policy random
      synth-pools env run gymnasium:FrozenLake-v1 --model llama \\
          --model-url http://127.0.0.1:8000/v1 limits.max_turns=20
    """
    if fields["model"] and not fields["inference_url"]:
        fields["inference_url"] = os.environ.get(URL_VARIABLE) or None
    words = [*_policy_words(policy, fields), *body]
    # Options that cannot be used are refused before anything starts.
    requests = replace(options, seeds=options.seeds or "0..0", tasks=()).requests(words)
    if missing := [name for name in pass_env if name not in os.environ]:
        raise CommandError(f"--pass-env {missing[0]}: this terminal has no such variable")
    replicas = replicas or min(os.cpu_count() or 1, _MOST_REPLICAS)
    # Clients of models read it, and our own gives the key to this server alone.
    variables = {URL_VARIABLE: url} if (url := fields["inference_url"]) else {}
    with refused_environments():
        kind, _ = split_reference(reference)
        _check_rollouts(kind, options, limit)
        pool = environment_pool(reference, replicas=replicas, python=python, variables=variables)
    _check_policies(kind, requests, is_url_passed=URL_VARIABLE in pass_env)
    if data_dir is None and options.journal is not None:
        data_dir = options.journal.with_name(f"{options.journal.name}.backend")
    with needing("`env run`", "local"):
        # Imported here: other commands do not need the extra `local`.
        from synth_pools.backend.errors import AddressError, LocalBackendError
        from synth_pools.backend.local_backend import LocalBackend

    try:
        # So that no process is left.
        signal.signal(signal.SIGTERM, raise_interrupt)
        with tempfile.TemporaryDirectory() as folder:
            place = data_dir or Path(folder)
            backend = LocalBackend(
                place,
                port=_former_port(place),
                allow_processes=True,
                process_envs=[KEY_VARIABLE, *pass_env],
            )
            with backend:
                (place / _PORT_FILE).write_text(str(urlsplit(backend.url).port))
                return _run(backend, pool, words, limit, options)
    except AddressError as error:
        fault = str(error).partition(": ")[0]
        advice = "journals of earlier runs belong to this address, so end what has it"
        raise CommandError(f"{fault}: {advice}", ExitStatus.FAILED) from error
    except LocalBackendError as error:
        raise CommandError(str(error), ExitStatus.FAILED) from error


def _former_port(data_dir: Path) -> int:
    """Return the port of the last run on these data, to which its journal belongs; else 0."""
    try:
        return int((data_dir / _PORT_FILE).read_text())
    except (OSError, ValueError):
        return 0


def _run(
    backend: LocalBackend,
    pool: Mapping[str, Any],
    words: Sequence[str],
    limit: int | None,
    options: RunOptions,
) -> int:
    process = pool["config"]["process"]
    say(f"{pool['name']}: starts {pool['capacity']} processes of {process['argv'][0]}")
    say(f"watch it at {backend.page_url()}")
    chooses = options.tasks or options.seeds or options.file
    plays_all = options.tasks == ("all",) or not chooses
    with reported_errors(), backend.client() as client:
        _set_up(client, pool)
        present = {task["id"] for task in client.list_tasks(pool["id"])["items"]}
        tasks = _tasks(client, pool["id"]) if plays_all else None
        if tasks is not None:
            options = replace(options, tasks=tuple(tasks)[:limit])
        elif options.tasks == ("all",):
            raise CommandError(f"{pool['name']} has no tasks: give --seeds")
        elif plays_all:
            options = replace(options, seeds=f"0..{(limit or _DEFAULT_SEEDS) - 1}")
        requests = options.requests(words)
        # Those of a file name theirs one by one.
        chosen = {str(base["task_id"]): None for base in requests.bases if base.get("task_id")}
        # A run that goes on has its tasks.
        if missing := [task_id for task_id in chosen if task_id not in present]:
            _add_tasks(client, pool["id"], missing, tasks or _tasks(client, pool["id"]) or {})
    connection = ServiceOptions(url=backend.url, api_key_file=backend.key_file)
    # Its backend ends with the run: there is no later command about it.
    return carry_out(options, requests, {"id": pool["id"]}, connection)


def _set_up(client: ContainerPoolsClient, pool: Mapping[str, Any]) -> None:
    """Create the pool, or take that of an earlier run, and wait for its processes.

    Raises:
        CommandError: They do not start; what they printed is printed.
    """
    # Loaded by the client already.
    from synth_pools.errors import ConflictError, PoolFailedError

    try:
        client.create_pool(dict(pool))
    except ConflictError:
        # Its tasks stay.
        changed = {name: pool[name] for name in ("capacity", "concurrency", "config")}
        client.update_pool(pool["id"], changed)
        if client.get_pool(pool["id"])["status"] in ("failed", "paused"):
            client.resume_pool(pool["id"])
    try:
        client.wait_pool_active(pool["id"])
    except PoolFailedError:
        error = client.get_pool(pool["id"]).get("error") or {}
        lines = (error.get("details") or {}).get("output") or []
        for line in lines[:-1]:
            say(line)
        sentence = lines[-1] if lines else error.get("message")
        raise CommandError(f"{pool['name']}: {sentence}", ExitStatus.FAILED) from None


def _tasks(client: ContainerPoolsClient, pool_id: str) -> dict[str, Any] | None:
    """List the dataset of the pool's environment once; None if it has none."""
    # Loaded by the client already.
    from synth_pools.errors import APIStatusError

    try:
        answer = client.get_pool_container_taskset(pool_id)
    except APIStatusError as error:
        if error.status_code not in (404, 501):
            raise
        return None
    return {str(task["task_id"]): task.get("metadata") or {} for task in answer["tasks"]}


def _add_tasks(
    client: ContainerPoolsClient, pool_id: str, missing: Sequence[str], tasks: Mapping[str, Any]
) -> None:
    for task_id in missing:
        if task_id not in tasks:
            names = ", ".join(list(tasks)[:5])
            others = f"the first ones are {names}" if names else "the environment has none"
            raise CommandError(f"there is no task {task_id!r}; {others}")
        client.create_task(pool_id, {"id": task_id, "task_metadata": tasks[task_id]})


def _policy_words(policy: str | None, fields: Mapping[str, str | None]) -> list[str]:
    """Return the words of a body for the options of the policy.

    Raises:
        CommandError: The policy is no object.
    """
    words = []
    if policy is not None and policy.lstrip().startswith("{"):
        try:
            json.loads(policy)
        except ValueError as error:
            raise CommandError(f"--policy is no JSON: {error}") from None
        words.append(f"policy:={policy}")
    elif policy is not None:
        words.append(f"policy.type={policy}")
    return words + [f"policy.{name}={value}" for name, value in fields.items() if value is not None]


def _check_rollouts(kind: Kind, options: RunOptions, limit: int | None) -> None:
    """Refuse options that choose rollouts in a way that the environment cannot play.

    Args:
        kind: The kind of the environment.
        options: The options.
        limit: That of `--limit`.
    """
    is_chosen = options.seeds or options.file or options.tasks not in ((), ("all",))
    if limit is not None and is_chosen:
        raise CommandError("--limit is for all tasks, not with --seeds, --requests or --task ID")
    if options.seeds and kind.name == "harbor":
        raise CommandError("harbor has no seeds: --task, --limit and --repeats choose its rollouts")
    has_tasks = options.tasks or options.file
    if options.seeds and kind.name in ("inspect", "verifiers") and not has_tasks:
        raise CommandError(f"{kind.name} plays tasks, with a seed each: give --task all, too")


def _check_policies(kind: Kind, requests: RunRequests, *, is_url_passed: bool) -> None:
    """Refuse policies that the environment does not play.

    Args:
        kind: The kind of the environment.
        requests: The requests.
        is_url_passed: True if a variable of the processes has the address of models.
    """
    for request in requests.bases:
        policy, env = request.get("policy") or {}, request.get("env") or {}
        _check_fields(kind, policy)
        has_engine = "environment" in env or any(map(shutil.which, ENGINES))
        if kind.name == "harbor" and not has_engine:
            needed = f"none of {', '.join(ENGINES)} is here, and env.environment names no other one"
            raise CommandError(f"harbor starts sandboxes: {needed}")
        if not policy.get("model") or policy.get("agent") in _WITHOUT_MODEL:
            continue
        try:
            if not (is_url_passed and "inference_url" not in policy):
                server_of(policy, {})
        except EpisodeError as error:
            raise CommandError(f"{error} Give it with --model-url.") from None


def _check_fields(kind: Kind, policy: Mapping[str, Any]) -> None:
    if odd := sorted(policy.keys() - POLICY_FIELDS[kind.name]):
        fields = ", ".join(sorted(POLICY_FIELDS[kind.name]))
        raise CommandError(f"policy.{odd[0]} is not read by {kind.name}, which reads {fields}")
    if policy.get("model"):
        return
    if kind.name in ("inspect", "verifiers"):
        raise CommandError(f"{kind.name} is played by a model: give {_GIVE_MODEL}")
    if kind.name == "harbor":
        if not policy.get("agent"):
            raise CommandError(f"harbor is played by agents: give --agent oracle, or {_GIVE_MODEL}")
    elif not ("actions" in policy or "python" in policy or policy.get("type") == "random"):
        raise CommandError(f"nothing plays {kind.name}: give {_GIVE_POLICY}")
    if "inference_url" in policy and policy.get("agent") not in _WITHOUT_MODEL:
        raise CommandError("--model-url needs --model, the name of a model there")
