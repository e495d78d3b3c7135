"""The bodies of requests as dictionaries, for type checkers and editors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any, Literal, Required, TypeAlias, TypedDict

PlainRequest: TypeAlias = Mapping[str, Any]
"""A dictionary of any keys. A literal is checked where it is annotated with a class below."""


ImageLauncherValue: TypeAlias = Literal["podman", "docker", "ray"] | Enum
"""A container engine of the server's machine, or `ray`: an engine of a machine that a Ray
cluster chooses."""


ImageNetworkValue: TypeAlias = Literal["loopback", "none"] | Enum
"""The network of a container. `loopback`: its port is published on the loopback address of
the server's machine and nowhere else; it reaches whatever the engine's default network
reaches. `none`: it has no network, and listens on a unix socket whose path the server
chooses."""


PoolTargetValue: TypeAlias = (
    Literal["harbor", "openenv", "horizons", "horizons_private", "arbitrary"] | Enum
)
"""The substrate that a pool is deployed on."""


ProcessLauncherValue: TypeAlias = Literal["local", "ray"] | Enum
"""What starts a process. `local`: the server, on its own machine. `ray`: the Ray cluster
that the server was started with."""


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


class DeploymentChangeDict(TypedDict, total=False):
    """An operation on the deployment of a project to a task. Unknown fields are kept."""

    project_id: Required[str]
    """The id of the project."""
    operation: Required[str]
    """What is done to the deployment."""
    idempotency_key: Required[str]
    """The name that the caller gives to this operation, to repeat or find it."""
    payload: Mapping[str, Any] | None
    """What to deploy, in the server's terms."""
    expected_revision: str | None
    """The revision that the deployment must have now."""


class ImageMountDict(TypedDict, total=False):
    """A folder or file of the server's machine that a container may read but not write.
    Returns 403 `images_not_allowed` if it is in none of the folders that the operator
    of the server has named."""

    source: Required[str]
    """The absolute path on the server's machine."""
    target: Required[str]
    """The absolute path at which the container finds it."""


class ImageReleaseDefinitionDict(TypedDict, total=False):
    """An image, or what one is built from. Unknown fields are kept."""

    source_kind: Required[str]
    """What the other fields describe. `docker_context`: an archive to build from. `image_ref`:
    an image that exists. A server may know further kinds."""
    archive_base64: str | None
    """The build context, a tar or zip archive, in base64."""
    filename: str | None
    """The name of that archive."""
    dockerfile_path: str | None
    """The path of the Dockerfile in the archive."""
    image_ref: str | None
    """The reference of the image, best with its digest. The release keeps the image that it
    named first."""
    compute_provider: str | None
    """Where it is to run, in the server's terms."""
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


class PlacementDict(TypedDict, total=False):
    """What one container holds of the machine that a Ray cluster chooses for it. No other
    machine is chosen. If no machine has it and the pool had no healthy container
    before, the pool becomes `failed`."""

    num_cpus: float | None
    """Processors that it holds."""
    num_gpus: float | None
    """GPUs that it holds, a whole number or less than 1."""
    resources: Mapping[str, Any] | None
    """Resources that the operator of the cluster has named, by their names."""
    labels: Mapping[str, Any] | None
    """Labels that the machine has, by their names."""


class PoolConfigDict(TypedDict, total=False):
    """Settings of a pool, free-form. The server reads those named here."""

    timeout_seconds: float | None
    """The time limit of a rollout, in seconds, see *Time limits*."""
    max_starts_per_second: float | None
    """How many attempts at rollouts may start in a second, see *Rate of starts*. Null: no
    limit."""
    submission_mode: SubmissionModeValue | None
    """How the server hands a rollout to a container. `sync`: one request, which lasts as long
    as the rollout. `async`: the server submits the rollout, then asks for its state
    until it has ended."""
    telemetry: Mapping[str, Any] | None
    """Sent to the container with each rollout, under the key `telemetry`; see
    container.openapi.yaml."""
    container_key_env: str | None
    """The name of the server's environment variable that holds the key of the pool's
    containers. The server sends the value to them as `X-API-Key`. It gives the value to
    the containers that it starts itself as `ENVIRONMENT_API_KEY`. It never stores or
    answers the value: where a container echoes it, `***` stands in its place. Allowed
    names are `ENVIRONMENT_API_KEY`, names that begin with `CONTAINER_API_KEY`, and
    names that the operator of the server has added. Returns 403
    `forbidden_container_key` if the name is not allowed, or if the variable is not set
    or holds fewer than 8 characters. If the variable is missing when a rollout starts,
    the rollout fails with `container_unreachable`; its `details.cause` is
    `container_key_missing`."""
    process: PoolProcessDict | None
    """What the server starts `capacity` times, as containers of this pool."""
    image: PoolImageDict | None
    """The image from which the server starts the containers of this pool. Returns 409
    `config_conflict` if `process` is set, too."""


