from typing import Literal, cast

StreamPoolEventsFormat = Literal["json", "sse"]

STREAM_POOL_EVENTS_FORMAT_VALUES: frozenset[str] = frozenset(["json", "sse"])


def check_stream_pool_events_format(value: str) -> StreamPoolEventsFormat:
    """Refuse a value that is not one of STREAM_POOL_EVENTS_FORMAT_VALUES."""
    if value not in STREAM_POOL_EVENTS_FORMAT_VALUES:
        raise ValueError(
            f"{value!r} is not one of {', '.join(sorted(STREAM_POOL_EVENTS_FORMAT_VALUES))}"
        )
    return cast(StreamPoolEventsFormat, value)
