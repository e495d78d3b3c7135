"""The bodies of requests as dictionaries, for type checkers and editors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Literal, Required, TypeAlias, TypedDict


class _KnownKeysOnly:
    """What no value is an instance of: a type checker names it where a key is not a known one."""


PlainRequest: TypeAlias = Mapping[str, _KnownKeysOnly]
"""A dictionary whose values are `Any`: with it the type checker leaves it to the service what the
keys mean. A dictionary that is written in place is none: its keys are checked."""


ImageLauncherValue: TypeAlias = Literal["podman", "docker"] | Enum
"""A container engine."""


ImageNetworkValue: TypeAlias = Literal["loopback", "none"] | Enum
"""`loopback`: the container's port is published on the loopback address of the server's
machine, to nobody else, and it may reach what the engine's default network lets it
reach; `none`: no network at all, and it listens on the unix socket that the variable
`SOCKET` and `{socket}` name."""


PoolTargetValue: TypeAlias = (
    Literal["harbor", "openenv", "horizons", "horizons_private", "arbitrary"] | Enum
)
"""The substrate that a pool is deployed on."""


RolloutModeValue: TypeAlias = Literal["sync", "async"] | Enum
"""Whether a creation waits for the end of the rollout (`sync`) or not (`async`)."""


SubmissionModeValue: TypeAlias = Literal["sync", "async"] | Enum
"""How a rollout is handed to a container."""


class ChatMessageDict(TypedDict, total=False):
    """One chat message."""

    role: Required[str]
    """Who says it: `system`, `user`, `assistant`, `tool` or another."""
    content: Any
    """Any JSON value; most often a text, a list of parts, or null."""


class ImageMountDict(TypedDict, total=False):
    """A folder or file of the server's machine that a container may read and not write, in one
    of the folders that the operator of the server has named: any other is 403
    `images_not_allowed`."""

    source: Required[str]
    """Its absolute path on the server's machine."""
    target: Required[str]
    """The absolute path at which the container finds it."""


class ImageReleaseDefinitionDict(TypedDict, total=False):
    """An image, or what one is built from. Unknown fields are kept."""

    source_kind: Required[str]
    """What the rest describes: `docker_context` an archive to build from, `image_ref` an image
    that is there; a server may know more."""
    archive_base64: str | None
    """The build context, a tar or zip archive, in base64."""
    filename: str | None
    """The name of that archive."""
    dockerfile_path: str | None
    """Where the Dockerfile is in it."""
    image_ref: str | None
    """The reference of the image, best with its digest."""
    compute_provider: str | None
    """Where it is to run, by the names of the server."""
    name: str | None
    """A name for people."""
    entrypoint: str | None
    """The command of the container, in place of the image's own."""
    env_vars: Mapping[str, Any] | None
    """Environment variables, texts by name."""
    limits: Mapping[str, Any] | None
    """What a container may use, in the server's terms."""
    metadata: Mapping[str, Any] | None
    """Free-form; `container_subtype` and its like are read by servers that know them."""


class PoolConfigDict(TypedDict, total=False):
    """Settings of a pool, free-form; those named here are read by the server."""

    timeout_seconds: float | None
    """Time limit of a rollout, in seconds."""
    submission_mode: SubmissionModeValue | None
    """How rollouts are handed to containers: `sync`, one request that lasts as long as the
    rollout, or `async`, submitted and then asked for until it has ended."""
    telemetry: Mapping[str, Any] | None
    """Sent to the containers with each rollout; see container.openapi.yaml."""
    container_key_env: str | None
    """The environment variable of the server that holds the key of the containers. Its value
    is sent to the pool's containers as `X-API-Key`, and given to the processes that the
    pool starts as `ENVIRONMENT_API_KEY`. It is never stored or answered; if a container
    echoes it, `***` stands in its place. Allowed names are `ENVIRONMENT_API_KEY`, names
    that begin with `CONTAINER_API_KEY`, and names that the operator of the server has
    added. Another name, or a variable that is not set or holds fewer than 8 characters,
    is 403 `forbidden_container_key`. If the variable is missing when a rollout starts,
    the rollout fails with `container_unreachable`, and `container_key_missing` in
    `details.cause`."""
    process: PoolProcessDict | PlainRequest | None
    """What the server starts `capacity` times, as containers of this pool."""
    image: PoolImageDict | PlainRequest | None
    """The image from which the server starts the containers of this pool; not beside
    `process`."""


