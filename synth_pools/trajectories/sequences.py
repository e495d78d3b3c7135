"""Token sequences of trajectories, as trainers read them: nothing is tokenized again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from synth_pools.trajectories.conversations import finish_reason
from synth_pools.trajectories.messages import own_steps


@dataclass(eq=False)
class TokenSequence:
    """A prompt, and all that follows it.

    Attributes:
        prompt: Ids of the first prompt.
        response: Ids after it: what the model sampled, and what it was then sent.
        mask: 1 where the model sampled.
        logprobs: Log-probabilities, 0 where it did not sample; None where a step has none.
        finish_reason: Why the model stopped last; None if nobody tells.
        ends: True for the last sequence of its trajectory.
    """

    prompt: list[int]
    response: list[int] = field(default_factory=list)
    mask: list[int] = field(default_factory=list)
    logprobs: list[float] | None = field(default_factory=list)
    finish_reason: str | None = None
    ends: bool = False

    def __len__(self) -> int:
        return len(self.prompt) + len(self.response)

    def continues_in(self, prompt: Sequence[int]) -> bool:
        """Return True if a later prompt begins with all of this sequence."""
        length = len(self)
        # Its last token tells most others apart, and takes no copy.
        if len(prompt) < length or prompt[length - 1] != self.response[-1]:
            return False
        return list(prompt[:length]) == self.prompt + self.response

    def add(self, metrics: Mapping[str, Any]) -> None:
        """Add a step whose prompt begins with all of this sequence."""
        sent = metrics["prompt_token_ids"][len(self) :]
        sampled, logprobs = metrics["completion_token_ids"], metrics.get("logprobs")
        self.response += sent + sampled
        self.mask += [0] * len(sent) + [1] * len(sampled)
        if logprobs is None or len(logprobs) != len(sampled):
            self.logprobs = None
        elif self.logprobs is not None:
            self.logprobs += [0.0] * len(sent) + logprobs


def token_sequences(trajectory: Mapping[str, Any]) -> list[TokenSequence] | None:
    """Return the sequences of a trajectory; None if a step that a model sampled has no ids.

    A prompt goes on with the longest sequence that it begins with, whatever conversations came
    between. Where there is no such sequence, as after a summary, another begins. They are in the
    order of their last steps.
    """
    sequences: list[TokenSequence] = []
    for step in own_steps(trajectory):
        metrics = step.get("metrics")
        if step["source"] != "agent" or not metrics:
            continue
        if not metrics.get("prompt_token_ids") or not metrics.get("completion_token_ids"):
            return None
        prompt = metrics["prompt_token_ids"]
        earlier = [item for item in reversed(sequences) if item.continues_in(prompt)]
        if earlier:
            sequence = max(earlier, key=len)
            sequences.remove(sequence)
        else:
            sequence = TokenSequence(list(prompt))
        sequences.append(sequence)
        sequence.add(metrics)
        sequence.finish_reason = finish_reason(step)
    if sequences:
        sequences[-1].ends = True
    return sequences or None
