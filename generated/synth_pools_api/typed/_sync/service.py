"""The service as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...api import service as operations
from .calls import Group

if TYPE_CHECKING:
    from ...models.capabilities import Capabilities
    from ...models.query_request import QueryRequest
    from ...models.query_result import QueryResult
    from ...models.queue_status import QueueStatus


class ServiceApi(Group):
    """The service as a whole."""

    def get_capabilities(self) -> Capabilities:
        """Get the capabilities of the server.

        Returns the targets and the optional features of this server. A feature that is not
        listed is not offered.
        """
        from ...models.capabilities import Capabilities

        return self._calls.call(
            "get_capabilities", operations.get_capabilities._get_kwargs, Capabilities.from_dict
        )

    def get_queue_status(self) -> QueueStatus:
        """Get the state of the queue.

        Returns how many rollouts wait and run in all pools of the caller, and how many could
        run at once.
        """
        from ...models.queue_status import QueueStatus

        return self._calls.call(
            "get_queue_status", operations.get_queue_status._get_kwargs, QueueStatus.from_dict
        )

    def run_query(self, *, body: QueryRequest) -> QueryResult:
        """Run a query.

        Returns the rows of one SQL statement that reads the views `runs`, `rollouts`, `usage`
        and `events` of *Queries*. Returns 409 `query_refused` if the server does not run it.

        Args:
            body: A statement that reads the views of *Queries*.
        """
        from ...models.query_request import QueryRequest
        from ...models.query_result import QueryResult

        return self._calls.call(
            "run_query",
            operations.run_query._get_kwargs,
            QueryResult.from_dict,
            body=(QueryRequest, body),
        )
