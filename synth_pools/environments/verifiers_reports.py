"""Reports of episodes of verifiers, as events and steps of rollouts."""

from __future__ import annotations

from typing import Any

from synth_pools.container import Rollout
from synth_pools.container.atif import step_event


def reporter(rollout: Rollout, trace: Any) -> None:
    """Report calls of the model in a trace, each once, as they come."""
    reported: list[Any] = []
    # The steps of messages; a conversation begins after none.
    recorded: dict[int | None, int] = {None: 0}

    def report(*_: Any) -> None:
        for call in trace.calls[len(reported) :] if not rollout.is_cancelled else ():
            reported.append(call)
            rollout.metrics["turns"] = rollout.metrics.get("turns", 0) + 1
            add_usage(rollout, call.usage)
            if call.node is None:
                rollout.event({"type": "model", "error": call.error and call.error.message})
            else:
                _record(rollout, trace, call, recorded)

    trace.watch(report)


def _record(rollout: Rollout, trace: Any, call: Any, recorded: dict[int | None, int]) -> None:
    """Report a call of the model as a step, after the messages that it was sent."""
    used = call.usage
    metrics = used and {
        "prompt_tokens": used.input_tokens,
        "completion_tokens": used.completion_tokens,
        "cached_tokens": used.cached_input_tokens,
        "cost_usd": used.cost,
    }
    places, place = [], call.node
    while place is not None and place not in recorded:
        places.append(place)
        place = trace.nodes[place].parent
    for place in reversed(places):
        node = trace.nodes[place]
        message, after = node.message.model_dump(), recorded[node.parent]
        fields: dict[str, Any] = {"is_copied_context": message["role"] == "assistant"}
        if place == call.node:
            fields = {"model_name": call.model, "metrics": metrics}
            fields["extra"] = {"finish_reason": call.finish_reason} if call.finish_reason else None
        step = rollout.trajectory.add_message(message, after=after, **fields)
        # A result is in the step of its call.
        recorded[place] = after if step is None else step["step_id"]
        if step is not None and place == call.node:
            rollout.event(step_event(step))


def add_usage(rollout: Rollout, used: Any) -> None:
    """Add what a call has used to the usage of a rollout; None is nothing."""
    if used is not None:
        tokens = {"input_tokens": used.input_tokens, "output_tokens": used.completion_tokens}
        rollout.usage(**tokens, cost_usd=used.cost)
