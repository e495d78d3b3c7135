"""Reports of evaluations of Inspect, as events and steps of rollouts."""

from __future__ import annotations

from math import inf
from typing import Any

from inspect_ai.hooks import Hooks, hooks
from inspect_ai.util import LimitExceededError

from synth_pools.container import Rollout
from synth_pools.container.atif import step_event

PROVIDER = "openai-api/pool/"


@hooks(name="synth_pools", description="Reports evaluations as events of rollouts.")
class Reports(Hooks):  # type: ignore[misc]
    """Reports of the evaluation of a rollout: Inspect has one for all of a process.

    Attributes:
        rollout: The rollout; None between two of them.
        sample: Its sample, once that has ended.
        reported: The ids of what was reported.
        recorded: The steps of messages to other models than the policy's, by their ids.
        results: What tools have answered, by the ids of their calls.
        most_turns: The most calls of models, which those of a scorer do not count to.
    """

    rollout: Rollout | None = None
    sample: Any = None
    reported: set[str]
    recorded: dict[str, int]
    results: dict[str, Any]
    most_turns: float

    @classmethod
    def begin(cls, rollout: Rollout) -> None:
        """Report the evaluation of a rollout from now on."""
        cls.most_turns = rollout.limit("max_turns") or inf
        cls.rollout, cls.sample = rollout, None
        cls.reported, cls.recorded, cls.results = set(), {}, {}

    @classmethod
    def add_results(cls, rollout: Rollout) -> None:
        """Add the answers of tools that no later call has told a model."""
        for call_id, result in cls.results.items():
            if rollout.trajectory.is_answered(call_id):
                continue
            if (step := rollout.trajectory.observe(result, call_id)) is not None:
                rollout.event(step_event(step))

    async def on_sample_end(self, data: Any) -> None:
        """Remember the sample."""
        Reports.sample = data.sample

    async def on_before_model_generate(self, data: Any) -> None:
        """Stop a solver that has had its turns, which Inspect does after a further call."""
        del data
        if self.rollout is not None and self.rollout.metrics.get("turns", 0) >= self.most_turns:
            raise LimitExceededError("turn", value=self.most_turns, limit=self.most_turns)

    async def on_sample_scoring(self, data: Any) -> None:
        """Have no limit of turns any more."""
        del data
        Reports.most_turns = inf

    async def on_sample_event(self, data: Any) -> None:
        """Report a score, an answer of a tool or a call of another model."""
        rollout, event = self.rollout, data.event
        # Calls are announced, too, before they have ended.
        if rollout is None or rollout.is_cancelled or event.pending or event.uuid in self.reported:
            return
        self.reported.add(event.uuid)
        if event.event == "score":
            fields = {"value": event.score.value, "explanation": event.score.explanation}
            rollout.event({"type": "score", "scorer": event.scorer, **fields})
        elif event.event == "tool":
            self.results[event.id] = event.error.message if event.error else event.result
        elif event.event == "model":
            rollout.metrics["turns"] = rollout.metrics.get("turns", 0) + 1
            # The relay records the calls of the policy's model.
            if not event.model.startswith(PROVIDER):
                _record(rollout, event, self.recorded)


def _record(rollout: Rollout, event: Any, recorded: dict[str, int]) -> None:
    """Report a call of another model as a step, after the messages that it was sent."""
    after = 0
    for message in event.input:
        if message.id not in recorded:
            call_id = getattr(message, "tool_call_id", None)
            step = rollout.trajectory.add_message(
                {"role": message.role, "content": message.text, "tool_call_id": call_id},
                after=after,
                is_copied_context=message.role == "assistant",
            )
            recorded[message.id] = step["step_id"] if step else after
        after = recorded[message.id]
    output, used = event.output, event.output.usage
    if not output.choices:
        rollout.event({"type": "model", "error": event.error})
        return
    message, metrics = output.message, {}
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
    answer = rollout.trajectory.add(
        "agent",
        message.text,
        after=after,
        tool_calls=message.tool_calls,
        reasoning_content=reasoning or None,
        model_name=output.model,
        metrics=metrics,
        extra={"finish_reason": output.stop_reason},
    )
    recorded[message.id] = answer["step_id"]
    rollout.event(step_event(answer))
