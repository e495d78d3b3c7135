"""Rollouts that run until the kit releases them, so that no verdict depends on timing.

A stub container of the kit answers when the rollout is released. On an echo target a rollout lasts
much longer than the requests that the scenario sends meanwhile; the scenario makes sure that the
rollout still runs, and tries again with a longer one if it does not.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from synth_pools.contract.exceptions import InconclusiveError
from synth_pools.contract.harness.context import Context
from synth_pools.contract.harness.waits import STARTED, Rollout, start_rollout, wait_for
from synth_pools.contract.http.switched_container import SwitchedContainer
from synth_pools.contract.results import Outcome

_ATTEMPTS = 3
_LONGER = 4.0
# A held rollout first lasts these seconds and this many requests on an echo target.
_SECONDS = 1.0
_REQUESTS = 8
# Seconds that a container of the kit may take to answer; a backend waits longer.
_SLOW = 1.0


class Held:
    """One attempt at a scenario that decides when its rollouts end.

    Attributes:
        seconds: The duration of a held rollout that cannot be released.
    """

    def __init__(self, ctx: Context, seconds: float) -> None:
        self._ctx = ctx
        self.seconds = seconds

    def pool(self, subject: str = "", **more: Any) -> str:
        """Create a pool whose rollouts can be held; see `Resources.live_pool`."""
        containers = self._ctx.session.containers
        if containers:
            more = {"container_url": containers["good"], **more}
        return self._ctx.resources.live_pool(subject, **more)

    def start(self, pool_id: str, **request: Any) -> Rollout:
        """Start a held rollout, and wait until it runs."""
        env = {"delay": self.seconds, "hold": True}
        rollout = start_rollout(self._ctx, pool_id, env=env, **request)
        wait_for(self._ctx, rollout, STARTED)
        return rollout

    def lasted(self, rollout: Rollout) -> bool:
        """Return True unless a rollout has completed by itself; scenarios judge other ends."""
        response = self._ctx.require(200, "get_rollout", rollout.ids)
        return bool(response.at("status") != "completed")

    def release(self, rollout: Rollout) -> None:
        """Let a held rollout end; on an echo target it ends by itself."""
        self._ctx.session.received.release(rollout.id)


def hold(ctx: Context) -> Iterator[Held]:
    """Try a scenario until its held rollouts last long enough.

    Args:
        ctx: The context.

    Yields:
        An attempt; the scenario returns from within a successful one.

    Raises:
        InconclusiveError: No attempt was successful.
    """
    seconds = _SECONDS + _REQUESTS * ctx.session.http.round_trip
    for _ in range(_ATTEMPTS):
        yield Held(ctx, seconds)
        seconds *= _LONGER
    note = "rollouts ended before their state could be used: requests take too long here"
    raise InconclusiveError(Outcome.NOT_REACHED, ctx.operations[0], note)


def only_in_time(operation: str, containers: Iterable[SwitchedContainer]) -> None:
    """Judge nothing if a container of the kit was too slow to count as healthy.

    Raises:
        InconclusiveError: A container was too slow.
    """
    if max(container.slowest for container in containers) > _SLOW:
        note = "the kit's own containers were slow: this machine is too busy"
        raise InconclusiveError(Outcome.NOT_REACHED, operation, note)
