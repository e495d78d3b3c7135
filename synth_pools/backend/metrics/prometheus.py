"""Reading in Prometheus' text format, written by prometheus-client.

Imported by the first scrape only: the library brings a web server and a client, which would slow
down a start. Its global registry stays unused, since several backends may run in one process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from typing import TypeVar
from urllib.parse import urlsplit

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    InfoMetricFamily,
)
from prometheus_client.metrics_core import Metric

from synth_pools.backend.metrics.recorder import Histogram
from synth_pools.backend.metrics.snapshot import ContainerReading, Reading, StoredCounts

_PREFIX = "synth_pools"

# Number of containers with series of their own.
_MOST_CONTAINERS = 200

# Descriptions of the figures of a shared database, by name.
_SHARING = {
    "backends": "Backends that share the database and hold a lease.",
    "dead_queue_rows": "Rows of the queue that are gone and still take room.",
    "oldest_snapshot_seconds": "Age of the oldest snapshot that keeps dead rows in the database.",
}

_F = TypeVar("_F", GaugeMetricFamily, CounterMetricFamily)
Labelled = Iterable[tuple[tuple[str, ...], float]]


def text_of(reading: Reading) -> bytes:
    """Return the answer to a scrape."""
    registry = CollectorRegistry()
    registry.register(_Collected(reading))
    # Memory, processor time and open files of the process; absent without /proc.
    ProcessCollector(registry=registry)
    return generate_latest(registry)


class _Collected:
    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def collect(self) -> Iterator[Metric]:
        reading = self._reading
        build = {"version": reading.version, "api_version": reading.api_version}
        yield InfoMetricFamily(f"{_PREFIX}_build", "What runs here.", value=build)
        limits = (((name,), value) for name, value in reading.limits.items())
        yield _gauge("limit", "Beyond it the answer is 429.", limits, "limit")
        yield from _rollouts(reading)
        yield from _stored(reading.stored)
        yield from _containers(reading.containers)
        yield _gauge("event_streams", "Event streams that are open.", [((), reading.open_streams)])
        works = (((name,), is_running) for name, is_running in reading.background.items())
        text = "Whether work in the background runs; 0 for a minute after it crashed."
        yield _gauge("background_running", text, works, "work")
        yield _histogram(
            "request_seconds",
            "From a request to its answer, or to the first byte of an event stream.",
            list(reading.recorder.requests.items()),
            "operation",
            "status",
        )
        yield from _by_key(reading)
        yield from _database(reading)


def _rollouts(reading: Reading) -> Iterator[Metric]:
    recorder = reading.recorder
    yield _counter("rollouts_admitted", "Rollouts admitted.", [((), recorder.admitted)])
    yield _counter("rollout_attempts", "Rollouts sent to a container.", [((), recorder.attempts)])
    yield _counter(
        "rollouts_finished",
        "Rollouts that ended, by their state, and the error code of those that failed.",
        list(recorder.finished.items()),
        "state",
        "code",
    )
    text = "Tokens that models read and wrote, as containers report them."
    yield _counter("rollout_tokens", text, list(recorder.tokens.items()), "direction")
    text = "Cost of rollouts in US dollars, as containers report it."
    yield _counter("rollout_cost_usd", text, [((), recorder.cost_usd)])
    yield _histogram(
        "rollout_queue_seconds",
        "From the admission of a rollout to its first start.",
        [((), recorder.queue_seconds)],
    )
    runs = [((state,), histogram) for state, histogram in list(recorder.run_seconds.items())]
    yield _histogram(
        "rollout_run_seconds", "From the first start of a rollout to its end.", runs, "state"
    )


def _by_key(reading: Reading) -> Iterator[Metric]:
    recorder = reading.recorder
    requests = list(recorder.requests_by_key.items())
    yield _counter("key_requests", "Requests by the name of their key.", requests, "key", "status")
    admitted = list(recorder.admitted_by_key.items())
    text = "Rollouts admitted, by the name of the key that created them."
    yield _counter("key_rollouts_admitted", text, admitted, "key")


def _stored(counts: StoredCounts | None) -> Iterator[Metric]:
    readable = "Whether the database can be read; what it holds is missing here where it cannot."
    yield _gauge("store_readable", readable, [((), counts is not None)])
    if counts is None:
        return
    rollouts = (((state,), number) for state, number in counts.rollouts_by_state.items())
    yield _gauge("rollouts", "Rollouts that are stored.", rollouts, "state")
    pools = (((status,), number) for status, number in counts.pools_by_status.items())
    yield _gauge("pools", "Pools that are stored.", pools, "status")
    queued = [((pool, "queued"), load.queued) for pool, load in counts.loads.items()]
    running = [((pool, "running"), load.running) for pool, load in counts.loads.items()]
    limits = (((pool,), load.concurrency) for pool, load in counts.loads.items())
    oldest = "Age of the rollout that has waited for longest, in any pool; 0 where none waits."
    yield _gauge("oldest_queued_seconds", oldest, [((), counts.oldest_queued_seconds)])
    unfinished = "Unfinished rollouts of the pools that have most, and of the others together."
    yield _gauge("pool_rollouts", unfinished, queued + running, "pool", "state")
    yield _gauge("pool_concurrency", "Rollouts of a pool that may run at once.", limits, "pool")


def _containers(containers: tuple[ContainerReading, ...]) -> Iterator[Metric]:
    by_health: dict[tuple[str, ...], int] = {}
    for container in containers:
        by_health[container.health,] = by_health.get((container.health,), 0) + 1
    yield _gauge("containers", "Containers of all pools.", by_health.items(), "health")
    # A container may be in a pool more than once, but a series must be unique.
    by_labels = {
        (container.pool_id, _address(container.url)): container
        for container in containers[:_MOST_CONTAINERS]
    }
    names = ("pool", "container")
    health = ((labels, container.health == "healthy") for labels, container in by_labels.items())
    yield _gauge("container_up", "Whether a container is healthy.", health, *names)
    running = ((labels, container.running_rollouts) for labels, container in by_labels.items())
    yield _gauge("container_running_rollouts", "Rollouts that it runs.", running, *names)
    restarts = ((labels, container.restarts) for labels, container in by_labels.items())
    yield _counter("container_restarts", "How often it was started again.", restarts, *names)
    text = "Where a container runs that the backend has started, and from what: always 1."
    origins = (
        (
            (
                *labels,
                container.origin.launcher,
                container.origin.node,
                container.origin.image_digest or "",
            ),
            1,
        )
        for labels, container in by_labels.items()
        if container.origin is not None
    )
    yield _gauge("container_info", text, origins, *names, "launcher", "node", "image_digest")


def _database(reading: Reading) -> Iterator[Metric]:
    recorder = reading.recorder
    transactions = "Transactions that write, from their beginning until they are on disk."
    yield _histogram(
        "store_transaction_seconds", transactions, [((), recorder.transaction_seconds)]
    )
    writes = "Writes that shared a transaction."
    yield _histogram("store_batch_writes", writes, [((), recorder.batch_sizes)])
    failures = "Transactions that the database did not take."
    yield _counter("store_failed_transactions", failures, [((), recorder.failed_transactions)])
    waiting = "Writes that are not on disk yet."
    yield _gauge("store_waiting_writes", waiting, [((), reading.waiting_writes)])
    sizes = (((name,), size) for name, size in reading.bytes_on_disk.items())
    yield _gauge("store_bytes", "Size of the database and of its log.", sizes, "file")
    for name, text in _SHARING.items():
        if name in reading.sharing:
            yield _gauge(f"store_{name}", text, [((), reading.sharing[name])])
    refusals = "Rollouts that another backend had taken over when this one was to write of them."
    yield _counter("store_refused_rollouts", refusals, [((), reading.recorder.refused_writes)])


def _address(url: str) -> str:
    """Return the URL up to its path, since the rest may be a secret of the container."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}{parts.path}"


def _family(kind: type[_F], name: str, text: str, values: Labelled, *labels: str) -> _F:
    family = kind(f"{_PREFIX}_{name}", text, labels=labels)
    for label_values, value in values:
        family.add_metric(label_values, value)
    return family


_gauge = partial(_family, GaugeMetricFamily)
_counter = partial(_family, CounterMetricFamily)


def _histogram(
    name: str, text: str, values: Iterable[tuple[tuple[str, ...], Histogram]], *labels: str
) -> Metric:
    family = HistogramMetricFamily(f"{_PREFIX}_{name}", text, labels=labels)
    for label_values, histogram in values:
        buckets = [(_le(bound), count) for bound, count in histogram.cumulative()]
        family.add_metric(label_values, buckets, histogram.sum)
    return family


def _le(bound: float) -> str:
    return "+Inf" if bound == float("inf") else str(float(bound))
