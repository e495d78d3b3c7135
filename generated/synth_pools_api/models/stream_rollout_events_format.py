from typing import Literal

StreamRolloutEventsFormat = Literal["json", "sse"] | str

STREAM_ROLLOUT_EVENTS_FORMAT_VALUES: frozenset[str] = frozenset(["json", "sse"])


def check_stream_rollout_events_format(value: str) -> StreamRolloutEventsFormat:
    """Let any value through: STREAM_ROLLOUT_EVENTS_FORMAT_VALUES are those known when this was generated."""
    return value
