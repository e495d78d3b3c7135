"""Events that a container reports of a rollout, stored among the rollout's own while it runs."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from operator import itemgetter
from typing import Any, Self

from synth_pools.backend.domain import json_text
from synth_pools.backend.domain.errors import ApiError
from synth_pools.backend.domain.target import Answer, EventPage, Target, TargetError
from synth_pools.backend.rollouts.notifier import RolloutNotifier
from synth_pools.backend.rollouts.results import event_text, within
from synth_pools.backend.settings import Settings
from synth_pools.backend.storage.database import Database, Transaction
from synth_pools.backend.storage.peers import FencedError
from synth_pools.backend.storage.rollout_changes import report_agent
from synth_pools.backend.storage.rollouts import container_position

_log = logging.getLogger(__name__)

# Rollouts of a second or less mostly end before the second request.
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 2.0
_PAGE = 100
# Responses in a row, errors or without events, after which the container is not asked again.
_TRIES = 3
# Most events that wait to be stored; further ones are asked for.
_MOST_WAITING = 200
# Longest wait for the last events at the end of a rollout.
_LAST_SECONDS = 2.0


class AgentEvents:
    """Agent events of one rollout, stored within the limits of the settings.

    `owner` is the number of the backend that runs it; None if there is only one. `is_first` is true
    for a first attempt, of which nothing is stored.

    Attributes:
        room: The number of further events that are accepted, as far as it is known.
    """

    def __init__(
        self,
        database: Database,
        notifier: RolloutNotifier,
        settings: Settings,
        rollout_id: str,
        owner: int | None = None,
        *,
        is_first: bool = False,
    ) -> None:
        self._database = database
        self._notifier = notifier
        self._is_first = is_first
        self._most_events = settings.max_container_events
        self._most_bytes = settings.max_event_bytes
        self._rollout_id = rollout_id
        self._owner = owner
        self.room = self._most_events

    async def report(self, data: dict[str, Any]) -> None:
        """Store an event that a target reports by itself; its sequence number is ignored."""
        text = within(json_text.dumps(data), self._most_bytes)
        await self._database.write_until_stored(partial(self._append, [text]), inline=True)

    async def position(self) -> int:
        """Return the last position that was stored before this attempt began, or was taken up."""
        if self._is_first:
            return 0
        read = partial(container_position, rollout_id=self._rollout_id)
        last, count = await self._database.read_until_there(read)
        self.room = max(0, self._most_events - count)
        return last

    async def store(self, events: list[dict[str, Any]], *, may_wait: bool = False) -> None:
        """Store events of a container, as far as there is room.

        Args:
            events: The events.
            may_wait: True to wait a moment for other writes, to share their commit.
        """
        texts = self.texts(events)[: self.room]
        await self.store_texts(texts, may_wait=may_wait)
        self.room -= len(texts)

    async def store_texts(self, texts: Sequence[str], *, may_wait: bool = False) -> None:
        """Store the data of events, as `texts` returns it."""
        append = partial(self._append, texts)
        await self._database.write_until_stored(append, inline=True, may_wait=may_wait)

    def texts(self, events: list[dict[str, Any]]) -> list[str]:
        """Return the data of events as JSON texts."""
        return [event_text(event, self._most_bytes) for event in events]

    def hurry(self) -> None:
        """Store at once what may wait."""
        self._database.hurry()

    def _append(self, texts: Sequence[str], tx: Transaction) -> None:
        pool_id = report_agent(tx, self._rollout_id, texts, self._owner)
        notify = partial(self._notifier.notify, self._rollout_id, pool_id, may_have_ended=False)
        tx.after_commit(notify)


class ContainerEvents:
    """Context in which the events of one attempt are followed.

    It never fails or takes long, so the rollout goes on whatever happens to its events. A container
    is asked for them, unless they come before its answer.

    Args:
        target: The container.
        rollout_id: The rollout.
        events: Stores the events.
        is_expected: True if the container was asked to keep events: then they are read even if the
            rollout is short.
    """

    def __init__(
        self, target: Target, rollout_id: str, events: AgentEvents, *, is_expected: bool
    ) -> None:
        self._target = target
        self._rollout_id = rollout_id
        self.stored = events
        self._is_expected = is_expected
        self._after: int | None = None
        # True if no further events are accepted.
        self._is_full = False
        self._may_ask = target.keeps_events() is not False
        self._start: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        # True once events come before the answer.
        self._is_told = False
        self._waiting: list[dict[str, Any]] = []
        # True if later events than the waiting are missing; true during the request for them.
        self._has_gap = self._is_filling = False
        self._event_count: float | None = None
        self._is_storing = self._is_ending = False
        # Data of events that came together with the answer, to be stored with the end.
        self.rest: list[str] = []

    async def __aenter__(self) -> Self:
        if self._may_ask:
            self._start = asyncio.get_running_loop().call_later(_FIRST_PAUSE, self._begin)
        return self

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        is_cancelled = kind is asyncio.CancelledError
        if self._start is not None:
            self._start.cancel()
        if self._task is not None:
            if self._is_storing and not is_cancelled:
                self._is_ending = True
                self.stored.hurry()
                await asyncio.wait([self._task], timeout=_LAST_SECONDS)
            self._task.cancel()
            await asyncio.wait([self._task])
        if is_cancelled:
            return
        # Events after a gap would hide it: the position is behind them.
        lacks_events = self._lacks_events
        # A container that fails has no more events.
        if kind is None and lacks_events:
            await self._read_last()
        if self._waiting and not self._is_full:
            await self._guarded(partial(self._keep_rest, may_follow=kind is None))
        is_kept = self._is_expected or self._target.keeps_events() is True
        if kind is None and is_kept and not lacks_events and not self._has_all():
            await self._read_last()

    def expect(self, answer: Answer) -> None:
        """Read the events at the end of the rollout if its answer counts some."""
        count = answer.document.get("event_count")
        if json_text.is_number(count):
            self._event_count = count
            self._is_expected |= count > 0

    def take(self, page: EventPage | None) -> bool:
        """Take events that come before the answer; see `TakePage`."""
        self._is_told = True
        if self._start is not None:
            self._start.cancel()
        if page is None or len(self._waiting) > _MOST_WAITING:
            self._has_gap = True
        elif not (self._has_gap and self._may_ask):
            self._waiting += page.events
        if (self._waiting or self._has_gap) and (self._task is None or self._task.done()):
            self._task = asyncio.create_task(self._guarded(self._store_waiting))
        return not self._is_full

    @property
    def _lacks_events(self) -> bool:
        """True if some that came before the answer are still to be asked for."""
        return self._has_gap or self._is_filling

    def _has_all(self) -> bool:
        """Return True if all events came before the answer, by their number."""
        if self._lacks_events or not self._is_told or self._event_count is None:
            return False
        return self._event_count <= (self._after or 0)

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._guarded(self._follow))

    async def _guarded(self, work: Callable[[], Awaitable[None]]) -> None:
        try:
            await work()
        except TargetError as error:
            _log.debug("cannot ask for events of %s: %s", self._rollout_id, error)
            self._may_ask = False
        except (ApiError, FencedError) as error:
            _log.debug("no more events of %s: %s", self._rollout_id, error)
            self._is_full = True
        except Exception:  # noqa: BLE001 - the rollout itself has nothing to do with it
            _log.exception("the events of %s cannot be kept", self._rollout_id)
            self._is_full = True

    async def _follow(self) -> None:
        pause, tries = _FIRST_PAUSE, _TRIES
        while not (self._is_full or self._is_told):
            try:
                page = await self._read_page()
            except TargetError as error:
                # A silent container may be busy with this very rollout.
                page, tries = None, _TRIES if error.code == "container_timeout" else tries - 1
            else:
                tries = tries - 1 if page is None else _TRIES
            if tries == 0:
                self._give_up()
                break
            if page is not None and page.events:
                pause = _FIRST_PAUSE
            if page is None or not (page.events and page.has_more):
                await asyncio.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)
        await self._store_waiting()

    async def _store_waiting(self) -> None:
        """Store what has come before the answer, and ask for what could not be read of it."""
        while not (self._is_full or self._is_ending):
            if self._waiting:
                if events := await self._take_waiting():
                    self._is_storing = True
                    await self._store(events, may_wait=True)
                    self._is_storing = False
            elif self._has_gap and self._may_ask:
                # Events from now on may be in what is read, too.
                self._has_gap, self._is_filling = False, True
                await self._fill()
                self._is_filling = False
            else:
                return

    async def _fill(self) -> None:
        """Read the events that could not be read before the answer."""
        for pause in (_FIRST_PAUSE, _LONGEST_PAUSE, 0.0):
            try:
                await self._read_rest()
            except TargetError as error:
                _log.debug("cannot ask for events of %s yet: %s", self._rollout_id, error)
                await asyncio.sleep(pause)
            else:
                return
        self._may_ask = False

    async def _take_waiting(self) -> list[dict[str, Any]]:
        """Return the events that wait and are not stored, in their order."""
        after = await self._position()
        # No wait from here on: who is cancelled then would lose them.
        waiting, self._waiting = self._waiting, []
        events = []
        for event in sorted(waiting, key=itemgetter("sequence")):
            if event["sequence"] > after:
                events.append(event)
                after = event["sequence"]
        return events

    async def _keep_rest(self, *, may_follow: bool) -> None:
        """Have the last events stored with the end, or store them if others come before it."""
        if not (events := await self._take_waiting()):
            return
        before, self._after = self._after, events[-1]["sequence"]
        if may_follow and self._has_all():
            self.rest = self.stored.texts(events)[: self.stored.room]
        else:
            self._after = before
            await self._store(events)

    async def _read_last(self) -> None:
        """Read the events that the container has at its end, within a time limit."""
        try:
            async with asyncio.timeout(_LAST_SECONDS):
                await self._guarded(self._read_rest)
        except TimeoutError:
            _log.debug("the last events of %s did not come in time", self._rollout_id)

    async def _read_rest(self) -> None:
        has_more = self._may_ask
        while has_more and not self._is_full:
            page = await self._read_page()
            if page is None:
                self._give_up()
                return
            has_more = page.has_more and bool(page.events)

    async def _read_page(self) -> EventPage | None:
        """Store and return one page; None if the container has no events of this rollout."""
        page = await self._target.read_events(self._rollout_id, await self._position(), _PAGE)
        if page is None:
            return None
        if page.events and not self._is_full:
            await self._store(page.events)
        return page

    async def _position(self) -> int:
        if self._after is None:
            self._after = await self.stored.position()
            self._is_full = not self.stored.room
        return self._after

    async def _store(self, events: list[dict[str, Any]], *, may_wait: bool = False) -> None:
        storing = asyncio.ensure_future(self.stored.store(events, may_wait=may_wait))
        try:
            await asyncio.shield(storing)
        except asyncio.CancelledError:
            # Wait, so that events that are being stored are not requested again.
            await asyncio.wait([storing])
            raise
        finally:
            self._after = events[-1]["sequence"]
        self._is_full = not self.stored.room

    def _give_up(self) -> None:
        self._may_ask = False
        if not (self._after or self._is_told):
            self._target.lacks_events()