class PoolDefinitionDict(TypedDict, total=False):
    """A whole pool as the caller defines it, to create or replace it. Null is the same as not
    given. Unknown fields are kept; `status`, `state`, `created_at`, `updated_at` and
    `archived_at` belong to the server and are ignored. Older and newer clients spell
    some fields differently (`target` and `backend`, `config` and `pool_config`,
    `metadata` and `pool_metadata`): both spellings are accepted, and both are answered."""

    id: str | None
    """The id of the pool, where the caller chooses it."""
    pool_id: str | None
    """The id of the pool, where the caller chooses it."""
    name: str | None
    """A name for people; need not be unique. The id where it is not given."""
    target: PoolTargetValue | None
    """The substrate; `arbitrary` where it is not given and `backend` names none of the five."""
    backend: str | None
    """The same as `target` as free text, for substrates beyond the five; the value of `target`
    where it is not given."""
    config: PoolConfigDict | Mapping[str, Any] | None
    """Settings of the pool, free-form."""
    pool_config: PoolConfigDict | Mapping[str, Any] | None
    """Another spelling of `config`, which wins."""
    metadata: Mapping[str, Any] | None
    """Free-form, never interpreted."""
    pool_metadata: Mapping[str, Any] | None
    """Another spelling of `metadata`, which wins."""
    tasks: Sequence[TaskDefinitionDict | PlainRequest] | None
    """The tasks of the pool; two with one id are 409 `task_exists`."""
    capacity: int | None
    """How many containers the pool has or may have."""
    concurrency: int | None
    """How many of its rollouts may run at once."""
    container_url: str | None
    """The address of the container that runs the rollouts. An absolute http or https URL
    without userinfo."""
    container_urls: Sequence[str] | None
    """The addresses of several containers, beside `container_url`; the same rules hold for
    each."""


class PoolImageDict(TypedDict, total=False):
    """An OCI image whose containers are the containers of this pool. The server starts
    `capacity` of them with the engine of `launcher`, which pulls the image first where
    it does not have it, and does with them all that it does with a `PoolProcess`:
    health, restarts, output, states of the pool, ends. The operator of the server has
    to allow it (`features.images`): else 403 `images_not_allowed`."""

    image: Required[str]
    """Its reference, as engines read it: a name, with a registry before it, a tag or a digest
    behind it."""
    launcher: ImageLauncherValue | None
    """The engine that starts the containers; the first of these that the server's machine has."""
    command: Sequence[str] | None
    """What is run in place of the image's own command, with where it is to listen in place of
    `{port}` or `{socket}`."""
    env: Mapping[str, Any] | None
    """Environment variables beside those of the image and `PORT` or `SOCKET`, filled in like
    `command`."""
    port: int | None
    """The port on which it listens in its network, at all addresses, and which `PORT` and
    `{port}` have; a free one where it is not given."""
    network: ImageNetworkValue | None
    """The network of each container."""
    memory_mb: int | None
    """The most memory of each container, in MiB, swap included; that of the engine where it is
    not given."""
    cpus: float | None
    """The most processors' time of each container, in processors."""
    pids: int | None
    """The most processes and threads of each container."""
    mounts: Sequence[ImageMountDict | PlainRequest] | None
    """Folders and files of the server's machine that each container may read."""
    warm: int | None
    """How many containers without a rollout are kept ahead of demand: the pool begins with so
    many, has so many more than are busy, and never more than `capacity`; all of these
    where it is not given."""
    start_timeout_seconds: float | None
    """How long it may take until it is healthy, in seconds, without the pull."""


