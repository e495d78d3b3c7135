from typing import Literal

StreamGlobalRolloutEventsFormat = Literal["json", "sse"] | str

STREAM_GLOBAL_ROLLOUT_EVENTS_FORMAT_VALUES: frozenset[str] = frozenset(["json", "sse"])


def check_stream_global_rollout_events_format(value: str) -> StreamGlobalRolloutEventsFormat:
    """Let any value through: STREAM_GLOBAL_ROLLOUT_EVENTS_FORMAT_VALUES are those known when this was generated."""
    return value