class PoolDefinitionDict(TypedDict, total=False):
    """A whole pool as the caller defines it, to create or replace it. Null is the same as not
    given. Unknown fields are kept. `status`, `state`, `created_at`, `updated_at` and
    `archived_at` belong to the server and are ignored. Some fields have two spellings
    (`target` and `backend`, `config` and `pool_config`, `metadata` and
    `pool_metadata`): the server accepts both, and answers both."""

    id: str | None
    """The id of the pool. Null: in `replace_pool` and `update_pool` that of the path, else one
    that the server assigns."""
    pool_id: str | None
    """The id of the pool. Null: in `replace_pool` and `update_pool` that of the path, else one
    that the server assigns."""
    name: str | None
    """A name for people; need not be unique. Null: the id."""
    target: PoolTargetValue | None
    """The substrate. Null: the value of `backend` if it is one of the five, else `arbitrary`."""
    backend: str | None
    """The substrate as free text, for those beyond the five of `target`. Null: the value of
    `target`."""
    config: PoolConfigDict | Mapping[str, Any] | None
    """Settings of the pool, free-form."""
    pool_config: PoolConfigDict | Mapping[str, Any] | None
    """Another spelling of `config`. If both are given, `config` counts."""
    metadata: Mapping[str, Any] | None
    """Free-form, never interpreted."""
    pool_metadata: Mapping[str, Any] | None
    """Another spelling of `metadata`. If both are given, `metadata` counts."""
    tasks: Sequence[TaskDefinitionDict] | None
    """The tasks of the pool. Returns 409 `task_exists` if two have the same id."""
    capacity: int | None
    """How many containers the pool has or may have."""
    concurrency: int | None
    """How many rollouts of the pool may run at once."""
    container_url: str | None
    """The address of the container that runs the rollouts. An absolute http or https URL
    without userinfo."""
    container_urls: Sequence[str] | None
    """The addresses of further containers, beside `container_url`. Each is an absolute http or
    https URL without userinfo."""


class PoolImageDict(TypedDict, total=False):
    """An OCI image whose containers are the containers of this pool. The server starts
    `capacity` of them, or fewer where `warm` says so, with the engine that `launcher`
    names. The engine pulls the image first if it does not have it. The rules of
    `PoolProcess` hold for these containers: what it says of a process is true of a
    container, as to health, restarts, output, the states of the pool and the end. A
    `PUT` or `PATCH` that changes `config.image` replaces the containers one by one:
    each gets no further rollout once a new one is healthy in its place, and ends when
    its rollouts have ended. The pool becomes `failed` with `image_unavailable` if the
    image cannot be pulled, and with `engine_unavailable` if the engine does not work or
    cannot enforce `memory_mb`, `cpus` or `pids`. With `launcher: ray` a Ray cluster
    chooses the machine of each container, which is started with `podman`, or with
    `docker` where that machine has no podman; what is said here of the server's machine
    is true of that one. Returns 403 `images_not_allowed` if the operator of the server
    has not allowed it (`features.images`). Returns 409 `engine_unavailable` if the
    server's machine does not have the engine. Returns 403 `ray_not_allowed` for
    `launcher: ray` if the operator has not allowed that (`features.ray`)."""

    image: Required[str]
    """The reference of the image: its name, with or without a registry before it and a tag, a
    digest or both behind it."""
    launcher: ImageLauncherValue | None
    """The engine that starts the containers. Null: `podman`, or `docker` where the server's
    machine has no podman."""
    command: Sequence[str] | None
    """The command to run in place of the image's own. Null: the image's own. `{port}` in it
    stands for the port on which it is to listen; with `network: none`, `{socket}`
    stands for the path of the socket."""
    env: Mapping[str, Any] | None
    """Environment variables, beside those of the image. `{port}` and `{socket}` in the values
    stand for the same as in `command`. The variable `PORT` holds the port too; with
    `network: none`, `SOCKET` holds the path instead."""
    port: int | None
    """The port inside of the container on which it listens, at all addresses. Null: a port
    that the server chooses. Not used with `network: none`."""
    network: ImageNetworkValue | None
    """The network of each container."""
    memory_mb: int | None
    """The most memory that each container may use, in MiB, swap included. Null: the engine's
    own limit."""
    cpus: float | None
    """The most processor time that each container may use, in processors: 0.5 is half of one.
    Null: the engine's own limit."""
    pids: int | None
    """The most processes and threads that each container may have at once. Null: the engine's
    own limit."""
    mounts: Sequence[ImageMountDict] | None
    """Folders and files of the server's machine that each container may read."""
    warm: int | None
    """How many containers without a rollout the server keeps ready. It starts with `warm`
    containers, then keeps `warm` more than are busy, but never more than `capacity` in
    all. Null: it keeps `capacity` containers all the time."""
    start_timeout_seconds: float | None
    """How long a container may take until it is healthy, in seconds. The pull of the image
    does not count."""
    placement: PlacementDict | None
    """What each container holds of its machine. Not used without `launcher: ray`."""


