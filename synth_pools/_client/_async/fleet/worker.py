"""One request of a fleet, from its admission to its outcome."""

from __future__ import annotations

import dataclasses
from typing import Any

import httpx

from synth_pools._client._async.facade.rollouts import AsyncRolloutOperations
from synth_pools._client._async.fleet.retrying_caller import BROKEN_SHARE, AsyncGate
from synth_pools._client.arguments import validate_pool_rollout_request
from synth_pools._client.events.position import TERMINAL_EVENTS, event_type, is_final
from synth_pools._client.events.sse import EventStreamDecoder
from synth_pools._client.fleet import journal_errors
from synth_pools._client.fleet.error_category import Trouble, trouble_of
from synth_pools._client.fleet.journal import Admission, Ending, Run, digest
from synth_pools._client.fleet.journal_file import JournalFile
from synth_pools._client.fleet.outcomes import RolloutOutcome, rollout_id_of
from synth_pools._client.http.retry import backoff
from synth_pools._client.runtime.async_.concurrency import AsyncCrew, in_thread, read_end
from synth_pools.errors import (
    AuthenticationError,
    ClientClosedError,
    DecodeError,
    JournalError,
    SynthPoolsError,
)

_FAILED = frozenset({"failed", "error"})


@dataclasses.dataclass(slots=True)
class Flight:
    """A request that is under way.

    Attributes:
        request: The request.
        key: The idempotency key of its present attempt; empty before the first one.
        rollout_id: Its rollout; None as long as it is not known to have one.
    """

    request: Any
    key: str = ""
    rollout_id: str | None = None


