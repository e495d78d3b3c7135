"""Policies: actions at random, of a list, of a Python function, or of the text of a model."""

from __future__ import annotations

import importlib
import json
import random
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from synth_pools.container import EpisodeError, Rollout
from synth_pools.container.encoding import write_json
from synth_pools.environments.models import MODEL_READS, chat, model_of

Choose = Callable[[Any], Any]
Act = Callable[[Any], Awaitable[Any]]

READS = {
    **MODEL_READS,
    "type": "random: actions at random, of the seed",
    "actions": "list of actions; the episode fails where they end before it does",
    "python": "module:function of the container's folder, called with each observation",
}


def chooser(rollout: Rollout, sample: Callable[[], Any]) -> Choose:
    """Return the function that chooses an action for an observation, by the policy of a rollout.

    It adds the first observation, and each action, to the trajectory. Random actions are left out:
    their events tell them, and a trajectory would cost as much.

    Args:
        rollout: The rollout.
        sample: Returns a random action.

    Raises:
        EpisodeError: The policy has none.
    """
    choose = _choice(rollout.policy)
    if choose is None and rollout.policy.get("type") == "random":
        return lambda _: sample()
    if choose is None:
        fields = "`type` (random), `actions`, `python` or `model`"
        raise EpisodeError(f"This environment plays no such policy: give one with {fields}.")

    def act(observation: Any) -> Any:
        if not len(rollout.trajectory):
            rollout.trajectory.add("user", observation)
        action = choose(observation)
        rollout.trajectory.add("agent", action)
        return action

    return act


def _choice(policy: Mapping[str, Any]) -> Choose | None:
    """Return the function of a list of actions or of Python code; None without one."""
    if isinstance(actions := policy.get("actions"), list):
        remaining = iter(actions)

        def next_action(_: Any) -> Any:
            for action in remaining:
                return action
            raise EpisodeError(f"The {len(actions)} actions of the policy end before the episode.")

        return next_action
    if isinstance(place := policy.get("python"), str):
        return _function(place)
    return None


def report_step(
    rollout: Rollout, action: Any, outcome: Mapping[str, Any], *, is_last: bool
) -> None:
    """Report a step of an environment as an event, and add what came of it to the trajectory.

    Args:
        rollout: The rollout.
        action: The action.
        outcome: The `observation`, the `reward`, which may be null, and what else came of it.
        is_last: Whether the episode is over.
    """
    reward, observation = outcome.get("reward"), outcome.get("observation")
    step = rollout.metrics["steps"] = rollout.metrics.get("steps", 0) + 1
    rollout.reward = (rollout.reward or 0.0) + float(reward or 0)
    if len(rollout.trajectory):
        # A model is sent it in a step of its own, unless it has had its turns.
        is_sent = "model" in rollout.policy and not is_last and step != rollout.limit("max_turns")
        rollout.trajectory.observe(None if is_sent else observation, reward=reward)
    rollout.event({"step": step, "action": action, **outcome})


def check_turns(rollout: Rollout, most: int, advice: str = "") -> None:
    """Stop an episode that has had its turns: `max_turns` of the limits, or the most.

    Raises:
        EpisodeError: It has.
    """
    most = rollout.limit("max_turns") or most
    if rollout.metrics.get("steps", 0) >= most:
        raise EpisodeError(f"The episode was stopped: max_turns is {most}.{advice}", "timeout")


def asking(
    http: Any,
    rollout: Rollout,
    instructions: str,
    parse: Callable[[str], Any],
    *,
    has_memory: bool = True,
) -> Act:
    """Return the function that has the model of a policy choose an action for an observation.

    Args:
        http: The client, from `open_client`.
        rollout: The rollout.
        instructions: The text that the model gets first.
        parse: Returns the action in its answer; raises `EpisodeError` where there is none.
        has_memory: Whether it is shown the earlier observations and its answers, too.
    """
    model = model_of(rollout.policy)
    messages = [{"role": "system", "content": instructions}]

    async def act(observation: Any) -> Any:
        question = {"role": "user", "content": write_json(observation)}
        text = await chat(http, rollout, model, [*messages, question])
        if has_memory:
            messages.extend((question, {"role": "assistant", "content": text}))
        return parse(text)

    return act


def _function(place: str) -> Choose:
    module, _, name = require_module(place).partition(":")
    function: Choose | None = getattr(importlib.import_module(module), name, None)
    if not callable(function):
        raise EpisodeError(f"{module} has no function {name}.")
    return function


def require_module(place: str) -> str:
    """Return a place, which is of a module in the folder of the container: no other code is run.

    Args:
        place: A module, a colon and a name.

    Raises:
        EpisodeError: It is no such place.
    """
    module, _, name = place.partition(":")
    if not (name.isidentifier() and all(part.isidentifier() for part in module.split("."))):
        raise EpisodeError(f"{place!r} names no place in a module: write module:name.")
    path = Path.cwd().joinpath(*module.split("."))
    if not (path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()):
        raise EpisodeError(f"There is no module {module} in the folder of the container.")
    return place


def object_in(text: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    """Return the last object in a model's text that has what a JSON schema requires.

    Raises:
        EpisodeError: There is none.
    """
    decoder, position, action = json.JSONDecoder(), 0, None
    while (position := text.find("{", position)) >= 0:
        try:
            value, position = decoder.raw_decode(text, position)
        except ValueError:
            position += 1
            continue
        if set(schema.get("required", ())) <= value.keys():
            action = value
    if action is None:
        raise EpisodeError(f"The model's answer has no action of the schema: {text[:200]!r}")
    return dict(action)


def random_value(
    schema: Mapping[str, Any], dice: random.Random, root: Mapping[str, Any] | None = None
) -> Any:
    """Return a random value of a JSON schema; `root` is that of its references."""
    root = schema if root is None else root
    if "$ref" in schema:
        name = str(schema["$ref"]).rpartition("/")[2]
        return random_value(root["$defs"][name], dice, root)
    if "const" in schema:
        return schema["const"]
    if choices := schema.get("enum"):
        return dice.choice(choices)
    if variants := schema.get("anyOf") or schema.get("oneOf"):
        return random_value(dice.choice(variants), dice, root)
    kind = schema.get("type")
    if kind in ("integer", "number"):
        # Between two whole numbers there is none.
        gap, span, draw = (1, 100, dice.randint) if kind == "integer" else (0, 1, dice.uniform)
        low = schema.get("minimum", schema.get("exclusiveMinimum", -gap) + gap)
        high = schema.get("maximum", schema.get("exclusiveMaximum", low + span + gap) - gap)
        return draw(min(low, high), high)
    if kind == "boolean":
        return dice.random() < 0.5
    if kind == "string":
        length = max(schema.get("minLength", 1), min(8, schema.get("maxLength", 8)))
        return "".join(dice.choices("abcdefghij ", k=length))
    if kind == "array":
        least = schema.get("minItems", 0)
        count = dice.randint(least, schema.get("maxItems", least + 2))
        return [random_value(schema.get("items", {}), dice, root) for _ in range(count)]
    if kind == "object":
        fields = schema.get("properties", {})
        # That of an action means nothing.
        names = [name for name in fields if name != "metadata"]
        return {name: random_value(fields[name], dice, root) for name in names}
    return None
