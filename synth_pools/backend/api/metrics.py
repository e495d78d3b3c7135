"""The body of `GET /metrics`."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import replace

from starlette.types import Receive

from synth_pools._version import __version__
from synth_pools.backend.api.disconnects import turn_unless_disconnected
from synth_pools.backend.metrics.snapshot import Reading, count
from synth_pools.backend.services import Services
from synth_pools.backend.storage.database import StorageError

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_LIMITS = ("max_queued", "max_queued_per_pool", "max_streams")


async def exposition(services: Services, receive: Receive) -> bytes:
    """Write all metrics in Prometheus' text format.

    The database is read in another thread, in turn with other counts, so that scrapes of a large
    one delay nobody.

    Raises:
        ApiError: 503 if its turn did not come in time.
        ClientDisconnectedError: The client disconnected before it.
    """
    async with turn_unless_disconnected(receive, services.turn(services.counting_turns)):
        reading = Reading(
            version=__version__,
            api_version=services.contract.version,
            recorder=services.recorder,
            limits={name: getattr(services.settings, name) for name in _LIMITS},
            open_streams=len(services.streams),
            background=services.background.running,
            waiting_writes=services.database.waiting,
            bytes_on_disk=await services.database.bytes_on_disk(),
            sharing=await services.database.sharing(),
            containers=tuple(services.read_containers()),
            stored=None,
        )
        # The log has the cause; the metrics show the state.
        with contextlib.suppress(StorageError):
            reading = replace(reading, stored=await services.database.read_apart(count))
        return await asyncio.to_thread(_written, reading)


def _written(reading: Reading) -> bytes:
    # Imported here, since the import would slow down the start of backends that are never scraped.
    from synth_pools.backend.metrics.prometheus import text_of

    return text_of(reading)
