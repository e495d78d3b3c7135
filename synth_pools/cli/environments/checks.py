"""Checks of what `env run` is given, before anything starts."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from synth_pools.cli.failures import CommandError
from synth_pools.cli.fleet.options import RunOptions
from synth_pools.cli.fleet.requests import RunRequests
from synth_pools.container import EpisodeError
from synth_pools.container.models import server_of
from synth_pools.environments.kinds import Kind
from synth_pools.environments.models import MODEL_READS
from synth_pools.environments.policies import READS as POLICY_READS

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


def check_variables(names: Sequence[str]) -> None:
    """Refuse variables that this terminal does not have."""
    for name in names:
        if name not in os.environ:
            raise CommandError(f"--pass-env {name}: this terminal has no such variable")


def check_rollouts(kind: Kind, options: RunOptions, limit: int | None) -> None:
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


def check_policies(kind: Kind, requests: RunRequests, *, is_url_passed: bool) -> None:
    """Refuse policies that the environment does not play.

    Args:
        kind: The kind of the environment.
        requests: The requests.
        is_url_passed: True if a variable of the processes has the address of models.
    """
    for request in requests.bases:
        policy = request.get("policy") or {}
        _check_fields(kind, policy)
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
