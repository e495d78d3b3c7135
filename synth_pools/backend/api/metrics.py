"""The answer to `GET /metrics`."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from synth_pools._version import __version__

from ..metrics.snapshot import Reading
from ..metrics.stored import count
from ..services import Backend
from ..storage.database import StorageError

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LIMITS = ("max_queued", "max_queued_per_pool", "max_streams")


async def exposition(backend: Backend) -> bytes:
    """Everything that is measured, in Prometheus' text format.

    What takes time is done in another thread: a scrape of a large database holds up nobody.
    """
    reading = Reading(
        version=__version__,
        api_version=backend.contract.version,
        measures=backend.measures,
        limits={name: getattr(backend.settings, name) for name in _LIMITS},
        open_streams=len(backend.streams),
        waiting_writes=backend.store.waiting,
        bytes_on_disk=backend.store.bytes_on_disk(),
        containers=tuple(backend.read_containers()),
        stored=None,
    )
    return await asyncio.to_thread(_written, backend, reading)


def _written(backend: Backend, reading: Reading) -> bytes:
    # Not at the start, which it would slow down for those who never scrape.
    from ..metrics.prometheus import text_of

    try:
        with backend.store.reading_elsewhere() as db:
            reading = replace(reading, stored=count(db))
    except StorageError:
        # The log has what is wrong with it; whoever watches must learn that there is something.
        pass
    return text_of(reading)