class PoolPatchDict(TypedDict, total=False):
    """Parts of a pool to be merged into it (RFC 7396): objects merge, null removes a field or
    sets it back to its default, arrays are replaced."""

    id: str | None
    """The id of the pool. Null: in `replace_pool` and `update_pool` that of the path, else one
    that the server assigns."""
    pool_id: str | None
    """The id of the pool. Null: in `replace_pool` and `update_pool` that of the path, else one
    that the server assigns."""
    name: str | None
    """A name for people; need not be unique. Null: the id."""
    target: PoolTargetValue | None
    """The substrate. Null: the value of `backend` if it is one of the five, else `arbitrary`."""
    backend: str | None
    """The substrate as free text, for those beyond the five of `target`. Null: the value of
    `target`."""
    config: PoolConfigDict | Mapping[str, Any] | None
    """Settings of the pool, free-form."""
    pool_config: PoolConfigDict | Mapping[str, Any] | None
    """Another spelling of `config`. If both are given, `config` counts."""
    metadata: Mapping[str, Any] | None
    """Free-form, never interpreted."""
    pool_metadata: Mapping[str, Any] | None
    """Another spelling of `metadata`. If both are given, `metadata` counts."""
    tasks: Sequence[TaskDefinitionDict] | None
    """The tasks of the pool. Returns 409 `task_exists` if two have the same id."""
    capacity: int | None
    """How many containers the pool has or may have."""
    concurrency: int | None
    """How many rollouts of the pool may run at once."""
    container_url: str | None
    """The address of the container that runs the rollouts. An absolute http or https URL
    without userinfo."""
    container_urls: Sequence[str] | None
    """The addresses of further containers, beside `container_url`. Each is an absolute http or
    https URL without userinfo."""


class PoolProcessDict(TypedDict, total=False):
    """A command whose processes are the containers of this pool. The server runs `capacity`
    processes of it and waits until they answer `GET /health`. Each process is to listen
    on a free loopback port, which the server chooses. `{port}` in `argv` and in the
    values of `env` stands for this port. The variable `PORT` holds it too. The server
    starts a process that ended again, after a pause that grows. If a process is not
    healthy within `start_timeout_seconds` and none of the pool's was before, the pool
    becomes `failed`; the last lines of the process's output are in
    `error.details.output`. The server ends the processes and all their children when
    the pool is archived, when it is paused and no rollout of it runs any more, and when
    the server itself ends. A `PUT` or `PATCH` that changes `config.process` leaves the
    pool's state as it is: each process of the old command ends when its rollouts have
    ended. With `launcher: ray` a Ray cluster chooses the machine of each process, and
    what is said here of the server's machine is true of that one. If that machine is
    lost, the process is started on another one. Returns 403 `processes_not_allowed` if
    the operator of the server has not allowed it (`features.processes`), because a
    client decides here what the server's machine runs. Returns 403 `ray_not_allowed`
    for `launcher: ray` if the operator has not allowed that (`features.ray`)."""

    argv: Required[Sequence[str]]
    """The program and its arguments. No shell reads them."""
    env: Mapping[str, Any] | None
    """Environment variables, beside `PORT` and the few of the server's that programs need
    (`PATH`, `HOME`, `LANG` and the like)."""
    cwd: str | None
    """The working directory of the processes. Null: that of the server."""
    start_timeout_seconds: float | None
    """How long a process may take until it is healthy, in seconds."""
    launcher: ProcessLauncherValue | None
    """What starts the processes."""
    placement: PlacementDict | None
    """What each process holds of its machine. Not used with `launcher: local`."""


