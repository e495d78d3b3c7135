"""The service as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...api import service as operations
from .calls import Group

if TYPE_CHECKING:
    from ...models.capabilities import Capabilities
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
