"""Fleet of rollouts: `run_many`."""

from __future__ import annotations

import warnings
from types import TracebackType
from typing import Any, Self

from synth_pools._client._async.fleet.engine import AsyncFleetEngine
from synth_pools._client._async.transport import AsyncTransport
from synth_pools._client.fleet.options import FleetOptions, check_requests
from synth_pools._client.fleet.outcomes import FleetProgress, RolloutOutcome
from synth_pools._client.fleet.table import GroupedBy, data_frame, grouped, html, table
from synth_pools._client.fleet.usage import with_rates
from synth_pools._client.http.async_.engine import AsyncCloseable
from synth_pools._client.runtime.async_.concurrency import AsyncRunnable, ends_silently


class AsyncFleet(AsyncRunnable[FleetProgress], AsyncCloseable):
    """Outcomes of many rollouts, as they arrive.

    Nothing is sent before the fleet is iterated, or run. It ends with the last request; leaving a
    ``with`` block around it, closing it, or an error in its loop ends it earlier. Then
    ``on_interrupt`` decides whether the service goes on with rollouts in flight or cancels them.

    Iterating raises:
        FleetStoppedError: It ended before its requests did: ``fail_fast``, or the service was down
            for too long.
        AuthenticationError: The API key is not accepted.
        BudgetReachedError: It reached its budget before its requests had ended, after the last
            outcome.
        JournalError: The journal cannot be used, or belongs to another run.
        ClientClosedError: The client is closed.
    """

    def __init__(
        self, transport: AsyncTransport, pool_id: str | None, requests: Any, options: FleetOptions
    ) -> None:
        self._engine: AsyncFleetEngine | None = None
        check_requests(requests)
        self._engine = AsyncFleetEngine(transport, pool_id, requests, options)

    @property
    def progress(self) -> FleetProgress:
        """Counts of its requests so far."""
        return self._running().progress()

    @property
    def usage(self) -> dict[str, Any]:
        """Sums of what its rollouts report: tokens, also of caches, and dollars.

        ``cost_usd`` includes ``estimated_cost_usd``; ``per_completed`` has the ``tokens`` and
        ``cost_usd`` of all rollouts for each one that completed.
        """
        return with_rates(self.progress.usage, self.progress.completed)

    def to_dicts(self, by: GroupedBy | None = None) -> list[dict[str, Any]]:
        """Return a flat row for each of the last 100,000 outcomes, in their order.

        Args:
            by: ``"task"``, ``"group"`` or ``"seed"``: a row for each of these instead, with its
                counts, mean reward and standard error, in the order of their first outcomes.

        Returns:
            The rows, as ``csv.DictWriter`` takes them.

        Raises:
            ValueError: ``by`` is something else.
        """
        rows = list(self._running().rows)
        return rows if by is None else grouped(rows, by)

    def to_pandas(self, by: GroupedBy | None = None) -> Any:
        """Return the rows of `to_dicts` as a ``pandas.DataFrame``.

        Args:
            by: As for `to_dicts`.

        Returns:
            The data frame.

        Raises:
            ImportError: pandas is not installed.
            ValueError: ``by`` is something else.
        """
        return data_frame(self.to_dicts(by))

    def table(self, by: GroupedBy | None = None) -> str:
        """Return the outcomes so far as text, with the rewards' mean and the failures by code.

        Args:
            by: As for `to_dicts`.

        Returns:
            The table. Columns without a value are left out.

        Raises:
            ValueError: ``by`` is something else.
        """
        return table(self.to_dicts(by), self.progress)

    def _repr_html_(self) -> str:
        """Return the counts and the last 10 outcomes, as a notebook shows them."""
        return html(self.to_dicts(), self.progress)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {self.progress}>"

    async def run(self) -> FleetProgress:
        """Run the fleet to its end; only ``on_result`` sees the outcomes.

        Returns:
            The counts.
        """
        async for _ in self:
            pass
        return self.progress

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> RolloutOutcome:
        engine = self._running()
        try:
            outcome = await engine.next()
        except BaseException as error:
            await engine.aclose(interrupted=_is_interruption(error))
            raise
        if outcome is None:
            await engine.aclose()
            raise StopAsyncIteration
        return outcome

    async def aclose(self) -> None:
        """End the fleet. Can be repeated."""
        await self._running().aclose()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self._running().aclose(interrupted=_is_interruption(error))

    def _running(self) -> AsyncFleetEngine:
        assert self._engine is not None  # noqa: S101 - only while it is made
        return self._engine

    def __del__(self) -> None:
        engine = getattr(self, "_engine", None)
        if engine is None:
            return
        if not engine.started and not engine.closed:
            warnings.warn(
                "run_many(...) was never run: iterate over it, or call its run()",
                RuntimeWarning,
                stacklevel=2,
                source=self,
            )
        engine.abandon()


def _is_interruption(error: BaseException | None) -> bool:
    """Check for ^C, which reaches a coroutine as its cancellation."""
    if isinstance(error, KeyboardInterrupt):
        return True
    return error is not None and ends_silently(error) and not isinstance(error, GeneratorExit)
