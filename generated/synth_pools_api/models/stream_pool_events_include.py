from typing import Literal, cast

StreamPoolEventsInclude = Literal["rollout"]

STREAM_POOL_EVENTS_INCLUDE_VALUES: frozenset[str] = frozenset(["rollout"])


def check_stream_pool_events_include(value: str) -> StreamPoolEventsInclude:
    """Refuse a value that is not one of STREAM_POOL_EVENTS_INCLUDE_VALUES."""
    if value not in STREAM_POOL_EVENTS_INCLUDE_VALUES:
        raise ValueError(
            f"{value!r} is not one of {', '.join(sorted(STREAM_POOL_EVENTS_INCLUDE_VALUES))}"
        )
    return cast(StreamPoolEventsInclude, value)
