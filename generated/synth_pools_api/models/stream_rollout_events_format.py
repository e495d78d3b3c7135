from typing import Literal, cast

StreamRolloutEventsFormat = Literal["json", "sse"]

STREAM_ROLLOUT_EVENTS_FORMAT_VALUES: frozenset[str] = frozenset(["json", "sse"])


def check_stream_rollout_events_format(value: str) -> StreamRolloutEventsFormat:
    """Refuse a value that is not one of STREAM_ROLLOUT_EVENTS_FORMAT_VALUES."""
    if value not in STREAM_ROLLOUT_EVENTS_FORMAT_VALUES:
        raise ValueError(
            f"{value!r} is not one of {', '.join(sorted(STREAM_ROLLOUT_EVENTS_FORMAT_VALUES))}"
        )
    return cast(StreamRolloutEventsFormat, value)
