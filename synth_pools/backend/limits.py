"""Limits on the load of a backend."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import Any

from synth_pools.backend.errors import BadOptionError

_KIB = 1024
_MIB = 1024 * _KIB
# Deeper documents could exceed Python's recursion limit at any point of their processing.
DEEPEST = 500
LARGEST_PAGE = 1000


def _limit(default: float, words: str, *, most: float | None = None) -> Any:
    return field(default=default, metadata={"help": words, "most": most})


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits on the load of a backend; it refuses what exceeds them.

    Each is an option of `synth-pools serve` too: `max_queued` is `--max-queued`. There, names of
    options have no unit of time.

    Args:
        max_queued: Rollouts that may wait, in all pools together.
        max_queued_per_pool: Rollouts that may wait in one pool.
        max_body_bytes: Size of the body of a request, in bytes.
        max_body_values: JSON values in the body of a request: objects, arrays, texts, numbers.
        max_depth: Levels of nested JSON in a body, at most 500.
        max_header_bytes: Size of a request's line and headers together, in bytes.
        max_page_items: Items on one page of a list, whatever the request says; at most 1000.
        max_page_bytes: Size from which a page ends early, in bytes.
        max_unsent_bytes: Size of all responses of more than 64 KiB that are made and sent at once,
            in bytes; others wait, and clients that do not read theirs meanwhile are disconnected.
        max_streams: Event streams that are open at once.
        max_streams_per_rollout: Event streams of one rollout at once.
        max_streams_per_pool: Event streams of one pool at once, not counting those of its rollouts.
        max_connections: Connections that are open at once.
        max_container_bytes: Size of the answer of a container, its artifacts included, in bytes.
        max_container_values: JSON values in the answer of a container.
        max_parsing_bytes: Size of all documents of more than 256 KiB, of clients and of containers,
            that are parsed at once, in bytes; others wait.
        max_artifact_bytes: Size of the content of one artifact, in bytes.
        max_artifacts: Artifacts of one rollout.
        max_event_bytes: Size of the data of one event, in bytes.
        max_container_events: Agent events of one rollout, after which its container is not asked
            for more.
        sync_wait_seconds: Longest wait of a creation with `mode: sync` for its end, in seconds.
        header_timeout_seconds: Time for a request's line and headers to arrive, in seconds.
        body_timeout_seconds: Time for the body of a request to arrive, in seconds.
        idle_timeout_seconds: Time for which a connection is kept between two requests, in seconds;
            longer than clients and proxies use an idle one again, or they lose requests.
        room_wait_seconds: Longest wait of a request for memory for a large document, and for its
            turn to be read, in seconds each.
        max_query_seconds: Longest time of a query, in seconds; at most 240.
        write_timeout_seconds: Time after which a client that reads nothing is disconnected, in
            seconds.

    Raises:
        BadOptionError: A limit is 0 or less, or above its largest value.
    """

    max_queued: int = _limit(100_000, "Rollouts that may wait, in all pools together.")
    max_queued_per_pool: int = _limit(10_000, "Rollouts that may wait in one pool.")
    max_body_bytes: int = _limit(16 * _MIB, "Size of the body of a request.")
    max_body_values: int = _limit(
        250_000, "JSON values in the body of a request: objects, arrays, texts, numbers."
    )
    max_depth: int = _limit(DEEPEST, "Levels of JSON inside each other in a body.", most=DEEPEST)
    max_header_bytes: int = _limit(64 * _KIB, "Size of a request's line and headers together.")
    max_page_items: int = _limit(
        LARGEST_PAGE, "Items on one page of a list, whatever is asked for.", most=LARGEST_PAGE
    )
    max_page_bytes: int = _limit(4 * _MIB, "Size from which a page ends early.")
    max_unsent_bytes: int = _limit(
        64 * _MIB, "Size of all responses of more than 64 KiB that are made and sent at once."
    )
    max_streams: int = _limit(500, "Event streams that are open at once.")
    max_streams_per_rollout: int = _limit(100, "Event streams of one rollout at once.")
    max_streams_per_pool: int = _limit(
        200, "Event streams of one pool at once, those of its rollouts aside."
    )
    max_connections: int = _limit(2000, "Connections that are open at once.")
    max_container_bytes: int = _limit(
        64 * _MIB, "Size of the answer of a container, its artifacts included."
    )
    max_container_values: int = _limit(2_000_000, "JSON values in the answer of a container.")
    max_parsing_bytes: int = _limit(
        128 * _MIB, "Size of all documents of more than 256 KiB that are parsed at once."
    )
    max_artifact_bytes: int = _limit(64 * _MIB, "Size of the content of one artifact.")
    max_artifacts: int = _limit(10_000, "Artifacts that one rollout leaves.")
    max_event_bytes: int = _limit(256 * _KIB, "Size of what one event tells.")
    max_container_events: int = _limit(
        10_000, "Agent events of one rollout, beyond which its container is not asked for more."
    )
    # A creation with `mode: sync` gets a 202 after this time; the rollout goes on.
    sync_wait_seconds: float = _limit(
        86_400.0, "How long a creation with `mode: sync` waits for the end."
    )
    header_timeout_seconds: float = _limit(10.0, "Time for a request's line and headers to come.")
    body_timeout_seconds: float = _limit(60.0, "Time for the body of a request to come.")
    # nginx and load balancers send requests on connections that were idle for up to 60 seconds.
    idle_timeout_seconds: float = _limit(
        75.0, "How long a connection is kept between two requests."
    )
    room_wait_seconds: float = _limit(
        10.0, "How long a request waits for room for a large document, and for its turn."
    )
    max_query_seconds: float = _limit(10.0, "How long a query may take.", most=240)
    write_timeout_seconds: float = _limit(
        60.0, "How long a client may read nothing of what is ready for it."
    )

    def __post_init__(self) -> None:
        for limit in fields(Limits):
            value = getattr(self, limit.name)
            most = limit.metadata["most"]
            if not value > 0 or (most is not None and value > most):
                range_ = "above 0" if most is None else f"from 1 to {most:d}"
                raise BadOptionError(f"{limit.name} must be {range_}, not {value}")
