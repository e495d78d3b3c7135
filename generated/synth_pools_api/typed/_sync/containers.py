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

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...api import containers as operations
from .calls import Calls

if TYPE_CHECKING:
    pass
    from ...models.container_health import ContainerHealth
    from ...models.container_info import ContainerInfo
    from ...models.container_metadata import ContainerMetadata
    from ...models.container_program import ContainerProgram
    from ...models.container_rollout_request import ContainerRolloutRequest
    from ...models.container_rollout_result import ContainerRolloutResult
    from ...models.container_task_info import ContainerTaskInfo
    from ...models.container_taskset import ContainerTaskset


class ContainersApi:
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

    __slots__ = ("_calls",)

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def execute_pool_container_rollout(
        self, pool_id: str, *, body: ContainerRolloutRequest
    ) -> ContainerRolloutResult:
        """Run a rollout directly on a pool's container.

        Posts the body unchanged to the pool's container, see *Direct calls*. Queues, stores and
        measures nothing: the result exists only in this answer.

        Args:
            pool_id: The id of a pool.
            body: A rollout request in the container's own terms; passed through.
        """
        from ...models.container_rollout_request import ContainerRolloutRequest

        return self._calls.call(
            "execute_pool_container_rollout",
            operations.execute_pool_container_rollout._get_kwargs,
            _parse_execute_pool_container_rollout,
            path={"pool_id": pool_id},
            body=(ContainerRolloutRequest, body),
        )

    def execute_task_container_rollout(
        self, pool_id: str, task_id: str, *, body: ContainerRolloutRequest
    ) -> ContainerRolloutResult:
        """Run a rollout directly on a task's container.

        Posts the body unchanged to the task's container, see *Direct calls*. Queues, stores and
        measures nothing: the result exists only in this answer.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
            body: A rollout request in the container's own terms; passed through.
        """
        from ...models.container_rollout_request import ContainerRolloutRequest

        return self._calls.call(
            "execute_task_container_rollout",
            operations.execute_task_container_rollout._get_kwargs,
            _parse_execute_task_container_rollout,
            path={"pool_id": pool_id, "task_id": task_id},
            body=(ContainerRolloutRequest, body),
        )

    def get_pool_container_health(self, pool_id: str) -> ContainerHealth:
        """Get the health of a pool's container.

        Returns what the pool's container answers to `GET /health`, see *Direct calls*.

        Args:
            pool_id: The id of a pool.
        """

        return self._calls.call(
            "get_pool_container_health",
            operations.get_pool_container_health._get_kwargs,
            _parse_get_pool_container_health,
            path={"pool_id": pool_id},
        )

    def get_pool_container_info(self, pool_id: str) -> ContainerInfo:
        """Get the info of a pool's container.

        Returns what the pool's container answers to `GET /info`, see *Direct calls*.

        Args:
            pool_id: The id of a pool.
        """

        return self._calls.call(
            "get_pool_container_info",
            operations.get_pool_container_info._get_kwargs,
            _parse_get_pool_container_info,
            path={"pool_id": pool_id},
        )

    def get_pool_container_metadata(self, pool_id: str) -> ContainerMetadata:
        """Get the metadata of a pool's container.

        Returns what the pool's container answers to `GET /metadata`, see *Direct calls*.

        Args:
            pool_id: The id of a pool.
        """

        return self._calls.call(
            "get_pool_container_metadata",
            operations.get_pool_container_metadata._get_kwargs,
            _parse_get_pool_container_metadata,
            path={"pool_id": pool_id},
        )

    def get_pool_container_program(self, pool_id: str) -> ContainerProgram:
        """Get the program of a pool's container.

        Returns what the pool's container answers to `GET /program`, see *Direct calls*.

        Args:
            pool_id: The id of a pool.
        """

        return self._calls.call(
            "get_pool_container_program",
            operations.get_pool_container_program._get_kwargs,
            _parse_get_pool_container_program,
            path={"pool_id": pool_id},
        )

    def get_pool_container_task_info(self, pool_id: str) -> ContainerTaskInfo:
        """Get the task info of a pool's container.

        Returns what the pool's container answers to `GET /task_info`, see *Direct calls*.

        Args:
            pool_id: The id of a pool.
        """

        return self._calls.call(
            "get_pool_container_task_info",
            operations.get_pool_container_task_info._get_kwargs,
            _parse_get_pool_container_task_info,
            path={"pool_id": pool_id},
        )

    def get_pool_container_taskset(self, pool_id: str) -> ContainerTaskset:
        """Get the taskset of a pool's container.

        Returns what the pool's container answers to `GET /taskset`, see *Direct calls*.

        Args:
            pool_id: The id of a pool.
        """

        return self._calls.call(
            "get_pool_container_taskset",
            operations.get_pool_container_taskset._get_kwargs,
            _parse_get_pool_container_taskset,
            path={"pool_id": pool_id},
        )

    def get_task_container_health(self, pool_id: str, task_id: str) -> ContainerHealth:
        """Get the health of a task's container.

        Returns what the task's container answers to `GET /health`, see *Direct calls*.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
        """

        return self._calls.call(
            "get_task_container_health",
            operations.get_task_container_health._get_kwargs,
            _parse_get_task_container_health,
            path={"pool_id": pool_id, "task_id": task_id},
        )

    def get_task_container_info(self, pool_id: str, task_id: str) -> ContainerInfo:
        """Get the info of a task's container.

        Returns what the task's container answers to `GET /info`, see *Direct calls*.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
        """

        return self._calls.call(
            "get_task_container_info",
            operations.get_task_container_info._get_kwargs,
            _parse_get_task_container_info,
            path={"pool_id": pool_id, "task_id": task_id},
        )

    def get_task_container_metadata(self, pool_id: str, task_id: str) -> ContainerMetadata:
        """Get the metadata of a task's container.

        Returns what the task's container answers to `GET /metadata`, see *Direct calls*.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
        """

        return self._calls.call(
            "get_task_container_metadata",
            operations.get_task_container_metadata._get_kwargs,
            _parse_get_task_container_metadata,
            path={"pool_id": pool_id, "task_id": task_id},
        )

    def get_task_container_program(self, pool_id: str, task_id: str) -> ContainerProgram:
        """Get the program of a task's container.

        Returns what the task's container answers to `GET /program`, see *Direct calls*.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
        """

        return self._calls.call(
            "get_task_container_program",
            operations.get_task_container_program._get_kwargs,
            _parse_get_task_container_program,
            path={"pool_id": pool_id, "task_id": task_id},
        )

    def get_task_container_task_info(self, pool_id: str, task_id: str) -> ContainerTaskInfo:
        """Get the task info of a task's container.

        Returns what the task's container answers to `GET /task_info`, see *Direct calls*.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
        """

        return self._calls.call(
            "get_task_container_task_info",
            operations.get_task_container_task_info._get_kwargs,
            _parse_get_task_container_task_info,
            path={"pool_id": pool_id, "task_id": task_id},
        )

    def get_task_container_taskset(self, pool_id: str, task_id: str) -> ContainerTaskset:
        """Get the taskset of a task's container.

        Returns what the task's container answers to `GET /taskset`, see *Direct calls*.

        Args:
            pool_id: The id of a pool.
            task_id: The id of a task of the pool.
        """

        return self._calls.call(
            "get_task_container_taskset",
            operations.get_task_container_taskset._get_kwargs,
            _parse_get_task_container_taskset,
            path={"pool_id": pool_id, "task_id": task_id},
        )


