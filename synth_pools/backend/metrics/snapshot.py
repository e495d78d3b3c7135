"""What one scrape tells, taken together before it is written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from .recorder import MetricsRecorder
from .stored import StoredCounts


@dataclass(frozen=True, slots=True)
class ContainerReading:
    """One container of a pool."""

    pool_id: str
    url: str
    # "healthy", "unhealthy", "starting" or "stopped".
    health: str
    running_rollouts: int
    # How often its process was started again; 0 where it is not one of ours.
    restarts: int


@dataclass(frozen=True, slots=True)
class Reading:
    version: str
    api_version: str
    recorder: MetricsRecorder
    # By the name of the limit.
    limits: Mapping[str, int]
    open_streams: int
    waiting_writes: int
    bytes_on_disk: Mapping[str, int]
    containers: tuple[ContainerReading, ...]
    # None where the database could not be read.
    stored: StoredCounts | None
