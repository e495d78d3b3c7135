# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/facade/service.py

"""The service as a whole."""

from __future__ import annotations

from typing import Any

from synth_pools._client._sync.facade.base import Operations


class ServiceOperations(Operations):
    """The operations on the service as a whole."""

    def get_queue_status(self) -> dict[str, Any]:
        """Get the number of rollouts that wait, that run, and that may run at once.

        Returns:
            The status of the queue.
        """
        return self._ask("get_queue_status")

    def get_capabilities(self) -> dict[str, Any]:
        """Get the capabilities of the service: its pool targets, its features, its version.

        Returns:
            The capabilities.
        """
        return self._ask("get_capabilities")
