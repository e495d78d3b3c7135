"""``client.api``: a group of operations for each tag, imported on its first use."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from .calls import AsyncGroup

if TYPE_CHECKING:
    pass
    from .agent_rollouts import AsyncAgentRolloutsApi
    from .containers import AsyncContainersApi
    from .deployments import AsyncDeploymentsApi
    from .image_releases import AsyncImageReleasesApi
    from .metrics import AsyncMetricsApi
    from .pool_events import AsyncPoolEventsApi
    from .pools import AsyncPoolsApi
    from .rollouts import AsyncRolloutsApi
    from .runs import AsyncRunsApi
    from .service import AsyncServiceApi
    from .tasks import AsyncTasksApi


class AsyncApi(AsyncGroup):
    """The operations on models instead of plain JSON, a group for each tag of the document."""

    @cached_property
    def agent_rollouts(self) -> AsyncAgentRolloutsApi:
        """All rollouts, and rollouts that are placed in a pool by the server."""
        from .agent_rollouts import AsyncAgentRolloutsApi

        return AsyncAgentRolloutsApi(self._calls)

    @cached_property
    def containers(self) -> AsyncContainersApi:
        """Direct calls to the container behind a pool or a task."""
        from .containers import AsyncContainersApi

        return AsyncContainersApi(self._calls)

    @cached_property
    def deployments(self) -> AsyncDeploymentsApi:
        """What a project has deployed to the tasks of a pool, where the server knows projects."""
        from .deployments import AsyncDeploymentsApi

        return AsyncDeploymentsApi(self._calls)

    @cached_property
    def image_releases(self) -> AsyncImageReleasesApi:
        """The images that a pool's containers are made from, where the server builds or pulls
        them."""
        from .image_releases import AsyncImageReleasesApi

        return AsyncImageReleasesApi(self._calls)

    @cached_property
    def metrics(self) -> AsyncMetricsApi:
        """How busy a pool is and how well its rollouts go."""
        from .metrics import AsyncMetricsApi

        return AsyncMetricsApi(self._calls)

    @cached_property
    def pool_events(self) -> AsyncPoolEventsApi:
        """The events of all rollouts of a pool, and what its processes write."""
        from .pool_events import AsyncPoolEventsApi

        return AsyncPoolEventsApi(self._calls)

    @cached_property
    def pools(self) -> AsyncPoolsApi:
        """Define, read, change and archive pools."""
        from .pools import AsyncPoolsApi

        return AsyncPoolsApi(self._calls)

    @cached_property
    def rollouts(self) -> AsyncRolloutsApi:
        """The rollouts of one pool."""
        from .rollouts import AsyncRolloutsApi

        return AsyncRolloutsApi(self._calls)

    @cached_property
    def runs(self) -> AsyncRunsApi:
        """Rollouts that were started together, by the name that their requests give."""
        from .runs import AsyncRunsApi

        return AsyncRunsApi(self._calls)

    @cached_property
    def service(self) -> AsyncServiceApi:
        """The service as a whole."""
        from .service import AsyncServiceApi

        return AsyncServiceApi(self._calls)

    @cached_property
    def tasks(self) -> AsyncTasksApi:
        """The tasks of a pool."""
        from .tasks import AsyncTasksApi

        return AsyncTasksApi(self._calls)
