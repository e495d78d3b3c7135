from typing import Literal, cast

StreamGlobalRolloutEventsFormat = Literal["json", "sse"]

STREAM_GLOBAL_ROLLOUT_EVENTS_FORMAT_VALUES: frozenset[str] = frozenset(["json", "sse"])


def check_stream_global_rollout_events_format(value: str) -> StreamGlobalRolloutEventsFormat:
    """Refuse a value that is not one of STREAM_GLOBAL_ROLLOUT_EVENTS_FORMAT_VALUES."""
    if value not in STREAM_GLOBAL_ROLLOUT_EVENTS_FORMAT_VALUES:
        raise ValueError(
            f"{value!r} is not one of {', '.join(sorted(STREAM_GLOBAL_ROLLOUT_EVENTS_FORMAT_VALUES))}"
        )
    return cast(StreamGlobalRolloutEventsFormat, value)
