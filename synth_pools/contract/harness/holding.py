"""Rollouts that run until the kit says otherwise, so that no verdict races a clock.

A stub container of the kit answers when it is told to. An echo target cannot be told: there a
rollout lasts for a time that is long beside the requests in between. The scenario makes sure that
it still runs where that matters, and tries once more with a longer one where it does not.
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
# Seconds, and requests, that a held rollout lasts on an echo target at first.
_SECONDS = 1.0
_REQUESTS = 8
# Seconds for which a container of ours may be slow; a backend waits longer for one.
_SLOW = 1.0


class Held:
    """One attempt at a scenario that needs rollouts which run until it has seen enough.

    Attributes:
        seconds: The time that a held rollout lasts where it cannot be released.
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
        """Start a rollout that is held, and wait until it has begun."""
        env = {"delay": self.seconds, "hold": True}
        rollout = start_rollout(self._ctx, pool_id, env=env, **request)
        wait_for(self._ctx, rollout, STARTED)
        return rollout

    def lasted(self, rollout: Rollout) -> bool:
        """Return True unless a rollout has ended by itself: what else ended it is to be judged."""
        response = self._ctx.require(200, "get_rollout", rollout.ids)
        return bool(response.at("status") != "completed")

    def release(self, rollout: Rollout) -> None:
        """Let a held rollout end, which on an echo target it does by itself."""
        self._ctx.session.received.release(rollout.id)


def hold(ctx: Context) -> Iterator[Held]:
    """Try a scenario until its held rollouts lasted for as long as it needed them.

    Args:
        ctx: The context.

    Yields:
        An attempt; the scenario returns from within the one that went well.

    Raises:
        InconclusiveError: No attempt did.
    """
    seconds = _SECONDS + _REQUESTS * ctx.session.http.round_trip
    for _ in range(_ATTEMPTS):
        yield Held(ctx, seconds)
        seconds *= _LONGER
    note = "rollouts ended before their state could be used: requests take too long here"
    raise InconclusiveError(Outcome.NOT_REACHED, ctx.operations[0], note)


def only_in_time(operation: str, containers: Iterable[SwitchedContainer]) -> None:
    """Judge nothing where containers of ours may have answered too late to be well.

    Raises:
        InconclusiveError: One of them may.
    """
    if max(container.slowest for container in containers) > _SLOW:
        note = "the kit's own containers were slow: this machine is too busy"
        raise InconclusiveError(Outcome.NOT_REACHED, operation, note)