class PoolPatchDict(TypedDict, total=False):
    """Parts of a pool to be merged into it (RFC 7396): objects merge, null removes a field or
    sets it back to its default, arrays are replaced."""

    id: str | None
    """The id of the pool, where the caller chooses it."""
    pool_id: str | None
    """The id of the pool, where the caller chooses it."""
    name: str | None
    """A name for people; need not be unique. The id where it is not given."""
    target: PoolTargetValue | None
    """The substrate; `arbitrary` where it is not given and `backend` names none of the five."""
    backend: str | None
    """The same as `target` as free text, for substrates beyond the five; the value of `target`
    where it is not given."""
    config: PoolConfigDict | Mapping[str, Any] | None
    """Settings of the pool, free-form."""
    pool_config: PoolConfigDict | Mapping[str, Any] | None
    """Another spelling of `config`, which wins."""
    metadata: Mapping[str, Any] | None
    """Free-form, never interpreted."""
    pool_metadata: Mapping[str, Any] | None
    """Another spelling of `metadata`, which wins."""
    tasks: Sequence[TaskDefinitionDict | PlainRequest] | None
    """The tasks of the pool; two with one id are 409 `task_exists`."""
    capacity: int | None
    """How many containers the pool has or may have."""
    concurrency: int | None
    """How many of its rollouts may run at once."""
    container_url: str | None
    """The address of the container that runs the rollouts. An absolute http or https URL
    without userinfo."""
    container_urls: Sequence[str] | None
    """The addresses of several containers, beside `container_url`; the same rules hold for
    each."""


class PoolProcessDict(TypedDict, total=False):
    """A command that serves as a container. The server runs `capacity` processes of it, each
    on a free port of its own, and waits for their `GET /health`. `{port}` in `argv` and
    in the values of `env` stands for the loopback port on which it is to listen; the
    variable `PORT` has it too. A process that ends is started again, after a pause that
    grows. A process that never gets healthy makes the pool `failed`, with its last
    lines of output in `error.details.output`. The processes and all their children end
    when the pool is deleted, when it is paused and its last rollout has ended, and with
    the server. Another `config.process` in a `PUT` or `PATCH` leaves the pool's state
    as it is: processes of the old one end when their rollouts have ended. Because a
    client so decides what the server's machine runs, the operator of the server has to
    allow it (`features.processes`): else 403 `processes_not_allowed`."""

    argv: Required[Sequence[str]]
    """The program and its arguments; no shell reads them."""
    env: Mapping[str, Any] | None
    """Environment variables, texts by name, beside `PORT` and the few that programs need
    (`PATH`, `HOME`, `LANG` and the like)."""
    cwd: str | None
    """Its working directory; that of the server where it is not given."""
    start_timeout_seconds: float | None
    """How long it may take until it is healthy, in seconds."""


class RolloutBatchRequestDict(TypedDict, total=False):
    """Rollouts to be admitted together, each on its own."""

    pool_id: str | None
    """The pool of those that name none."""
    rollouts: Sequence[RolloutRequestDict | PlainRequest] | None
    """Rollout requests; one that is no valid one is refused at its place in the answer."""
    requests: Sequence[RolloutRequestDict | PlainRequest] | None
    """Another spelling of `rollouts`. Where both are given these come after those, up to 1000
    more."""


class RolloutEnvDict(TypedDict, total=False):
    """What the environment is given, free-form. The built-in echo target answers at once with
    `reward` 1.0 and a copy of the request, unless `delay`, `fail`, `reward` or `events`
    say otherwise; a value of another type, or outside the range, counts as not given.
    The other keys are echoed only."""

    seed: int | None
    """Seed of the environment."""
    config: Mapping[str, Any] | None
    """Settings of the environment, free-form."""
    delay: Any
    """Echo target: seconds until it answers, a number from 0 to 3600. Any JSON value."""
    fail: Any
    """Echo target: true makes the rollout fail with `container_failed`. Any JSON value."""
    reward: Any
    """Echo target: the reward, a number. Any JSON value."""
    events: Any
    """Echo target: how many `agent` events come on the way, spread over the delay; an integer
    from 0 to 1000. Any JSON value."""


