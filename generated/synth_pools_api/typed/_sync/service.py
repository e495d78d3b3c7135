"""The service as a whole."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ...api import service as operations
from .calls import Calls

if TYPE_CHECKING:
    pass
    from ...models.capabilities import Capabilities
    from ...models.queue_status import QueueStatus


class ServiceApi:
    """The service as a whole."""

    __slots__ = ("_calls",)

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def get_capabilities(self) -> Capabilities:
        """Get the capabilities of the server.

        Returns the targets and the optional features of this server. A feature that is not
        listed is not offered.
        """

        return self._calls.call(
            "get_capabilities",
            operations.get_capabilities._get_kwargs,
            _parse_get_capabilities,
        )

    def get_queue_status(self) -> QueueStatus:
        """Get the state of the queue.

        Returns how many rollouts wait and run in all pools of the caller, and how many could
        run at once.
        """

        return self._calls.call(
            "get_queue_status",
            operations.get_queue_status._get_kwargs,
            _parse_get_queue_status,
        )


def _parse_get_capabilities(answer: Any) -> Capabilities:
    from ...models.capabilities import Capabilities

    response_200 = Capabilities.from_dict(answer)
    return response_200


def _parse_get_queue_status(answer: Any) -> QueueStatus:
    from ...models.queue_status import QueueStatus

    response_200 = QueueStatus.from_dict(answer)
    return response_200
