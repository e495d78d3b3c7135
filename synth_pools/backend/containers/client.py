"""Client of containers over HTTP, which protects the backend from any answer."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit

from synth_pools.backend.containers.answer_reader import LINES, OnLine
from synth_pools.backend.containers.answers import (
    MOST_WHOLE,
    exchange_failure,
    page_of,
    parse_document,
    parse_state,
    require_same_rollout,
    start_as_text,
    start_of_body,
)
from synth_pools.backend.containers.connections import READABLE_IN_QUERIES
from synth_pools.backend.containers.credentials import container_key, holds_key, mask_key, mask_text
from synth_pools.backend.containers.http import (
    BrokenAnswerError,
    ConnectionFailedError,
    ContainerHttp,
    ShortageError,
)
from synth_pools.backend.containers.resolver import ForbiddenAddressError
from synth_pools.backend.containers.url_policy import check_container_url
from synth_pools.backend.domain import clock, json_text
from synth_pools.backend.domain.target import (
    Answer,
    EventPage,
    Probe,
    Report,
    TakePage,
    TargetError,
)
from synth_pools.backend.domain.validation import is_answer
from synth_pools.backend.resources.byte_budget import ByteBudget, Reservation, timeout
from synth_pools.backend.resources.workers import Workers
from synth_pools.backend.settings import Secret, Settings

_log = logging.getLogger(__name__)

_TERMINATE_SECONDS = 5.0
# Seconds between two checks for a free connection.
_FIRST_ROOM_SECONDS = 0.05
_LONGEST_ROOM_SECONDS = 1.0

_Read = Callable[[bytes, int], Any]

# Marks these requests for readers of a container's log.
_ACCEPTING_LINES = {"accept": f"application/json, {LINES}"}
_ACCEPTING_JSON = {"accept": "application/json"}
_CHECKING = {"x-synth-pools-call": "health-check"}

# Time after which a container without events is asked for some again.
_NO_EVENTS_SECONDS = 60.0
_MOST_ADDRESSES = 10_000

# Statuses of containers that do not have the rollout, or lack the route.
_NOT_KEPT = frozenset({404, 405, 410, 501})


@dataclass(slots=True)
class _Habits:
    """Habits of the container at an address, as far as they are known.

    Attributes:
        keeps_events: Whether it keeps events.
        until: The time until which `keeps_events` is valid, by the monotonic clock.
        has_no_lines: Whether it refuses a request that accepts lines.
    """

    keeps_events: bool = False
    until: float = -math.inf
    has_no_lines: bool = False


_UNKNOWN = _Habits()


class ContainerClient:
    """Calls to all containers over one pool of connections.

    Args:
        settings: The options of the backend.
        room: Memory for large answers.
        workers: Processes that parse large answers.
    """

    def __init__(self, settings: Settings, room: ByteBudget, workers: Workers) -> None:
        self._settings = settings
        self.probe_seconds = settings.probe_timeout_seconds
        self._http = ContainerHttp(settings, room)
        self._workers = workers
        self._habits: dict[str, _Habits] = {}
        # Refused addresses are not cached, so that each error has its reason.
        self._check_url = lru_cache(maxsize=1024)(partial(check_container_url, settings=settings))

    def at(self, url: str, key_env: str | None = None) -> HttpContainer:
        """Return the target at an address.

        Args:
            url: The container's URL.
            key_env: The environment variable with its key.

        Raises:
            ApiError: 403 if the policy of this backend refuses the address or the variable.
            TargetError: The variable holds no key.
        """
        # Checked again, since the policy of the backend may have changed since the pool was
        # created.
        self._check_url(url)
        key = None if key_env is None else container_key(key_env, url, self._settings)
        return HttpContainer(self, url, key)

    def keeps_events(self, url: str) -> bool | None:
        """Return whether the container at an address keeps events; None if that is unknown."""
        habits = self._habits.get(url, _UNKNOWN)
        return habits.keeps_events if clock.monotonic() < habits.until else None

    def note_events(self, url: str, *, keeps_events: bool) -> None:
        """Note whether the container at an address keeps events; False is valid for a while."""
        habits = self._habits_of(url)
        habits.keeps_events = keeps_events
        habits.until = math.inf if keeps_events else clock.monotonic() + _NO_EVENTS_SECONDS

    def has_no_lines(self, url: str) -> bool:
        """Return whether the container at an address refuses what accepts lines, too."""
        return self._habits.get(url, _UNKNOWN).has_no_lines

    def note_no_lines(self, url: str) -> None:
        """Note that the container at an address refuses what accepts lines, too."""
        self._habits_of(url).has_no_lines = True

    def _habits_of(self, url: str) -> _Habits:
        if url not in self._habits and len(self._habits) >= _MOST_ADDRESSES:
            self._habits.clear()
        return self._habits.setdefault(url, _Habits())

    async def close(self) -> None:
        """Close all connections."""
        await self._http.close()

    async def call(
        self,
        method: str,
        url: str,
        body: bytes | None,
        limit_seconds: float,
        key: Secret | None = None,
        more_headers: Mapping[str, str] | None = None,
        *,
        is_long: bool = False,
        on_line: OnLine | None = None,
    ) -> tuple[int, bytes, Reservation | None]:
        """Send one request and read the complete answer.

        The key is sent, and removed from everything that comes back, even if it is echoed.

        Args:
            method: The method.
            url: The URL.
            body: A JSON text.
            limit_seconds: The time limit, not counting waits for memory.
            key: The container's key.
            more_headers: Further headers.
            is_long: True for a call that may last as long as a rollout.
            on_line: Called with each line before the answer, where the container sends some.

        Returns:
            The status, the body, and the memory reserved for it; None for a small body.

        Raises:
            TargetError: There was no connection, or no complete answer in time.
        """
        headers = {} if body is None else {"content-type": "application/json"}
        if more_headers is not None:
            headers.update(more_headers)
        if key is not None:
            headers["x-api-key"] = key.reveal()
        try:
            async with self._http.place(is_long=is_long):
                answered = await self._exchange(method, url, body, headers, limit_seconds, on_line)
        except TimeoutError:
            raise TargetError(
                "container_timeout",
                f"The container at {url} gave no answer within {limit_seconds:g} seconds.",
                {"url": url, "timeout_seconds": limit_seconds},
            ) from None
        except (
            ForbiddenAddressError,
            ConnectionFailedError,
            BrokenAnswerError,
            ShortageError,
        ) as error:
            cause = mask_key(key, str(error).encode("utf-8", "replace")).decode()
            raise exchange_failure(error, url, cause) from None
        status, raw, reserved = answered
        return status, await self._without_key(key, raw), reserved

    async def _without_key(self, key: Secret | None, raw: bytes) -> bytes:
        if key is None or len(raw) <= json_text.LARGE:
            return mask_key(key, raw)
        if not await asyncio.to_thread(holds_key, key, raw):
            return raw
        return await self._workers.run(mask_text, key.reveal(), raw)

    async def answer(
        self,
        url: str,
        status: int,
        raw: bytes,
        reserved: Reservation | None,
        sent: int,
        *,
        is_complete: bool = False,
    ) -> Answer:
        """Parse an answer; from a large one, read only the fields of its state.

        Args:
            url: The URL that was called.
            status: The answer's status.
            raw: Its body.
            reserved: The memory of the body.
            sent: The bytes of the request.
            is_complete: True to parse all of a large answer, with a lower limit of values.

        Raises:
            TargetError: The status is an error, or the body is no JSON object.
        """
        try:
            parse_large = parse_document if is_complete else parse_state
            parse = None if reserved is None else parse_large
            document = await self._parsed(url, status, raw, parse)
        except BaseException:
            if reserved is not None:
                # The error keeps its frames, and these would keep the memory.
                reserved.release()
            raise
        return Answer(document, raw, sent, len(raw), status, reserved)

    async def _parsed(
        self, url: str, status: int, raw: bytes, parse: _Read | None
    ) -> dict[str, Any]:
        if not 200 <= status < 300:
            raise TargetError(
                "container_http_error",
                f"The container at {url} answered {status}{start_as_text(raw)}.",
                {"url": url, "status": status, "body": start_of_body(raw)},
                status,
            )
        most_values = self._settings.max_container_values
        try:
            if parse is None:
                document = json_text.loads(raw, most_values=most_values)
            else:
                document = await self._workers.run(parse, raw, most_values)
            if isinstance(document, dict):
                return document
            fault = "answered JSON that is no object."
        except json_text.TooLargeJsonError:
            fault = (
                f"answered with more than {most_values} JSON values: have it answer less, or as "
                "one text, or start the backend with a larger --max-container-values."
            )
        except json_text.BrokenJsonError as error:
            fault = f"answered something that is no JSON: {error}."
        raise TargetError(
            "container_bad_response",
            f"The container at {url} {fault}",
            {"url": url, "status": status, "body": start_of_body(raw)},
        )

    async def _exchange(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str],
        limit_seconds: float,
        on_line: OnLine | None,
    ) -> tuple[int, bytes, Reservation | None]:
        """Run an exchange once there is a connection for it, waiting within the time limit."""
        give_up_at = clock.monotonic() + limit_seconds
        pause = _FIRST_ROOM_SECONDS
        while True:
            try:
                async with timeout(limit_seconds):
                    return await self._http.exchange(method, url, body, headers, on_line)
            except ShortageError as error:
                if clock.monotonic() >= give_up_at:
                    raise
                _log.debug("no room for a connection to a container: %s", error)
            # Nothing was sent, so another attempt is safe.
            await asyncio.sleep(clock.jitter(pause))
            pause = min(2 * pause, _LONGEST_ROOM_SECONDS)


class HttpContainer:
    """Target at one address."""

    def __init__(self, client: ContainerClient, url: str, key: Secret | None) -> None:
        self._client = client
        self._url = url
        self._key = key
        self._call = partial(client.call, key=key)

    async def probe(self, probe: Probe, query: bytes = b"") -> Answer:
        url = _with_query(_join(self._url, f"/{probe}"), query)
        answered = await self._call("GET", url, None, self._client.probe_seconds)
        return await self._client.answer(url, *answered, 0)

    async def check(self, limit_seconds: float) -> tuple[int, bytes]:
        """Return the status and the body of /health, for the checks."""
        url = _join(self._url, "/health")
        status, raw, _ = await self._client.call(
            "GET", url, None, limit_seconds, self._key, _CHECKING
        )
        return status, raw

    async def execute(self, body: bytes, limit_seconds: float, query: bytes = b"") -> Answer:
        return await self._submit(body, limit_seconds, query, {}, None)

    async def _submit(
        self,
        body: bytes,
        limit_seconds: float,
        query: bytes,
        more_headers: Mapping[str, str],
        on_line: OnLine | None,
    ) -> Answer:
        deadline = clock.monotonic() + limit_seconds
        url = _with_query(_join(self._url, "/rollouts"), query)
        # The limit may be that of the pool, of which the request tells nothing.
        headers = {"x-synth-pools-timeout": f"{limit_seconds:.3f}", **more_headers}
        call = partial(
            self._call, "POST", body=body, more_headers=headers, is_long=True, on_line=on_line
        )
        answered = await call(url=url, limit_seconds=limit_seconds)
        if answered[0] == 404:
            url = _with_query(_join(self._url, "/rollout"), query)
            remaining = max(0.0, deadline - clock.monotonic())
            answered = await call(url=url, limit_seconds=remaining)
        return await self._client.answer(url, *answered, len(body))

    async def run(
        self, payload: dict[str, Any], limit_seconds: float, report: Report, take: TakePage
    ) -> Answer:
        del report  # Its events come in pages.
        deadline = clock.monotonic() + limit_seconds
        body = json_text.dumps(payload).encode("ascii")
        headers = {} if payload.get("submission_mode") == "async" else _ACCEPTING_LINES
        if headers and self._client.has_no_lines(self._url):
            headers = _ACCEPTING_JSON
        is_wanted = True

        def read(line: bytes | None) -> None:
            nonlocal is_wanted
            is_wanted = is_wanted and take(self._page_of(line))

        try:
            answer = await self._submit(body, limit_seconds, b"", headers, read)
        except TargetError as error:
            if error.status != 406 or headers is not _ACCEPTING_LINES:
                raise
            # It did nothing, so another attempt is safe.
            self._client.note_no_lines(self._url)
            remaining = max(0.0, deadline - clock.monotonic())
            answer = await self._submit(body, remaining, b"", _ACCEPTING_JSON, read)
        require_same_rollout(answer, payload.get("rollout_id"), self._url)
        return answer

    async def look_up(self, rollout_id: str) -> Answer | None:
        url = _join(self._url, f"/rollouts/{quote(rollout_id, safe='')}")
        answered = await self._call("GET", url, None, self._client.probe_seconds)
        if answered[0] in _NOT_KEPT:
            return None
        return await self._client.answer(url, *answered, 0)

    def _page_of(self, line: bytes | None) -> EventPage | None:
        """Read a page of events before an answer; None for one to be asked for."""
        if line is None:
            return None
        if not line.strip():
            return EventPage([], has_more=False)
        with contextlib.suppress(json_text.BrokenJsonError):
            document = json_text.loads(mask_key(self._key, line), most_values=MOST_WHOLE)
            if isinstance(document, dict) and "events" not in document:
                # The answer, before a line break, or what a later release may tell.
                return EventPage([], has_more=False)
            if is_answer("get_rollout_events", document):
                self._client.note_events(self._url, keeps_events=True)
                return page_of(document, 0)
        return None

    def keeps_events(self) -> bool | None:
        return self._client.keeps_events(self._url)

    async def read_events(self, rollout_id: str, after: int, limit: int) -> EventPage | None:
        path = _join(self._url, f"/rollouts/{quote(rollout_id, safe='')}/events")
        # Current containers read `after`, later ones `after_sequence`.
        url = f"{path}?after={after}&after_sequence={after}&limit={limit}"
        answered = await self._call("GET", url, None, self._client.probe_seconds)
        if answered[0] in _NOT_KEPT:
            return None
        document = (await self._client.answer(path, *answered, 0, is_complete=True)).document
        if not is_answer("get_rollout_events", document):
            return None
        self._client.note_events(self._url, keeps_events=True)
        return page_of(document, after)

    def lacks_events(self) -> None:
        """Note that it keeps no events; it is not asked for a while."""
        self._client.note_events(self._url, keeps_events=False)

    async def terminate(self, rollout_id: str) -> None:
        url = _join(self._url, f"/rollouts/{quote(rollout_id, safe='')}/terminate")
        # Many containers lack this route, and the rollout is over in any case.
        with contextlib.suppress(TargetError):
            status, _, _ = await self._call("POST", url, b"{}", _TERMINATE_SECONDS)
            _log.debug("terminate of %s answered %d", rollout_id, status)


@lru_cache(maxsize=1024)
def _join(base: str, path: str) -> str:
    parts = urlsplit(base)
    return urlunsplit(parts._replace(path=parts.path.rstrip("/") + path))


def _with_query(url: str, query: bytes) -> str:
    """Add the query of a client to a URL, which may have one of its own."""
    if not query:
        return url
    return f"{url}{'&' if '?' in url else '?'}{quote(query, safe=READABLE_IN_QUERIES)}"
