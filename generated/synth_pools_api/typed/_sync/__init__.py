"""``client.api``: a group of operations for each tag, imported on its first use."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING

from .calls import Group

if TYPE_CHECKING:
    pass
    from .agent_rollouts import AgentRolloutsApi
    from .containers import ContainersApi
    from .deployments import DeploymentsApi
    from .image_releases import ImageReleasesApi
    from .metrics import MetricsApi
    from .pool_events import PoolEventsApi
    from .pools import PoolsApi
    from .rollouts import RolloutsApi
    from .runs import RunsApi
    from .service import ServiceApi
    from .tasks import TasksApi


class Api(Group):
    """The operations on models instead of plain JSON, a group for each tag of the document."""

    @cached_property
    def agent_rollouts(self) -> AgentRolloutsApi:
        """All rollouts, and rollouts that are placed in a pool by the server."""
        from .agent_rollouts import AgentRolloutsApi

        return AgentRolloutsApi(self._calls)

    @cached_property
    def containers(self) -> ContainersApi:
        """Direct calls to the container behind a pool or a task."""
        from .containers import ContainersApi

        return ContainersApi(self._calls)

    @cached_property
    def deployments(self) -> DeploymentsApi:
        """What a project has deployed to the tasks of a pool, where the server knows projects."""
        from .deployments import DeploymentsApi

        return DeploymentsApi(self._calls)

    @cached_property
    def image_releases(self) -> ImageReleasesApi:
        """The images that a pool's containers are made from, where the server builds or pulls
        them."""
        from .image_releases import ImageReleasesApi

        return ImageReleasesApi(self._calls)

    @cached_property
    def metrics(self) -> MetricsApi:
        """How busy a pool is and how well its rollouts go."""
        from .metrics import MetricsApi

        return MetricsApi(self._calls)

    @cached_property
    def pool_events(self) -> PoolEventsApi:
        """The events of all rollouts of a pool, and what its processes write."""
        from .pool_events import PoolEventsApi

        return PoolEventsApi(self._calls)

    @cached_property
    def pools(self) -> PoolsApi:
        """Define, read, change and archive pools."""
        from .pools import PoolsApi

        return PoolsApi(self._calls)

    @cached_property
    def rollouts(self) -> RolloutsApi:
        """The rollouts of one pool."""
        from .rollouts import RolloutsApi

        return RolloutsApi(self._calls)

    @cached_property
    def runs(self) -> RunsApi:
        """Rollouts that were started together, by the name that their requests give."""
        from .runs import RunsApi

        return RunsApi(self._calls)

    @cached_property
    def service(self) -> ServiceApi:
        """The service as a whole."""
        from .service import ServiceApi

        return ServiceApi(self._calls)

    @cached_property
    def tasks(self) -> TasksApi:
        """The tasks of a pool."""
        from .tasks import TasksApi

        return TasksApi(self._calls)
