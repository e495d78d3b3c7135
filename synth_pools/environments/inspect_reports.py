"""Reports of evaluations of Inspect, as events and steps of rollouts."""

from __future__ import annotations

from typing import Any

from inspect_ai.hooks import Hooks, hooks

from synth_pools.container import Rollout

_LONGEST_TEXT = 10_000


@hooks(name="synth_pools", description="Reports evaluations as events of rollouts.")
class Reports(Hooks):  # type: ignore[misc]
    """Reports of the evaluation of a rollout: Inspect has one for all of a process.

    Attributes:
        rollout: The rollout; None between two of them.
        sample: Its sample, once that has ended.
        reported: The ids of what was reported.
    """

    rollout: Rollout | None = None
    sample: Any = None
    reported: set[str]

    async def on_sample_end(self, data: Any) -> None:
        """Remember the sample."""
        Reports.sample = data.sample

    async def on_sample_event(self, data: Any) -> None:
        """Report a score, an answer of a tool or a call of the model."""
        rollout, event = self.rollout, data.event
        # Calls are announced, too, before they have ended.
        if rollout is None or rollout.is_cancelled or event.pending or event.uuid in self.reported:
            return
        self.reported.add(event.uuid)
        if event.event == "score":
            fields = {"value": event.score.value, "explanation": event.score.explanation}
            rollout.event({"type": "score", "scorer": event.scorer, **fields})
        elif event.event == "tool":
            rollout.trajectory.observe(
                event.error.message if event.error else event.result, event.id
            )
            result = event.error.message if event.error else str(event.result)[:_LONGEST_TEXT]
            rollout.event({"type": "tool", "name": event.function, "result": result})
        elif event.event == "model":
            rollout.metrics["turns"] = rollout.metrics.get("turns", 0) + 1
            _record(rollout, event, self.reported)


def _record(rollout: Rollout, event: Any, recorded: set[str]) -> None:
    """Report a call of the model as a step, after the messages that it was sent."""
    for message in event.input:
        # Answers of tools are added when they have come.
        if message.role != "tool" and message.id not in recorded:
            recorded.add(message.id)
            rollout.trajectory.add_message(
                {"role": message.role, "content": message.text},
                is_copied_context=message.role == "assistant",
            )
    output, used = event.output, event.output.usage
    if not output.choices:
        rollout.event({"type": "model", "error": event.error})
        return
    message, metrics = output.message, {}
    recorded.add(message.id)
    # An answer of a cache costs nothing.
    if used is not None and event.cache != "read":
        cached = used.input_tokens_cache_read or 0
        metrics = {
            "prompt_tokens": used.input_tokens + cached + (used.input_tokens_cache_write or 0),
            "completion_tokens": used.output_tokens,
            "cached_tokens": cached,
            "cost_usd": used.total_cost,
        }
    parts = message.content if isinstance(message.content, list) else ()
    reasoning = "".join(part.reasoning for part in parts if part.type == "reasoning")
    rollout.step(
        "agent",
        message.text,
        tool_calls=message.tool_calls,
        reasoning_content=reasoning or None,
        model_name=output.model,
        metrics=metrics,
        extra={"finish_reason": output.stop_reason},
    )
