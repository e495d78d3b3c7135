"""Answers of tools: long ones in parts, errors with all that the service says."""

from __future__ import annotations

import json

from synth_pools.errors import APIStatusError, APITimeoutError

READ_ON = "read_on"
PART = 20_000
_MOST_ANSWERS = 32
_MOST_CHARACTERS = 64 * 1024 * 1024


class Answers:
    """Answers without the key, of which long ones are read on; the oldest are forgotten.

    Args:
        secret: The key, which a service may repeat; no agent is shown it.
    """

    def __init__(self, secret: str) -> None:
        self._secret = secret
        self._texts: dict[str, str] = {}
        self._count = 0

    def first_part(self, text: str) -> list[str]:
        """Return an answer, or the first part of a long one and how to read on."""
        # As a whole: the key could be cut with the text.
        text = text.replace(self._secret, "***")
        if len(text) <= PART:
            return [text]
        self._count += 1
        answer_id = f"answer_{self._count}"
        self._texts[answer_id] = text
        while len(self._texts) > 1 and (
            len(self._texts) > _MOST_ANSWERS
            or sum(map(len, self._texts.values())) > _MOST_CHARACTERS
        ):
            del self._texts[next(iter(self._texts))]
        return self.part(answer_id, 0)

    def part(self, answer_id: object, offset: object) -> list[str]:
        """Return the part of an answer from a position on, and how to read on.

        Raises:
            ValueError: There is no such answer any more, or no such position in it.
        """
        text = self._texts.get(answer_id) if isinstance(answer_id, str) else None
        if text is None:
            raise ValueError("no answer with this answer_id is stored any more: repeat the call")
        if type(offset) is not int or not 0 <= offset < len(text):
            raise ValueError(f"offset must be a number from 0 to {len(text) - 1}")
        end = min(offset + PART, len(text))
        place = f"These are the characters {offset} to {end} of {len(text)}."
        if end < len(text):
            place += f' Read on with {READ_ON}(answer_id="{answer_id}", offset={end}).'
        return [text[offset:end], place]


def error_text(error: Exception) -> str:
    """Return the JSON for an error: its message, and what the service said or may do."""
    details: dict[str, object] = {"error": str(error) or type(error).__name__}
    if isinstance(error, APIStatusError):
        details |= {
            "status": error.status_code,
            "code": error.code,
            "request_id": error.request_id,
            "retry_after": error.retry_after,
            "body": error.body,
        }
    elif isinstance(error, APITimeoutError | TimeoutError):
        details["hint"] = "what was asked for may go on: a rollout is in list_rollouts"
    return json.dumps(details, ensure_ascii=False)