class QueryRequestDict(TypedDict, total=False):
    """A statement that reads the views of *Queries*."""

    sql: Required[str]
    """One statement in the SQL of the server's database, which begins with SELECT, WITH or
    VALUES."""
    limit: int
    """The most rows of the answer."""


class RolloutBatchRequestDict(TypedDict, total=False):
    """Rollouts to be admitted together, each on its own."""

    pool_id: str | None
    """The pool of those that name none. An empty text is an id that nothing has."""
    rollouts: Sequence[RolloutRequestDict] | None
    """Rollout requests. An invalid one is refused alone, at its place in the answer."""
    requests: Sequence[RolloutRequestDict] | None
    """Further rollout requests, after those of `rollouts`."""


class RolloutEnvDict(TypedDict, total=False):
    """What the environment is given, free-form. The built-in echo target reads `delay`,
    `fail`, `reward` and `events`; without them it answers at once, with the reward 1.0
    and a copy of the request. It takes a value of another type, or outside the range,
    as not given. It only echoes the other keys."""

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
    """Echo target: how many `agent` events it reports, spread over the delay; an integer from
    0 to 1000. Any JSON value."""


class RolloutLimitsDict(TypedDict, total=False):
    """Limits of the rollout. The server reads those named here."""

    max_attempts: int | None
    """How often in all the rollout may be sent to a container. The server sends it again only
    if a container failed or a restart of the server lost it, see *Restarts of the
    server* and *Further attempts*."""
    timeout_seconds: float | None
    """The time limit, in seconds. Null: that of the pool, see *Time limits*."""
    max_cost_usd: float | None
    """What the rollout may cost, in US dollars. The container gets it and holds to it; the
    server ends no rollout for its cost."""


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
    """A rollout as the caller asks for it. It has these 23 keys and no others. All are
    optional. Null is the same as not given. `request` of the rollout holds every value
    as it was sent."""

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
    labels: Mapping[str, Any] | None
    """Names and values for filters of lists, of the caller's choice. A name has no `=`."""
    mode: RolloutModeValue | None
    """Whether the creation waits for the end of the rollout (`sync`) or not (`async`)."""
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
    """The pool. Returns 409 `id_mismatch` if the path names another pool. An empty text is an
    id that nothing has."""
    priority: int | None
    """How little its start counts for its share (*Shares*)."""
    record: Any
    """What to record, free-form."""
    run: str | None
    """The name of the run that the rollout is part of: rollouts that are looked at and
    compared together. Any text of more than dots and white space, of which no path is
    made; the first rollout of a name begins the run."""
    safety: Mapping[str, Any] | None
    """Safety settings, free-form."""
    seed: int | None
    """Seed of the rollout."""
    task_contract: Any
    """The contract that the task is held to, free-form."""
    task_id: str | None
    """The task. Returns 404 `task_not_found` if the pool does not hold it. An empty text is an
    id that nothing has."""
    trace_correlation_id: str | None
    """Passed to the container and answered with the rollout, unchanged."""


class TaskDefinitionDict(TypedDict, total=False):
    """A whole task as the caller defines it, to create or replace it. Null is the same as not
    given. Unknown fields are kept. `pool_id`, `status`, `created_at` and `updated_at`
    belong to the server and are ignored."""

    id: str | None
    """The id of the task. Null: in `update_task` and `patch_task` that of the path, else one
    that the server assigns."""
    task_id: str | None
    """The id of the task. Null: in `update_task` and `patch_task` that of the path, else one
    that the server assigns."""
    backend: str | None
    """The substrate of the task. Null: that of the pool."""
    task_config: Mapping[str, Any] | None
    """Settings of the task, free-form."""
    task_metadata: Mapping[str, Any] | None
    """Free-form, never interpreted."""
    container_url: str | None
    """The address of a container of the task's own, in place of the pool's. An absolute http
    or https URL without userinfo."""


class TaskPatchDict(TypedDict, total=False):
    """Parts of a task to be merged into it (RFC 7396), as for `PoolPatch`."""

    id: str | None
    """The id of the task. Null: in `update_task` and `patch_task` that of the path, else one
    that the server assigns."""
    task_id: str | None
    """The id of the task. Null: in `update_task` and `patch_task` that of the path, else one
    that the server assigns."""
    backend: str | None
    """The substrate of the task. Null: that of the pool."""
    task_config: Mapping[str, Any] | None
    """Settings of the task, free-form."""
    task_metadata: Mapping[str, Any] | None
    """Free-form, never interpreted."""
    container_url: str | None
    """The address of a container of the task's own, in place of the pool's. An absolute http
    or https URL without userinfo."""