class RolloutLimitsDict(TypedDict, total=False):
    """Limits of the rollout; those named here are read by the server."""

    max_attempts: int | None
    """How often, in all, the rollout may be sent to a container. More than once only where a
    container failed or a restart of the server lost it: see *Restarts of the server*
    and *Further attempts*."""
    timeout_seconds: float | None
    """Time limit, in seconds; wins over the pool's."""


class RolloutPolicyDict(TypedDict, total=False):
    """What acts in the rollout, free-form."""

    model: str | None
    """The name of the model."""
    provider: str | None
    """Who serves it."""
    inference_url: str | None
    """Where it is served."""
    config: Mapping[str, Any] | None
    """Settings of the policy, free-form."""


class RolloutRequestDict(TypedDict, total=False):
    """A rollout as the caller asks for it. These 20 keys and no others; all are optional, and
    null is the same as not given. Every value comes back in the `request` of the
    rollout as it was sent."""

    context_overrides: Any
    """Overrides of the context that the policy is given, free-form."""
    env: RolloutEnvDict | Mapping[str, Any] | None
    inference_url: str | None
    """Where the model is served, for containers that read it here."""
    instance_id: str | None
    """The instance of the task to run."""
    limits: RolloutLimitsDict | Mapping[str, Any] | None
    messages: Sequence[ChatMessageDict | Mapping[str, Any]] | None
    """Chat messages to start from."""
    metadata: Mapping[str, Any] | None
    """Free-form, never interpreted."""
    mode: RolloutModeValue | None
    """`sync` waits for the end."""
    ops: Any
    """Operations that the container is to perform, free-form."""
    override_bundle_id: str | None
    """A stored bundle of overrides."""
    params: Mapping[str, Any] | None
    """Parameters for the container, free-form."""
    policy: RolloutPolicyDict | Mapping[str, Any] | None
    policy_config: Mapping[str, Any] | None
    """Settings of the policy, for containers that read them here."""
    pool_id: str | None
    """The pool; under a pool's path it must be that pool, else 409 `id_mismatch`."""
    record: Any
    """What to record, free-form."""
    safety: Mapping[str, Any] | None
    """Safety settings, free-form."""
    seed: int | None
    """Seed of the rollout."""
    task_contract: Any
    """The contract that the task is held to, free-form."""
    task_id: str | None
    """The task; one that the pool does not hold is 404 `task_not_found`."""
    trace_correlation_id: str | None
    """Passed to the container and answered with the rollout, unchanged."""


class TaskDefinitionDict(TypedDict, total=False):
    """A whole task as the caller defines it, to create or replace it. Null is the same as not
    given. Unknown fields are kept; `pool_id`, `status`, `created_at` and `updated_at`
    belong to the server and are ignored."""

    id: str | None
    """The id of the task, where the caller chooses it."""
    task_id: str | None
    """The id of the task, where the caller chooses it."""
    backend: str | None
    """The substrate of the task; the pool's where it is not given."""
    task_config: Mapping[str, Any] | None
    """Settings of the task, free-form."""
    task_metadata: Mapping[str, Any] | None
    """Free-form, never interpreted."""
    container_url: str | None
    """The address of a container of its own, in place of the pool's. An absolute http or https
    URL without userinfo."""


class TaskPatchDict(TypedDict, total=False):
    """Parts of a task to be merged into it (RFC 7396), as for `PoolPatch`."""

    id: str | None
    """The id of the task, where the caller chooses it."""
    task_id: str | None
    """The id of the task, where the caller chooses it."""
    backend: str | None
    """The substrate of the task; the pool's where it is not given."""
    task_config: Mapping[str, Any] | None
    """Settings of the task, free-form."""
    task_metadata: Mapping[str, Any] | None
    """Free-form, never interpreted."""
    container_url: str | None
    """The address of a container of its own, in place of the pool's. An absolute http or https
    URL without userinfo."""
