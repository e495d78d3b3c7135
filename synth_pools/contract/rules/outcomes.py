"""Facts that a result states of its rollout: its reward, and the usage that is reported."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from synth_pools.contract.rules.verdict import is_finite_number

# Paths of the reward in an answer of a container, the first of which counts.
REWARDS = (
    ("metrics", "outcome_reward"),
    ("reward_info", "outcome_reward"),
    ("summary", "reward"),
    ("summary", "outcome_reward"),
    ("reward",),
)
_USAGES = (("usage",), ("summary", "usage"), ("metrics",), ("summary",))
# Names of the same figure.
_NAMES = {
    "llm_input_tokens": ("llm_input_tokens", "input_tokens", "prompt_tokens"),
    "llm_output_tokens": ("llm_output_tokens", "output_tokens", "completion_tokens"),
    "cost_usd": ("cost_usd", "total_cost_usd"),
}
_EXACT_INTEGERS = 2**53


def stated_outcome(rollout: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Yield the facts that the result of a rollout states, by their names.

    A figure that the container reports in several ways, with several values, is left out.
    """
    result, error = rollout.get("result"), rollout.get("error")
    has_failed = isinstance(error, dict) and error.get("code") == "container_failed"
    if not isinstance(result, dict) or (rollout.get("status") != "completed" and not has_failed):
        return
    rewards = [_at(result, path) for path in REWARDS]
    # A rollout that contradicts itself departs by another rule.
    if rollout.get("score") == _at(rollout, ("metrics", "outcome_reward")):
        yield "score", next((reward for reward in rewards if is_finite_number(reward)), None)
    places = [place for path in _USAGES if isinstance(place := _at(result, path), dict)]
    for fact, names in _NAMES.items():
        values = [place[name] for place in places for name in names if name in place]
        amounts = {value for value in values if is_finite_number(value) and value >= 0}
        is_plain = all(isinstance(value, int) for value in amounts) or fact == "cost_usd"
        if len(amounts) <= 1 and is_plain and max(amounts, default=0) <= _EXACT_INTEGERS:
            yield fact, next(iter(amounts), None)


def _at(value: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