class AsyncItemRunner:
    """Runs the requests of one fleet; any number at a time.

    Attributes:
        flights: What is under way, by index.
    """

    def __init__(
        self,
        operations: AsyncRolloutOperations,
        pool_id: str,
        crew: AsyncCrew,
        gate: AsyncGate,
        run: Run,
        journal: JournalFile | None,
        retries: int,
    ) -> None:
        self._operations = operations
        self._pool_id = pool_id
        self._crew = crew
        self._gate = gate
        self._run = run
        self._journal = journal
        self._retries = retries
        self.flights: dict[int, Flight] = {}

    async def run(self, index: int, request: Any) -> RolloutOutcome:
        """Bring a request to its end, or read from the journal how it ended."""
        flight = Flight(request)
        sha = digest(request)
        admission: Admission | None = None
        if self._journal is not None:
            ending = await in_thread(self._journal.ending, index)
            admission = self._journal.memory.admission(index)
            former = ending or admission
            if former is not None and former.sha != sha:
                raise self._journal.mismatch(f"its request {index} is another one")
            if ending is not None:
                return _replayed(ending, request)
        self.flights[index] = flight
        try:
            return await self._fly(index, flight, sha, admission)
        finally:
            # What was stopped on its way stays: whoever stops the fleet may want to cancel it.
            if not self._crew.stopping:
                del self.flights[index]

    async def cancel(self, flight: Flight) -> None:
        """Cancel what is under way; what was sent and not answered is found by its key."""
        if not flight.key:
            return
        if flight.rollout_id is None:
            rollout = await self._operations.create_rollout(
                self._pool_id, flight.request, idempotency_key=flight.key
            )
            flight.rollout_id = rollout_id_of(rollout)
        await self._operations.cancel_rollout(self._pool_id, flight.rollout_id)

    async def _fly(
        self, index: int, flight: Flight, sha: str, admission: Admission | None
    ) -> RolloutOutcome:
        attempt = 0 if admission is None else admission.attempt
        flight.rollout_id = None if admission is None else admission.rollout_id
        try:
            while True:
                rollout = await self._once(index, attempt, flight, sha)
                state = rollout.get("status", rollout.get("state"))
                if state not in _FAILED or attempt >= self._retries:
                    break
                attempt += 1
                flight.rollout_id = None
        except (AuthenticationError, ClientClosedError, JournalError):
            # No request will fare better: it is the fleet that ends.
            raise
        except Exception as error:  # noqa: BLE001 - a request may be any object, and raise anything
            self._crew.check()
            trouble, _ = trouble_of(error)
            # The service may be back tomorrow: then a run with this journal takes it up again.
            final = trouble in (Trouble.FINAL, Trouble.FAILING)
            stored = journal_errors.to_json(error)
            await self._write(Ending(index, attempt, sha, None, stored, final=final))
            return RolloutOutcome(index, flight.request, None, error, attempt + 1)
        await self._write(Ending(index, attempt, sha, rollout, None))
        return RolloutOutcome(index, flight.request, rollout, None, attempt + 1)

    async def _once(self, index: int, attempt: int, flight: Flight, sha: str) -> dict[str, Any]:
        """One rollout, ended, with its summary."""
        operations, pool_id, gate = self._operations, self._pool_id, self._gate
        flight.key = self._run.key(index, attempt)
        rollout: dict[str, Any] = {}
        if flight.rollout_id is None:
            validate_pool_rollout_request(flight.request, context="run_many")
            rollout = await gate.call(
                lambda: operations.create_rollout(
                    pool_id, flight.request, idempotency_key=flight.key
                )
            )
            flight.rollout_id = rollout_id_of(rollout)
            await self._write(Admission(index, attempt, sha, flight.rollout_id))
        rollout_id = flight.rollout_id
        if not is_final(rollout):
            rollout = await self._follow(rollout_id)
        summary = await gate.call(lambda: operations.get_rollout_summary(pool_id, rollout_id))
        return {**rollout, "summary": summary}

    async def _follow(self, rollout_id: str) -> dict[str, Any]:
        """Watch its events, and look at it whenever they end; where there are none, look."""
        operations, pool_id = self._operations, self._pool_id
        watch = _Watch()
        barren = 0
        while True:
            if watch.is_possible:
                before = watch.events
                await self._watch(rollout_id, watch)
                barren = 0 if watch.events > before else barren
            rollout = await self._gate.call(lambda: operations.get_rollout(pool_id, rollout_id))
            if is_final(rollout):
                return rollout
            barren += 1
            pause = backoff(barren, self._operations._transport.random)
            await self._gate.sleep(pause * (BROKEN_SHARE if watch.is_possible else 1.0))

    async def _watch(self, rollout_id: str, watch: _Watch) -> None:
        """Read the rollout's events until its last one, or until the stream breaks."""
        transport = self._operations._transport
        operation, call = self._operations._events_call(self._pool_id, rollout_id, watch.cursor)
        try:
            response = await self._gate.call(lambda: transport.open_stream(operation, dict(call)))
        except SynthPoolsError:
            # No stream here, or none any more: what looking says is what counts.
            watch.is_possible = False
            return
        decoder = EventStreamDecoder()
        try:
            with self._crew.reading(response):
                chunks = response.aiter_bytes()
                async for chunk in chunks:
                    self._gate.alive()
                    for event in decoder.feed(chunk):
                        watch.events += 1
                        if event_type(event.event, event.data) in TERMINAL_EVENTS:
                            await read_end(response, chunks)
                            return
                    watch.cursor = decoder.last_event_id or watch.cursor
        except (httpx.RequestError, DecodeError):
            return
        finally:
            await response.aclose()

    async def _write(self, record: Admission | Ending) -> None:
        if self._journal is not None:
            await in_thread(self._journal.append, record)


@dataclasses.dataclass(slots=True)
class _Watch:
    cursor: str | None = None
    events: int = 0
    is_possible: bool = True


def _replayed(ending: Ending, request: Any) -> RolloutOutcome:
    error = None if ending.error is None else journal_errors.from_json(ending.error)
    return RolloutOutcome(
        ending.index, request, ending.rollout, error, ending.attempt + 1, replayed=True
    )
