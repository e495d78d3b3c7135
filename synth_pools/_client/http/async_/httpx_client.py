"""HTTP clients of httpx that the async client makes, or was given. `sync_` has the same.

Each time one of its connections changes, httpx looks through all of them and all that wait: with
many calls in flight it is many times slower than an engine over sockets.
"""

from __future__ import annotations

from synth_pools._client.http import AsyncClient, Limits, Response
from synth_pools._client.http.environment import context_for, with_proxies
from synth_pools._client.http.messages import PoolLimits
from synth_pools._client.runtime.async_.interrupts import AsyncAlarm


def http_client(base_url: str, limits: PoolLimits, alarm: AsyncAlarm) -> AsyncClient:
    """Make an HTTP client with connections of its own, through the proxies of the environment.

    Args:
        base_url: Base URL of the service.
        limits: Limits of its pool of connections.
        alarm: Wakes whoever waits for one of them.

    Raises:
        ConfigurationError: A variable of the environment cannot be used.
    """
    del alarm  # it wakes tasks, not sockets
    context = context_for(base_url)
    bounds = Limits(
        max_connections=limits.connections,
        max_keepalive_connections=limits.idle,
        keepalive_expiry=limits.idle_seconds,
    )
    return with_proxies(lambda: AsyncClient(limits=bounds, verify=context))


async def wake_reader(response: Response) -> None:
    """End the body of a response for whoever reads it, from another task.

    Args:
        response: The response; the connection ends with it unless others share that.
    """
    await response.aclose()
