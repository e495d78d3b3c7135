from typing import Literal, cast

StreamPoolEventsStart = Literal["earliest", "latest"]

STREAM_POOL_EVENTS_START_VALUES: frozenset[str] = frozenset(["earliest", "latest"])


def check_stream_pool_events_start(value: str) -> StreamPoolEventsStart:
    """Refuse a value that is not one of STREAM_POOL_EVENTS_START_VALUES."""
    if value not in STREAM_POOL_EVENTS_START_VALUES:
        raise ValueError(
            f"{value!r} is not one of {', '.join(sorted(STREAM_POOL_EVENTS_START_VALUES))}"
        )
    return cast(StreamPoolEventsStart, value)