def _parse_execute_pool_container_rollout(answer: Any) -> ContainerRolloutResult:
    from ...models.container_rollout_result import ContainerRolloutResult

    response_200 = ContainerRolloutResult.from_dict(answer)
    return response_200


def _parse_execute_task_container_rollout(answer: Any) -> ContainerRolloutResult:
    from ...models.container_rollout_result import ContainerRolloutResult

    response_200 = ContainerRolloutResult.from_dict(answer)
    return response_200


def _parse_get_pool_container_health(answer: Any) -> ContainerHealth:
    from ...models.container_health import ContainerHealth

    response_200 = ContainerHealth.from_dict(answer)
    return response_200


def _parse_get_pool_container_info(answer: Any) -> ContainerInfo:
    from ...models.container_info import ContainerInfo

    response_200 = ContainerInfo.from_dict(answer)
    return response_200


def _parse_get_pool_container_metadata(answer: Any) -> ContainerMetadata:
    from ...models.container_metadata import ContainerMetadata

    response_200 = ContainerMetadata.from_dict(answer)
    return response_200


def _parse_get_pool_container_program(answer: Any) -> ContainerProgram:
    from ...models.container_program import ContainerProgram

    response_200 = ContainerProgram.from_dict(answer)
    return response_200


def _parse_get_pool_container_task_info(answer: Any) -> ContainerTaskInfo:
    from ...models.container_task_info import ContainerTaskInfo

    response_200 = ContainerTaskInfo.from_dict(answer)
    return response_200


def _parse_get_pool_container_taskset(answer: Any) -> ContainerTaskset:
    from ...models.container_taskset import ContainerTaskset

    response_200 = ContainerTaskset.from_dict(answer)
    return response_200


def _parse_get_task_container_health(answer: Any) -> ContainerHealth:
    from ...models.container_health import ContainerHealth

    response_200 = ContainerHealth.from_dict(answer)
    return response_200


def _parse_get_task_container_info(answer: Any) -> ContainerInfo:
    from ...models.container_info import ContainerInfo

    response_200 = ContainerInfo.from_dict(answer)
    return response_200


def _parse_get_task_container_metadata(answer: Any) -> ContainerMetadata:
    from ...models.container_metadata import ContainerMetadata

    response_200 = ContainerMetadata.from_dict(answer)
    return response_200


def _parse_get_task_container_program(answer: Any) -> ContainerProgram:
    from ...models.container_program import ContainerProgram

    response_200 = ContainerProgram.from_dict(answer)
    return response_200


def _parse_get_task_container_task_info(answer: Any) -> ContainerTaskInfo:
    from ...models.container_task_info import ContainerTaskInfo

    response_200 = ContainerTaskInfo.from_dict(answer)
    return response_200


def _parse_get_task_container_taskset(answer: Any) -> ContainerTaskset:
    from ...models.container_taskset import ContainerTaskset

    response_200 = ContainerTaskset.from_dict(answer)
    return response_200
