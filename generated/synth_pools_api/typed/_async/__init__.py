"""``client.api``: a group of operations for each tag, imported when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .calls import AsyncCalls

if TYPE_CHECKING:
    pass
    from .agent_rollouts import AsyncAgentRolloutsApi
    from .containers import AsyncContainersApi
    from .image_releases import AsyncImageReleasesApi
    from .metrics import AsyncMetricsApi
    from .pool_events import AsyncPoolEventsApi
    from .pools import AsyncPoolsApi
    from .rollouts import AsyncRolloutsApi
    from .service import AsyncServiceApi
    from .tasks import AsyncTasksApi


class AsyncApi:
    """The operations on models instead of plain JSON, a group for each tag of the document."""

    __slots__ = ("_calls",)

    def __init__(self, calls: AsyncCalls) -> None:
        self._calls = calls

    @property
    def agent_rollouts(self) -> AsyncAgentRolloutsApi:
        """All rollouts, and rollouts that are placed in a pool by the server. ## Rollouts: the two
        families `/v1/pools/{pool_id}/rollouts` and `/v1/rollouts` show the same rollouts: a
        rollout created through one family is found through the other. Returns 404
        `rollout_not_found` if the rollout is not one of the pool in the path."""
        from .agent_rollouts import AsyncAgentRolloutsApi

        return AsyncAgentRolloutsApi(self._calls)

    @property
    def containers(self) -> AsyncContainersApi:
        """Direct calls to the container behind a pool or a task. ## Direct calls A direct call to
        a pool goes to a container of the pool, which is chosen as for a rollout (*Containers*),
        or to the echo target. One to a task goes to the task's own `container_url`; without one
        it goes where a call to the pool would. The answer is the container's JSON object,
        unchanged. A `GET` returns 404 `not_found` if the container does not have the route: few
        have all. A direct call returns 502 if the container cannot be reached or answers
        anything else, and 504 if it takes too long. ## Containers A container is an HTTP
        service around one task. Its routes are those of container.openapi.yaml. It needs only
        `POST /rollouts`, or `/rollout` where that is 404. *Rollouts.* The server sends the keys
        of the rollout's request except `pool_id` and `mode`, plus `rollout_id`,
        `submission_mode` and the pool's `config.telemetry` as `telemetry`. `submission_mode` is
        `sync`, or `async` where the pool's `config.submission_mode` says so. If the answer is
        202 or its `status` is not final, in either mode, the server asks `GET
        /rollouts/{rollout_id}` until the state there is final. When a running rollout is
        cancelled, the server also calls `POST /rollouts/{rollout_id}/terminate`, whether the
        container offers it or not. The rollouts of a container that answers `GET
        /rollouts/{rollout_id}` survive restarts of the server. *Outcome.* The container's last
        answer is the rollout's `result`, without the contents of large artifacts. The reward is
        the first finite number among `metrics.outcome_reward`, `reward_info.outcome_reward`,
        `summary.reward`, `summary.outcome_reward` and `reward`. The rollout fails if `status`
        is `aborted`, `canceled`, `cancelled`, `error`, `failed`, `terminated`, `timed_out` or
        `timeout`, or if `success_status` is other than `success`, `succeeded`, `completed` or
        `ok`. *Choice.* A rollout runs on its task's container where the task has a
        `container_url`, else on one of the pool's: that of `container_url`, those of
        `container_urls`, and those that the server starts for it. The healthy container with
        the fewest running rollouts gets it. If none is healthy, the one with the fewest that is
        not away (*Outages*) gets it. A pool without any container runs the built-in `echo`
        target, if the server has one (`features.echo`). *Health.* The server asks each
        container for `GET /health` every few seconds (with `x-synth-pools-call: health-check`).
        After three failed checks in a row a container gets no new rollouts until two checks in
        a row succeed. A check succeeds with any status below 500, unless the JSON says
        `"healthy": false`. A rollout that cannot connect counts as a failed check. A container
        that is silent while a rollout on it is within its time limit counts as busy, not as
        failed."""
        from .containers import AsyncContainersApi

        return AsyncContainersApi(self._calls)

    @property
    def image_releases(self) -> AsyncImageReleasesApi:
        """The images that a pool's containers are made from, where the server builds them. ##
        Image releases A server that builds the images of its containers offers them as image
        releases of a pool. Without the feature `image_releases` it lists none, and answers 501
        `not_implemented` to everything else about them."""
        from .image_releases import AsyncImageReleasesApi

        return AsyncImageReleasesApi(self._calls)

    @property
    def metrics(self) -> AsyncMetricsApi:
        """How busy a pool is and how well its rollouts go."""
        from .metrics import AsyncMetricsApi

        return AsyncMetricsApi(self._calls)

    @property
    def pool_events(self) -> AsyncPoolEventsApi:
        """The events of all rollouts of a pool, and what its processes write."""
        from .pool_events import AsyncPoolEventsApi

        return AsyncPoolEventsApi(self._calls)

    @property
    def pools(self) -> AsyncPoolsApi:
        """Define, read, change and archive pools. ## Pools: states | state | meaning | next |
        entered by | final | |---|---|---|---|---| | `created` | accepted, nothing prepared yet
        | `uploading`, `building`, `active`, `failed`, `archived` | server | no | | `uploading`
        | its source is being uploaded | `building`, `failed`, `archived` | server | no | |
        `building` | its image is being built | `warming`, `failed`, `archived` | server | no |
        | `warming` | its containers are starting | `active`, `paused`, `failed`, `archived` |
        server, `resume_pool` | no | | `active` | admits rollouts | `paused`, `failed`,
        `archived`; `warming` (a restart of the server) | server, `resume_pool` | no | |
        `paused` | admits nothing, what runs goes on, what is queued waits | `active`,
        `warming`, `failed`, `archived` | `pause_pool` | no | | `failed` | could not be prepared
        or kept up; `error` says why | `building`, `warming`, `archived` | server | no | |
        `archived` | deleted; readable, never changes again | none | `delete_pool` | yes | |
        request | `active` | `created`, `uploading`, `building`, `warming`, `paused`, `failed` |
        `archived` | |---|---|---|---| | read the pool, its urls, metrics, tasks, rollouts,
        events, logs, container | 200 | 200 | 200 | | `replace_pool`, `update_pool` | 200 | 200
        | 409 `pool_archived` | | `create_task`, `update_task`, `patch_task`, `delete_task` |
        200, 201 | 200, 201 | 409 `pool_archived` | | `create_rollout`, `replay_rollout`, an
        item of `create_rollout_batch`, `execute_pool_container_rollout`,
        `execute_task_container_rollout` | 200, 202 | 409 `pool_not_active` | 409
        `pool_archived` | | `validate_rollout` | 200, `valid` | 200, with `pool_not_active` in
        `errors` | 200, with `pool_archived` in `errors` | | `delete_pool` | 200, archived pool
        | 200, archived pool | 200, archived pool again | | request | `active`, `warming` |
        `paused` | `failed` | `created`, `uploading`, `building` | `archived` |
        |---|---|---|---|---|---| | `pause_pool` | 200, now `paused` | 200, unchanged | 409
        `pool_not_active` | 409 `pool_not_active` | 409 `pool_archived` | | `resume_pool` | 200,
        unchanged | 200, now `active` or `warming` | 200, now `warming` | 409 `pool_not_active`
        | 409 `pool_archived` | A server that has nothing to prepare creates a pool as `active`
        at once. A server that starts the pool's containers (`PoolProcess`, `PoolImage`) creates
        it as `warming`. A 409 `pool_not_active` of a `warming` pool has `retryable` true and
        carries `Retry-After`. After a restart of the server a pool whose containers it starts
        is `warming` again, if it was `active` or `warming`; a `paused` or `failed` one stays
        so. The queued rollouts of a `paused` or `failed` pool wait until it is resumed; until
        then only a cancellation ends them."""
        from .pools import AsyncPoolsApi

        return AsyncPoolsApi(self._calls)

    @property
    def rollouts(self) -> AsyncRolloutsApi:
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
        from .rollouts import AsyncRolloutsApi

        return AsyncRolloutsApi(self._calls)

    @property
    def service(self) -> AsyncServiceApi:
        """The service as a whole."""
        from .service import AsyncServiceApi

        return AsyncServiceApi(self._calls)

    @property
    def tasks(self) -> AsyncTasksApi:
        """The tasks of a pool. ## Tasks: states | state | meaning | next | entered by | final |
        |---|---|---|---|---| | `active` | can be named by a rollout | `archived` |
        `delete_task`, or a pool body that no longer names it | no | | `archived` | gone: seen
        once, in the answer of `delete_task` | none | | yes | A deleted task is in no list.
        Every operation on it returns 404 `task_not_found`. Its id may be used again. Its queued
        rollouts fail with the error code `task_deleted`. Its running rollouts go on."""
        from .tasks import AsyncTasksApi

        return AsyncTasksApi(self._calls)
