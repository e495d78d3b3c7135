"""The rollouts of one pool. ## Rollouts: states | state | meaning | next | entered by |
final | |---|---|---|---|---| | `queued` | admitted, waits for a place | `running`,
`cancelled`, `failed` | server; `cancel_*`; `delete_pool` | no | | `running` | on a
container | `completed`, `failed`, `cancelled`; `queued` (*Outages*) | server;
`cancel_*`; `delete_pool` | no | | `completed` | ended well, has a result | none | | yes
| | `failed` | ended badly, has an `error` | none | | yes | | `cancelled` | stopped on
request | none | | yes | Of the rollouts of a pool that wait for a place, the one that
was admitted first starts first. | request | `queued`, `running` | `cancelled` |
`completed`, `failed` | |---|---|---|---| | `cancel_rollout`, `cancel_global_rollout` |
200, now `cancelled` | 200, unchanged | 409 `rollout_finished` | | every read | 200 |
200 | 200, never changes again | `error.code` of a failed rollout is a
`RolloutErrorCode`: | code | the rollout failed because | |---|---| |
`container_unreachable` | nobody answered at the container's address | |
`container_timeout` | the container gave no answer within the time limit | |
`container_http_error` | the container answered with an HTTP status that is not 2xx | |
`container_bad_response` | the answer is no JSON object, cut short, too large, for
another `rollout_id`, or has neither `status` nor `success_status` nor a reward | |
`container_failed` | the container itself reported a failure | | `task_deleted` | its
task was deleted before it ran | | `backend_restarted` | the server ended while it ran |
| `internal_error` | the server itself failed | ## Time limits The time limit of a
rollout is `limits.timeout_seconds` of its request, else `config.timeout_seconds` of its
pool, else 600 seconds. It counts from the start of each attempt. A rollout that takes
longer fails with `container_timeout`. ## Restarts of the server A restart loses no
rollout whose creation was answered, and changes no event that was seen. After a restart
the queued rollouts wait in the same order as before. A rollout that was running is -
resumed, if its container still knows it: the server asks the container for `GET
/rollouts/{rollout_id}` until the state there is final, and takes that answer as the
outcome. No event tells of the resumption; - else run again, if `limits.max_attempts`
allows one attempt more: another `rollout.started` follows, whose `data.attempt` is one
higher; - else failed with `backend_restarted`. So a restart sends no rollout to a
container twice unless `limits.max_attempts` allows it. ## Further attempts
`limits.max_attempts` also counts where a container fails while it has the rollout. A
container fails if it cannot be reached, breaks off its answer, answers a status of 500
or more, or no longer knows a rollout that it took (`config.submission_mode: async`;
`details.cause` is `rollout_forgotten`). The server then sends the rollout again: to
another container of the pool if there is one, else after a pause to the same one. The
rollout's state stays `running`. A container that only lost its connection may go on
meanwhile: with further attempts a rollout may run on two containers at once. A timeout,
a status below 500 and a failure that the container reports are outcomes of the rollout:
no further attempt follows. A further attempt waits for a free container at most as long
as its own time limit. Every attempt has its `rollout.started`, whose `data` holds
`attempt`, `container_url`, and from the second attempt on `previous_error` (`code`,
`message`). ## Outages A container is away if the server reached it before and can no
longer connect to it. A rollout whose container is away goes to another container of the
pool, or back to its place in the queue. Nothing was sent, so this is no failed attempt.
In the queue its state is `queued` again; another `rollout.queued` with `previous_error`
in its `data` tells of it. The next `rollout.started` has the same `attempt` as the
last. While all containers of a pool are away, the server sends none of its rollouts. It
tries to connect to one container after the other, one at a time, until it succeeds. A
rollout waits for that at most as long as its time limit; then it fails with
`container_unreachable`. The wait begins when a connection for the rollout was refused.
If none was, it begins when the rollout was created or when the last container went
away, whichever is later. The rollouts of a paused pool wait until it is resumed. The
server does not wait for a container that it has never connected to since it started:
the rollouts there fail at once, because the address is more likely wrong than the
container slow. If the server itself lacks open files, ports or memory, this is no
failed attempt either: the rollout waits for room. The time limit begins when there is
room; while the container's answer waits to be read, it stands still. If there is no
room for as long as the time limit, the rollout fails with `container_unreachable`; its
`details.cause` is `backend_shortage`. ## How long rollouts are kept A server keeps
rollouts for ever, unless its operator has it forget them some time after their end. A
forgotten rollout is 404, and in no list. A rollout is kept at least for the 24 hours of
the `Idempotency-Key` that created it. ## Events `stream_rollout_events` and
`stream_global_rollout_events` answer `text/event-stream` (server-sent events): the
events of one rollout that happened, from the first one on, then live ones. For each
event: - `id:` is unique within the rollout and rises, also as text. Treat it as opaque.
- `event:` is the type, a `RolloutEventType`. Skip a type that you do not know. -
`data:` is one line of JSON that holds the whole `RolloutEvent`. Older clients read only
this line. *Order.* `sequence` counts from 1 without gaps. `rollout.queued` is first;
another one may follow a `rollout.started` (*Outages*). Exactly one terminal event
(`rollout.completed`, `rollout.failed` or `rollout.cancelled`) is last; after it the
server ends the response. Every reader sees the same events. The server stores an event
before anyone sees it. *Resume.* The query parameter `cursor` (an event's id), the
header `Last-Event-ID` (an event's id) and the query parameter `after_sequence` (a
sequence) each ask for the events after that one. If several are given, the furthest
position counts. An id that is not one of this rollout's is ignored: without another
position the stream starts at the beginning, and the client skips the ids that it has
seen. Resuming after the terminal event answers an empty stream that ends. *Pages.* With
`format=json` the answer is one JSON page (`RolloutEventPage`) of the events that are
there, at most `limit`: for networks that hold streams back. `status` is never newer
than the events: if it is final and `has_more` is false, no event follows the page. For
the next page a client sends `next_sequence` as `after_sequence`: at once while
`has_more` is true, else after a pause, until `status` is final and `has_more` is false.
Servers with the feature `event_pages` offer it; others answer the stream. *Silence.*
After at most 15 seconds without an event the server sends a comment line (`:
heartbeat`)."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ...api import rollouts as operations
from ...types import UNSET
from .calls import AsyncCalls, AsyncStream

if TYPE_CHECKING:
    pass
    from ...models.artifact_list import ArtifactList
    from ...models.cancel_request import CancelRequest
    from ...models.rollout import Rollout
    from ...models.rollout_event import RolloutEvent
    from ...models.rollout_event_page import RolloutEventPage
    from ...models.rollout_list import RolloutList
    from ...models.rollout_request import RolloutRequest
    from ...models.rollout_summary import RolloutSummary
    from ...models.rollout_usage import RolloutUsage


class AsyncRolloutsApi:
    """The rollouts of one pool. ## Rollouts: states | state | meaning | next | entered by |
    final | |---|---|---|---|---| | `queued` | admitted, waits for a place | `running`,
    `cancelled`, `failed` | server; `cancel_*`; `delete_pool` | no | | `running` | on a
    container | `completed`, `failed`, `cancelled`; `queued` (*Outages*) | server;
    `cancel_*`; `delete_pool` | no | | `completed` | ended well, has a result | none | | yes
    | | `failed` | ended badly, has an `error` | none | | yes | | `cancelled` | stopped on
    request | none | | yes | Of the rollouts of a pool that wait for a place, the one that
    was admitted first starts first. | request | `queued`, `running` | `cancelled` |
    `completed`, `failed` | |---|---|---|---| | `cancel_rollout`, `cancel_global_rollout` |
    200, now `cancelled` | 200, unchanged | 409 `rollout_finished` | | every read | 200 |
    200 | 200, never changes again | `error.code` of a failed rollout is a
    `RolloutErrorCode`: | code | the rollout failed because | |---|---| |
    `container_unreachable` | nobody answered at the container's address | |
    `container_timeout` | the container gave no answer within the time limit | |
    `container_http_error` | the container answered with an HTTP status that is not 2xx | |
    `container_bad_response` | the answer is no JSON object, cut short, too large, for
    another `rollout_id`, or has neither `status` nor `success_status` nor a reward | |
    `container_failed` | the container itself reported a failure | | `task_deleted` | its
    task was deleted before it ran | | `backend_restarted` | the server ended while it ran |
    | `internal_error` | the server itself failed | ## Time limits The time limit of a
    rollout is `limits.timeout_seconds` of its request, else `config.timeout_seconds` of its
    pool, else 600 seconds. It counts from the start of each attempt. A rollout that takes
    longer fails with `container_timeout`. ## Restarts of the server A restart loses no
    rollout whose creation was answered, and changes no event that was seen. After a restart
    the queued rollouts wait in the same order as before. A rollout that was running is -
    resumed, if its container still knows it: the server asks the container for `GET
    /rollouts/{rollout_id}` until the state there is final, and takes that answer as the
    outcome. No event tells of the resumption; - else run again, if `limits.max_attempts`
    allows one attempt more: another `rollout.started` follows, whose `data.attempt` is one
    higher; - else failed with `backend_restarted`. So a restart sends no rollout to a
    container twice unless `limits.max_attempts` allows it. ## Further attempts
    `limits.max_attempts` also counts where a container fails while it has the rollout. A
    container fails if it cannot be reached, breaks off its answer, answers a status of 500
    or more, or no longer knows a rollout that it took (`config.submission_mode: async`;
    `details.cause` is `rollout_forgotten`). The server then sends the rollout again: to
    another container of the pool if there is one, else after a pause to the same one. The
    rollout's state stays `running`. A container that only lost its connection may go on
    meanwhile: with further attempts a rollout may run on two containers at once. A timeout,
    a status below 500 and a failure that the container reports are outcomes of the rollout:
    no further attempt follows. A further attempt waits for a free container at most as long
    as its own time limit. Every attempt has its `rollout.started`, whose `data` holds
    `attempt`, `container_url`, and from the second attempt on `previous_error` (`code`,
    `message`). ## Outages A container is away if the server reached it before and can no
    longer connect to it. A rollout whose container is away goes to another container of the
    pool, or back to its place in the queue. Nothing was sent, so this is no failed attempt.
    In the queue its state is `queued` again; another `rollout.queued` with `previous_error`
    in its `data` tells of it. The next `rollout.started` has the same `attempt` as the
    last. While all containers of a pool are away, the server sends none of its rollouts. It
    tries to connect to one container after the other, one at a time, until it succeeds. A
    rollout waits for that at most as long as its time limit; then it fails with
    `container_unreachable`. The wait begins when a connection for the rollout was refused.
    If none was, it begins when the rollout was created or when the last container went
    away, whichever is later. The rollouts of a paused pool wait until it is resumed. The
    server does not wait for a container that it has never connected to since it started:
    the rollouts there fail at once, because the address is more likely wrong than the
    container slow. If the server itself lacks open files, ports or memory, this is no
    failed attempt either: the rollout waits for room. The time limit begins when there is
    room; while the container's answer waits to be read, it stands still. If there is no
    room for as long as the time limit, the rollout fails with `container_unreachable`; its
    `details.cause` is `backend_shortage`. ## How long rollouts are kept A server keeps
    rollouts for ever, unless its operator has it forget them some time after their end. A
    forgotten rollout is 404, and in no list. A rollout is kept at least for the 24 hours of
    the `Idempotency-Key` that created it. ## Events `stream_rollout_events` and
    `stream_global_rollout_events` answer `text/event-stream` (server-sent events): the
    events of one rollout that happened, from the first one on, then live ones. For each
    event: - `id:` is unique within the rollout and rises, also as text. Treat it as opaque.
    - `event:` is the type, a `RolloutEventType`. Skip a type that you do not know. -
    `data:` is one line of JSON that holds the whole `RolloutEvent`. Older clients read only
    this line. *Order.* `sequence` counts from 1 without gaps. `rollout.queued` is first;
    another one may follow a `rollout.started` (*Outages*). Exactly one terminal event
    (`rollout.completed`, `rollout.failed` or `rollout.cancelled`) is last; after it the
    server ends the response. Every reader sees the same events. The server stores an event
    before anyone sees it. *Resume.* The query parameter `cursor` (an event's id), the
    header `Last-Event-ID` (an event's id) and the query parameter `after_sequence` (a
    sequence) each ask for the events after that one. If several are given, the furthest
    position counts. An id that is not one of this rollout's is ignored: without another
    position the stream starts at the beginning, and the client skips the ids that it has
    seen. Resuming after the terminal event answers an empty stream that ends. *Pages.* With
    `format=json` the answer is one JSON page (`RolloutEventPage`) of the events that are
    there, at most `limit`: for networks that hold streams back. `status` is never newer
    than the events: if it is final and `has_more` is false, no event follows the page. For
    the next page a client sends `next_sequence` as `after_sequence`: at once while
    `has_more` is true, else after a pause, until `status` is final and `has_more` is false.
    Servers with the feature `event_pages` offer it; others answer the stream. *Silence.*
    After at most 15 seconds without an event the server sends a comment line (`:
    heartbeat`)."""

    __slots__ = ("_calls",)

    def __init__(self, calls: AsyncCalls) -> None:
        self._calls = calls

    async def cancel_rollout(
        self, pool_id: str, rollout_id: str, *, body: CancelRequest | None = None
    ) -> Rollout:
        """Cancel a rollout.

        Cancels a rollout. A queued one never starts. A running one is stopped, and its
        container is told. Returns 200 if the rollout is `cancelled` already, so that a client
        can retry it. Returns 409 `rollout_finished` if the rollout has completed or failed,
        because then the request has no effect. The body may be absent or any object.

        Args:
            pool_id: The id of a pool.
            rollout_id: The id of a rollout.
            body: No field is read yet; the body may be absent.
        """
        from ...models.cancel_request import CancelRequest

        return await self._calls.call(
            "cancel_rollout",
            operations.cancel_rollout._get_kwargs,
            _parse_cancel_rollout,
            path={"pool_id": pool_id, "rollout_id": rollout_id},
            body=(CancelRequest, body),
        )

    async def create_rollout(
        self, pool_id: str, *, body: RolloutRequest, idempotency_key: str | None = None
    ) -> Rollout:
        """Start a rollout on a pool.

        Admits a rollout to this pool. With `mode: async` (the default) returns 202 as soon as
        the rollout is admitted. With `mode: sync` returns 200 with the finished rollout,
        whether it completed, failed or was cancelled. A server may stop waiting and return 202;
        the rollout goes on. It also goes on if the client disconnects. Returns 422
        `validation_failed` if a key is none of the 20 of `RolloutRequest`.

        Args:
            pool_id: The id of a pool.
            idempotency_key: A text of visible ASCII that the caller chooses. For 24 hours a request
                with the same key and the same body is a repetition and creates nothing. It returns
                the status of the first response, with the rollout as it is now, also if both
                requests arrive at once. Returns 409 `idempotency_conflict` if the body is another
                one. Bodies are the same if they are equal as JSON. A refused request reserves no
                key. A key counts for one operation; for `create_rollout` also for one pool, and for
                `replay_rollout` for one rollout in the path. Elsewhere the same text is another
                key.
            body: A rollout as the caller asks for it. It has these 20 keys and no others. All are
                optional. Null is the same as not given. `request` of the rollout holds every value
                as it was sent.
        """
        from ...models.rollout_request import RolloutRequest

        return await self._calls.call(
            "create_rollout",
            operations.create_rollout._get_kwargs,
            _parse_create_rollout,
            path={"pool_id": pool_id},
            headers={"idempotency_key": (str, idempotency_key)},
            body=(RolloutRequest, body),
        )

    async def get_rollout(self, pool_id: str, rollout_id: str) -> Rollout:
        """Get a rollout.

        Returns the rollout in any state, with its request and, once it has ended, its result.
        Returns 404 `rollout_not_found` if it does not exist in this pool.

        Args:
            pool_id: The id of a pool.
            rollout_id: The id of a rollout.
        """

        return await self._calls.call(
            "get_rollout",
            operations.get_rollout._get_kwargs,
            _parse_get_rollout,
            path={"pool_id": pool_id, "rollout_id": rollout_id},
        )

    async def get_rollout_artifacts(
        self, pool_id: str, rollout_id: str, *, prefer: str | None = None
    ) -> ArtifactList:
        """List the artifacts of a rollout.

        Returns a description of each artifact that the container's answer holds, see
        `Artifact`. Empty until the rollout has ended.

        Args:
            pool_id: The id of a pool.
            rollout_id: The id of a rollout.
            prefer: With `return=minimal` (RFC 7240) the answer holds the list once, as `items`.
                Without it the answer holds the list a second time, as `pools`, `tasks`, `rollouts`,
                `artifacts` or `releases`, for clients that read only this name. Any other text
                changes nothing.
        """

        return await self._calls.call(
            "get_rollout_artifacts",
            operations.get_rollout_artifacts._get_kwargs,
            _parse_get_rollout_artifacts,
            path={"pool_id": pool_id, "rollout_id": rollout_id},
            headers={"prefer": (str, prefer)},
        )

    async def get_rollout_summary(self, pool_id: str, rollout_id: str) -> RolloutSummary:
        """Get the summary of a rollout.

        Returns state, reward, timing and the last event in one small document.

        Args:
            pool_id: The id of a pool.
            rollout_id: The id of a rollout.
        """

        return await self._calls.call(
            "get_rollout_summary",
            operations.get_rollout_summary._get_kwargs,
            _parse_get_rollout_summary,
            path={"pool_id": pool_id, "rollout_id": rollout_id},
        )

    async def get_rollout_usage(self, pool_id: str, rollout_id: str) -> RolloutUsage:
        """Get the usage of a rollout.

        Returns how much time, how many tokens and how many bytes the rollout used. Until the
        rollout starts each figure is zero, or null where nothing is known. The figures are
        final once the rollout has ended.

        Args:
            pool_id: The id of a pool.
            rollout_id: The id of a rollout.
        """

        return await self._calls.call(
            "get_rollout_usage",
            operations.get_rollout_usage._get_kwargs,
            _parse_get_rollout_usage,
            path={"pool_id": pool_id, "rollout_id": rollout_id},
        )

    async def list_rollouts(
        self,
        pool_id: str,
        *,
        state: str | None = None,
        limit: int | None = 100,
        cursor: str | None = None,
        prefer: str | None = None,
    ) -> RolloutList:
        """List the rollouts of a pool.

        Returns the rollouts of this pool, newest first.

        Args:
            pool_id: The id of a pool.
            state: Returns only items in exactly this state. Any text is valid: a state that no item
                has returns an empty page.
            limit: The most items that the page may hold.
            cursor: The `next_cursor` of the page before, an opaque string. Any text is valid: one
                that this server did not issue returns an empty last page.
            prefer: With `return=minimal` (RFC 7240) the answer holds the list once, as `items`.
                Without it the answer holds the list a second time, as `pools`, `tasks`, `rollouts`,
                `artifacts` or `releases`, for clients that read only this name. Any other text
                changes nothing.
        """

        return await self._calls.call(
            "list_rollouts",
            operations.list_rollouts._get_kwargs,
            _parse_list_rollouts,
            path={"pool_id": pool_id},
            query={"state": (str, state), "limit": (int, limit), "cursor": (str, cursor)},
            headers={"prefer": (str, prefer)},
        )

    def stream_rollout_events(
        self,
        pool_id: str,
        rollout_id: str,
        *,
        cursor: str | None = None,
        after_sequence: int | None = None,
        last_event_id: str | None = None,
    ) -> AsyncStream[RolloutEvent]:
        """Follow the events of a rollout.

        Returns a stream of server-sent events: those that happened, then live ones, until the
        terminal event. The schema describes the JSON of one `data:` line: one event. With
        `format=json` returns one page of events. *Events* has the rules of framing, order,
        resume, silence and pages.

        Args:
            pool_id: The id of a pool.
            rollout_id: The id of a rollout.
            cursor: The `id` of the last event seen. Any text is valid: one that is no event of this
                rollout counts as no position.
            after_sequence: The `sequence` of the last event seen.
            last_event_id: The `id` of the last event seen. Readers of server-sent events send it
                when they reconnect.
        """
        from ...models.rollout_event import RolloutEvent

        return self._calls.stream(
            "stream_rollout_events",
            partial(operations.stream_rollout_events._get_kwargs, format_=UNSET, limit=UNSET),
            RolloutEvent.from_dict,
            path={"pool_id": pool_id, "rollout_id": rollout_id},
            query={"cursor": (str, cursor), "after_sequence": (int, after_sequence)},
            headers={"last_event_id": (str, last_event_id)},
        )

    async def get_rollout_event_page(
        self,
        pool_id: str,
        rollout_id: str,
        *,
        after_sequence: int | None = None,
        limit: int | None = 200,
    ) -> RolloutEventPage:
        """The JSON answer of `stream_rollout_events`, one page of events; see there."""
        from ...models.rollout_event_page import RolloutEventPage

        return await self._calls.call(
            "stream_rollout_events",
            partial(operations.stream_rollout_events._get_kwargs, format_="json"),
            RolloutEventPage.from_dict,
            path={"pool_id": pool_id, "rollout_id": rollout_id},
            query={"after_sequence": (int, after_sequence), "limit": (int, limit)},
        )


def _parse_cancel_rollout(answer: Any) -> Rollout:
    from ...models.rollout import Rollout

    response_200 = Rollout.from_dict(answer)
    return response_200


def _parse_create_rollout(answer: Any) -> Rollout:
    from ...models.rollout import Rollout

    response_202 = Rollout.from_dict(answer)
    return response_202


def _parse_get_rollout(answer: Any) -> Rollout:
    from ...models.rollout import Rollout

    response_200 = Rollout.from_dict(answer)
    return response_200


def _parse_get_rollout_artifacts(answer: Any) -> ArtifactList:
    from ...models.artifact_list import ArtifactList

    response_200 = ArtifactList.from_dict(answer)
    return response_200


def _parse_get_rollout_summary(answer: Any) -> RolloutSummary:
    from ...models.rollout_summary import RolloutSummary

    response_200 = RolloutSummary.from_dict(answer)
    return response_200


def _parse_get_rollout_usage(answer: Any) -> RolloutUsage:
    from ...models.rollout_usage import RolloutUsage

    response_200 = RolloutUsage.from_dict(answer)
    return response_200


def _parse_list_rollouts(answer: Any) -> RolloutList:
    from ...models.rollout_list import RolloutList

    response_200 = RolloutList.from_dict(answer)
    return response_200
