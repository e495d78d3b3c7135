"""`run` and `run_many`, which run rollouts to their end."""

from __future__ import annotations

import os
from collections.abc import AsyncIterable, Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from synth_pools._client._async.facade.agent_rollouts import AsyncAgentRolloutOperations
from synth_pools._client._async.facade.base import AsyncNamespace
from synth_pools._client._async.facade.rollouts import AsyncRolloutOperations
from synth_pools._client.arguments import (
    check_callback,
    check_flag,
    check_idempotency_key,
    check_limit,
    path_segment,
    validate_pool_rollout_request,
)
from synth_pools_api.types import Id

if TYPE_CHECKING:
    from synth_pools._client._async.fleet.fleet import AsyncFleet
    from synth_pools._client._async.transport import AsyncTransport
    from synth_pools._client.fleet.outcomes import FleetProgress, RolloutOutcome
    from synth_pools_api.requests import PlainRequest, RolloutRequestDict


class AsyncRolloutRunner(AsyncNamespace):
    """Methods of ``client.rollouts`` that run rollouts to their end."""

    def __init__(self, client: AsyncRolloutOperations) -> None:
        self._client = client

    async def run(
        self,
        pool_id: Id,
        request: RolloutRequestDict | PlainRequest,
        *,
        on_event: Callable[[dict[str, Any]], Any] | None = None,
        timeout: float | None = None,
        cancel_on_timeout: bool = False,
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """Start a rollout, follow it, and return it when it has ended.

        Args:
            pool_id: Id of the pool.
            request: What to run, see `create_rollout`.
            on_event: Called with each of its events, unless the service refuses them to the end.
            timeout: Seconds for the whole call; None for no limit.
            cancel_on_timeout: Cancel the rollout when the time is over, which may take 10 seconds
                more; else it goes on.
            idempotency_key: See `create_rollout`.

        Returns:
            The rollout, completed, failed or cancelled, with its summary under ``summary``.

        Raises:
            WaitTimeoutError: It has not ended in time, or its summary was not available; ``last``
                is its last known state.
            RequestValidationError: An argument is refused; nothing was sent.
        """
        return await _run(
            self._client._transport,
            path_segment(pool_id, "pool_id"),
            request,
            on_event=on_event,
            timeout=timeout,
            cancel_on_timeout=cancel_on_timeout,
            idempotency_key=idempotency_key,
        )

    def run_many(
        self,
        pool_id: Id,
        requests: Iterable[RolloutRequestDict | PlainRequest]
        | AsyncIterable[RolloutRequestDict | PlainRequest],
        *,
        max_in_flight: int = 64,
        on_result: Callable[[RolloutOutcome], Any] | None = None,
        journal: str | os.PathLike[str] | None = None,
        fail_fast: bool = False,
        retries: int = 0,
        progress: Callable[[FleetProgress], Any] | bool | None = None,
        in_order: bool = False,
        on_interrupt: Literal["leave", "cancel"] = "leave",
        patience: float = 600.0,
        repeats: int = 1,
        total: int | None = None,
        prices: Mapping[str, Mapping[str, float]] | None = None,
        max_cost_usd: float | None = None,
        max_tokens: int | None = None,
        max_seconds: float | None = None,
        on_budget: Literal["finish", "cancel"] = "finish",
        run: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> AsyncFleet:
        """Make a fleet: a rollout for each request, a limited number at a time.

        Nothing is sent before the fleet is iterated, or run with its ``run()``. While the service
        is overloaded, down or restarting, the whole fleet slows down, and goes on afterwards.

        Args:
            pool_id: Id of the pool.
            requests: What to run, see `create_rollout`; it may be lazy and endless. The async
                client also takes an async iterable.
            max_in_flight: Most rollouts at a time, 1 to 10,000.
            on_result: Called with each outcome, one after the other.
            journal: A file that records each admission and outcome, synced to the disk before it
                is reported. After a crash the same call with the same file goes on: ended requests
                are reported again and do not run again, and requests in flight are resumed. The
                requests must be the same, in the same order.
            fail_fast: End at the first rollout that does not complete.
            retries: Most repetitions of a failed rollout.
            progress: Called with the counts after each outcome; True draws a bar if standard error
                is a terminal and ``rich`` is installed, and else writes a line every 10 seconds.
            in_order: Report in the order of the requests; else in the order of their ends.
            on_interrupt: ``"leave"`` or ``"cancel"`` the rollouts in flight when the fleet ends
                early, by ^C, by cancellation, by an error or by closing it.
            patience: Seconds for which the service may be down before a request ends with the
                error. With a journal, a later run resumes such a request.
            repeats: Runs of each request; outcomes of the same request share their ``group``.
            total: Number of requests, for the progress, if ``requests`` has no length.
            prices: Dollars for a million tokens, by model: ``{"gpt-5": {"input": 1.25, "cached":
                0.125, "output": 10}}``, with ``*`` for any other model.
                Where a container reports tokens alone, the cost of the model that the request
                names in ``policy`` is estimated.
            max_cost_usd: Once the rollouts have cost this, nothing more is started; those under way
                may cost more. What the journal has counts.
            max_tokens: The same of tokens that models read and write.
            max_seconds: The same of the seconds of this call.
            on_budget: ``"finish"`` or ``"cancel"`` what is under way then. Iterating ends with a
                `BudgetReachedError` if requests are left; with a journal the same call with a
                larger budget goes on, and starts again what was cancelled.
            run: Name of the run that the rollouts are part of, where a request names none itself. A
                service without ``runs`` among its features gets neither name nor labels, and a
                warning is logged; a journal goes on with the ones it began with.
            labels: Labels of the rollouts, beside those of their requests, which come first.

        Returns:
            The fleet: iterate over its outcomes.

        Raises:
            RequestValidationError: An argument is refused; nothing was sent.
        """
        # Imported on first use, since it takes 10 ms.
        from synth_pools._client._async.fleet.fleet import AsyncFleet
        from synth_pools._client.fleet.options import FleetOptions

        self._client._transport.check_concurrency()
        options = FleetOptions(
            max_in_flight=max_in_flight,
            on_result=on_result,
            journal=journal,
            fail_fast=fail_fast,
            retries=retries,
            progress=progress,
            in_order=in_order,
            on_interrupt=on_interrupt,
            patience=patience,
            repeats=repeats,
            total=total,
            prices=prices,
            max_cost_usd=max_cost_usd,
            max_tokens=max_tokens,
            max_seconds=max_seconds,
            on_budget=on_budget,
            run=run,
            labels=labels,
        )
        pool_id = path_segment(pool_id, "pool_id")
        return AsyncFleet(self._client._transport, pool_id, requests, options)


class AsyncAgentRolloutRunner(AsyncNamespace):
    """Methods of ``client.agent_rollouts`` that run rollouts to their end."""

    def __init__(self, client: AsyncAgentRolloutOperations) -> None:
        self._client = client

    async def run(
        self,
        request: RolloutRequestDict | PlainRequest,
        *,
        on_event: Callable[[dict[str, Any]], Any] | None = None,
        timeout: float | None = None,
        cancel_on_timeout: bool = False,
        idempotency_key: str | None = None,
    ) -> dict[str, Any]:
        """Start a rollout on the pool that it names or the service chooses, and follow it.

        Args:
            request: What to run, see `create_global_rollout`.
            on_event: Called with each of its events, unless the service refuses them to the end.
            timeout: Seconds for the whole call; None for no limit.
            cancel_on_timeout: Cancel the rollout when the time is over, which may take 10 seconds
                more; else it goes on.
            idempotency_key: See `create_global_rollout`.

        Returns:
            The rollout, completed, failed or cancelled, with its summary under ``summary``.

        Raises:
            WaitTimeoutError: It has not ended in time, or its summary was not available; ``last``
                is its last known state.
            ConflictError: No active pool can take it.
            RequestValidationError: An argument is refused; nothing was sent.
        """
        return await _run(
            self._client._transport,
            None,
            request,
            on_event=on_event,
            timeout=timeout,
            cancel_on_timeout=cancel_on_timeout,
            idempotency_key=idempotency_key,
        )

    def run_many(
        self,
        requests: Iterable[RolloutRequestDict | PlainRequest]
        | AsyncIterable[RolloutRequestDict | PlainRequest],
        *,
        max_in_flight: int = 64,
        on_result: Callable[[RolloutOutcome], Any] | None = None,
        journal: str | os.PathLike[str] | None = None,
        fail_fast: bool = False,
        retries: int = 0,
        progress: Callable[[FleetProgress], Any] | bool | None = None,
        in_order: bool = False,
        on_interrupt: Literal["leave", "cancel"] = "leave",
        patience: float = 600.0,
        repeats: int = 1,
        total: int | None = None,
        prices: Mapping[str, Mapping[str, float]] | None = None,
        max_cost_usd: float | None = None,
        max_tokens: int | None = None,
        max_seconds: float | None = None,
        on_budget: Literal["finish", "cancel"] = "finish",
        run: str | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> AsyncFleet:
        """Make a fleet over pools: each rollout on the pool that it names or the service chooses.

        It is like `rollouts.run_many`, which describes each argument in full. While one pool is
        full, the requests of the others wait as well. While a pool is paused, only its own requests
        wait; each counts as in flight, and ends with the error when ``patience`` is over. A request
        without a pool waits if no pool is active but one may become active.

        Args:
            requests: What to run, see `create_global_rollout`.
            max_in_flight: Most rollouts at a time, 1 to 10,000, over all pools.
            on_result: Called with each outcome, one after the other.
            journal: A file from which the same call resumes after a crash.
            fail_fast: End at the first rollout that does not complete.
            retries: Most repetitions of a failed rollout; the service may choose another pool for
                it.
            progress: Called with the counts after each outcome; True shows them.
            in_order: Report in the order of the requests; else in the order of their ends.
            on_interrupt: ``"leave"`` or ``"cancel"`` the rollouts in flight when the fleet ends
                early.
            patience: Seconds for which the service may be down before a request ends with the
                error.
            repeats: Runs of each request; outcomes of the same request share their ``group``.
            total: Number of requests, for the progress, if ``requests`` has no length.
            prices: Dollars for a million tokens, by model.
            max_cost_usd: Once the rollouts have cost this, nothing more is started.
            max_tokens: The same of tokens.
            max_seconds: The same of the seconds of this call.
            on_budget: ``"finish"`` or ``"cancel"`` what is under way then.
            run: Name of the run that the rollouts are part of.
            labels: Labels of the rollouts.

        Returns:
            The fleet: iterate over its outcomes.

        Raises:
            RequestValidationError: An argument is refused; nothing was sent.
        """
        # Imported on first use, since it takes 10 ms.
        from synth_pools._client._async.fleet.fleet import AsyncFleet
        from synth_pools._client.fleet.options import FleetOptions

        self._client._transport.check_concurrency()
        options = FleetOptions(
            max_in_flight=max_in_flight,
            on_result=on_result,
            journal=journal,
            fail_fast=fail_fast,
            retries=retries,
            progress=progress,
            in_order=in_order,
            on_interrupt=on_interrupt,
            patience=patience,
            repeats=repeats,
            total=total,
            prices=prices,
            max_cost_usd=max_cost_usd,
            max_tokens=max_tokens,
            max_seconds=max_seconds,
            on_budget=on_budget,
            run=run,
            labels=labels,
        )
        return AsyncFleet(self._client._transport, None, requests, options)


async def _run(
    transport: AsyncTransport,
    pool_id: str | None,
    request: RolloutRequestDict | PlainRequest,
    *,
    on_event: Callable[[dict[str, Any]], Any] | None,
    timeout: float | None,
    cancel_on_timeout: bool,
    idempotency_key: str | None,
) -> dict[str, Any]:
    # Imported on first use, since it takes 3 ms.
    from synth_pools._client._async.fleet.scope import AsyncRolloutScope
    from synth_pools._client._async.waiters import AsyncWaiter
    from synth_pools._client.fleet.outcomes import rollout_id_of

    validate_pool_rollout_request(request, context="run")
    check_callback(on_event, "on_event")
    check_limit(timeout, "timeout")
    check_flag(cancel_on_timeout, "cancel_on_timeout")
    check_idempotency_key(idempotency_key)
    scope, waiter = AsyncRolloutScope(transport, pool_id), AsyncWaiter(transport, timeout)
    created = await waiter.create(*scope.creation(request, idempotency_key))
    return await waiter.finish(
        scope.path(rollout_id_of(created)),
        cancel_on_timeout=cancel_on_timeout,
        on_event=on_event,
        with_summary=True,
    )
