"""``client.api``: a group of operations for each tag, imported when it is first asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .calls import Calls

if TYPE_CHECKING:
    pass
    from .agent_rollouts import AgentRolloutsApi
    from .containers import ContainersApi
    from .image_releases import ImageReleasesApi
    from .metrics import MetricsApi
    from .pool_events import PoolEventsApi
    from .pools import PoolsApi
    from .rollouts import RolloutsApi
    from .service import ServiceApi
    from .tasks import TasksApi


class Api:
    """The operations on models instead of plain JSON, a group for each tag of the document."""

    __slots__ = ("_calls",)

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    @property
    def agent_rollouts(self) -> AgentRolloutsApi:
        """All rollouts, and rollouts that are placed in a pool by the server. ## Rollouts: the two
        families `/v1/pools/{pool_id}/rollouts` and `/v1/rollouts` show the same rollouts: a
        rollout created through one family is found through the other. A rollout under a pool
        that is not its own is 404."""
        from .agent_rollouts import AgentRolloutsApi

        return AgentRolloutsApi(self._calls)

    @property
    def containers(self) -> ContainersApi:
        """Direct calls to the container behind a pool or a task. ## Direct calls A direct call to
        a pool goes to its `container_url`, else to the echo target; one to a task to the task's
        own `container_url`, else to that of the pool, else to the echo target. The answer is
        the container's JSON object, unchanged. It is 404 where the container does not have the
        route, as many do not have all. It is 502 where the container cannot be reached or
        answers anything else, and 504 where it takes too long. ## Containers A container is an
        HTTP service around one task. The server calls `GET /health`, `GET /info`, `GET
        /metadata` and `POST /rollouts` (or `/rollout` where that is 404) on it. *Rollouts.* A
        rollout is sent with the keys of its request except `pool_id` and `mode`, plus
        `rollout_id` and `submission_mode`: `sync`, or `async` where the pool's
        `config.submission_mode` says so. If the answer is 202 or its `status` is not final, in
        either mode, the server asks `GET /rollouts/{rollout_id}` until the state there is
        final. Cancelling a running rollout also calls `POST /rollouts/{rollout_id}/terminate`,
        whether the container offers it or not. If a container answers `GET
        /rollouts/{rollout_id}` with the state of its rollouts, they survive restarts of the
        server. *Outcome.* The container's last answer is the rollout's `result`, without the
        contents of large artifacts. The reward is the first finite number among
        `metrics.outcome_reward`, `reward_info.outcome_reward`, `summary.reward`,
        `summary.outcome_reward` and `reward`. A `status` of `failed`, `error` or `terminated`,
        or a `success_status` other than `success`, `succeeded`, `completed` or `ok`, is a
        failure of the rollout. *Choice.* A rollout runs on its task's container where the task
        has a `container_url`, else on one of the pool's: that of `container_url`, those of
        `container_urls`, and those that the pool starts itself. The healthy container with the
        fewest running rollouts gets it. If no container is healthy, the least loaded one that
        is not away (*Outages*) is tried. A pool without any container runs the built-in `echo`
        target, if the server has one (`features.echo`). *Health.* The server asks each
        container for `GET /health` every few seconds (with `x-synth-pools-call: health-check`).
        After three failed checks in a row a container gets no new rollouts until two checks in
        a row succeed. A check succeeds with any status below 500, unless the JSON says
        `"healthy": false`. A rollout that cannot connect counts as a failed check. A container
        that is silent while a rollout on it is within its time limit counts as busy, not as
        failed."""
        from .containers import ContainersApi

        return ContainersApi(self._calls)

    @property
    def image_releases(self) -> ImageReleasesApi:
        """The images that a pool's containers are made from, where the server builds them. ##
        Image releases A server that builds the images of its containers offers them as image
        releases of a pool. Without the feature `image_releases` it lists none, and answers 501
        `not_implemented` to everything else about them."""
        from .image_releases import ImageReleasesApi

        return ImageReleasesApi(self._calls)

    @property
    def metrics(self) -> MetricsApi:
        """How busy a pool is and how well its rollouts go."""
        from .metrics import MetricsApi

        return MetricsApi(self._calls)

    @property
    def pool_events(self) -> PoolEventsApi:
        """The events of all rollouts of a pool, and what its processes write."""
        from .pool_events import PoolEventsApi

        return PoolEventsApi(self._calls)

    @property
    def pools(self) -> PoolsApi:
        """Define, read, change and archive pools. ## Pools: states | state | meaning | next |
        moved by | final | |---|---|---|---|---| | `created` | accepted, nothing prepared yet |
        `uploading`, `building`, `active`, `failed`, `archived` | server | no | | `uploading` |
        its source is being uploaded | `building`, `failed`, `archived` | server | no | |
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
        container | 200 | 200 | 200 | | `replace_pool`, `update_pool` | 200 | 200 | 409
        `pool_archived` | | `create_task`, `update_task`, `patch_task`, `delete_task` | 200, 201
        | 200, 201 | 409 `pool_archived` | | `create_rollout`, `replay_rollout`, an item of
        `create_rollout_batch`, `execute_pool_container_rollout`,
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
        it as `warming`. A 409 `pool_not_active` of a `warming` pool says `retryable` and
        carries `Retry-After`. After a restart of the server a pool whose containers it starts
        is `warming` once more, also if it was `active`; a `paused` or `failed` one stays so.
        The queued rollouts of a `paused` or `failed` pool wait until it is resumed, and end
        only by a cancellation."""
        from .pools import PoolsApi

        return PoolsApi(self._calls)

    @property
    def rollouts(self) -> RolloutsApi:
        """The rollouts of one pool. ## Rollouts: states | state | meaning | next | moved by |
        final | |---|---|---|---|---| | `queued` | admitted, waits for a place | `running`,
        `cancelled`, `failed` | server; `cancel_*`; `delete_pool` | no | | `running` | on a
        container | `completed`, `failed`, `cancelled`; `queued` (*Outages*) | server;
        `cancel_*`; `delete_pool` | no | | `completed` | ended well, has a result | none | | yes
        | | `failed` | ended badly, has an `error` | none | | yes | | `cancelled` | stopped on
        request | none | | yes | | request | `queued`, `running` | `cancelled` | `completed`,
        `failed` | |---|---|---|---| | `cancel_rollout`, `cancel_global_rollout` | 200, now
        `cancelled` | 200, unchanged | 409 `rollout_finished` | | every read | 200 | 200 | 200,
        never changes again | `error.code` of a failed rollout is a `RolloutErrorCode`: | code |
        the rollout failed because | |---|---| | `container_unreachable` | nobody answered at
        the address | | `container_timeout` | no answer within the time limit | |
        `container_http_error` | a status that is not 2xx | | `container_bad_response` | not a
        JSON object, cut short, too large, for another `rollout_id`, or without `status`,
        `success_status` and reward | | `container_failed` | the container itself reported a
        failure | | `task_deleted` | its task was deleted before it ran | | `backend_restarted`
        | the server ended while it ran | | `internal_error` | the server itself failed | ##
        Time limits The time limit of a rollout is `limits.timeout_seconds` of its request, else
        `config.timeout_seconds` of its pool, else 600 seconds. It counts from the start of each
        attempt. A rollout that takes longer fails with `container_timeout`. ## Restarts of the
        server A restart loses no rollout whose creation was answered, and changes no event that
        was seen. After a restart the queued rollouts wait again in their old order. A rollout
        that was running is - resumed, if its container still knows it: the server asks `GET
        /rollouts/{rollout_id}` there until the state is final, and takes that answer as the
        outcome. No event tells of this; - else run again, if `limits.max_attempts` allows one
        attempt more: another `rollout.started` follows, whose `data.attempt` counts up; - else
        failed with `backend_restarted`. So without `limits.max_attempts` no rollout reaches a
        container twice. ## Further attempts `limits.max_attempts` also covers a container that
        fails while it has the rollout. It fails if it cannot be reached, breaks off its answer,
        answers a status of 500 or more, or no longer knows a rollout that it took
        (`config.submission_mode: async`; `details.cause` is `rollout_forgotten`). The server
        then sends the rollout again: to another container of the pool if there is one, else
        after a pause to the same one. The rollout's state stays `running`. A container that
        only lost its connection may go on meanwhile, so a rollout that asks for attempts may
        run twice. A timeout, a status below 500 and a failure that the container reports are
        outcomes of the rollout, and are not tried again. A further attempt waits for a free
        container at most as long as its own time limit. Every attempt has its
        `rollout.started`, whose `data` holds `attempt`, `container_url`, and from the second
        attempt on `previous_error` (`code`, `message`). ## Outages A container that was reached
        before and to which no connection can be made any more is away. Nothing was sent, so
        this is no failed attempt. A rollout that finds it so goes to another container of the
        pool, or back to its place in the queue. There its state is `queued` again, a second
        `rollout.queued` with `previous_error` in its `data` tells of it, and the next
        `rollout.started` has the same `attempt` as the last. While all containers of a pool are
        away, the server sends none of its rollouts. It tries to connect to one container after
        the other, one at a time, until it succeeds. A rollout waits for that at most as long as
        its time limit; then it fails with `container_unreachable`. That time begins when a
        connection for the rollout was refused. If none was, it begins when the rollout was
        created or when the last container went away, whichever is later. A paused pool's
        rollouts wait for the pool. A container to which the server never had a connection since
        it started is not waited for: its rollouts fail at once, because its address is more
        likely wrong than its container slow. What the server itself lacks (open files, ports,
        memory) is no failed attempt either. A rollout waits for room; its time limit begins
        then, or stands still while its container's answer waits to be read. If there is no room
        for as long as its time limit, it fails with `container_unreachable`, and
        `details.cause` is `backend_shortage`. ## How long rollouts are kept A server keeps
        rollouts for ever, unless its operator has it forget finished rollouts after a time. A
        forgotten rollout is 404 and in no list. A rollout is kept at least as long as the
        `Idempotency-Key` that created it counts. ## Events `stream_rollout_events` and
        `stream_global_rollout_events` answer `text/event-stream` (server-sent events) with the
        events of one rollout, from the first one on, then live ones as they happen. For each
        event: - `id:` is unique within the rollout and rises, also as text. Treat it as opaque.
        - `event:` is the type, a `RolloutEventType`. Skip a type that you do not know. -
        `data:` is one line of JSON that holds the whole `RolloutEvent`. Older clients read only
        this line. *Order.* `sequence` counts from 1 without gaps. `rollout.queued` is first,
        and may follow a `rollout.started` (*Outages*). Exactly one terminal event
        (`rollout.completed`, `rollout.failed` or `rollout.cancelled`) is last; after it the
        server ends the response. Every reader sees the same events. An event is stored before
        anyone sees it. *Resume.* The query parameter `cursor` (an event's id), the header
        `Last-Event-ID` (an event's id) and the query parameter `after_sequence` (a sequence)
        each ask for the events after that one. If several are given, the furthest position
        counts. An id that is not one of this rollout's is ignored: the stream starts at the
        beginning, and the client skips what it has seen by the ids. Resuming after the terminal
        event answers an empty stream that ends. *Pages.* With `format=json` the answer is one
        JSON page (`RolloutEventPage`) of the events that are there, at most `limit`: for
        networks that hold streams back. `status` is not newer than `events`. A client asks on
        with `next_sequence` as `after_sequence`: at once while `has_more` is true, else after a
        pause, until `status` is final and `has_more` is false. Servers with the feature
        `event_pages` have it; others answer the stream. *Silence.* After at most 15 seconds
        without an event the server sends a comment line (`: heartbeat`)."""
        from .rollouts import RolloutsApi

        return RolloutsApi(self._calls)

    @property
    def service(self) -> ServiceApi:
        """The service as a whole."""
        from .service import ServiceApi

        return ServiceApi(self._calls)

    @property
    def tasks(self) -> TasksApi:
        """The tasks of a pool. ## Tasks: states | state | meaning | next | moved by | final |
        |---|---|---|---|---| | `active` | can be named by a rollout | `archived` |
        `delete_task`, or a pool body that no longer names it | no | | `archived` | gone: seen
        once, in the answer of `delete_task` | none | | yes | A deleted task is in no list.
        Every operation on it is 404 `task_not_found`. Its id may be used again. Its queued
        rollouts fail with the error code `task_deleted`. Its running rollouts go on."""
        from .tasks import TasksApi

        return TasksApi(self._calls)
