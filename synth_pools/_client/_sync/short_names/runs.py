# Derived by `make generate`. Change the file that it comes from:
# codegen/short_names.py

"""``client.runs``: sums of the rollouts of a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synth_pools._client._sync.facade.base import Namespace
from synth_pools._client._sync.facade.runs import RunOperations

if TYPE_CHECKING:
    from synth_pools._client._sync.pagination import Items


class RunsNamespace(Namespace):
    """``client.runs``: sums of the rollouts of a name."""

    def __init__(self, client: RunOperations) -> None:
        self._client = client

    def list(
        self, *, label: str | None = None, limit: int = 100, cursor: str | None = None
    ) -> dict[str, Any]:
        """Get one page of the runs, the latest begun first.

        Args:
            label: Return only runs with this label, as ``name=value``.
            limit: Most runs of the page, 1 to 1000.
            cursor: ``next_cursor`` of the previous page.

        Returns:
            ``{"items": [...], "next_cursor": ...}``; the cursor is null on the last page.
        """
        return self._client.list_runs(label=label, limit=limit, cursor=cursor)

    def iter(
        self,
        *,
        label: str | None = None,
        limit: int = 100,
        cursor: str | None = None,
        prefetch: bool = False,
    ) -> Items:
        """Iterate over all runs, the latest begun first, fetching pages as needed.

        Args:
            label: Yield only runs with this label, as ``name=value``.
            limit: Most runs of a page, 1 to 1000.
            cursor: Begin after the page that ended with this ``next_cursor``.
            prefetch: Request the next page while the current items are used. The sync client
                requests it once they are used up.

        Returns:
            The runs, to iterate over.
        """
        return self._client.iter_runs(label=label, limit=limit, cursor=cursor, prefetch=prefetch)

    def get(self, run: str) -> dict[str, Any]:
        """Get a run: who began it and when, its configuration, rollouts, rewards, tokens and cost.

        Args:
            run: Name of the run.

        Returns:
            The run.

        Raises:
            NotFoundError: None of the rollouts is part of such a run.
        """
        return self._client.get_run(run)

    def delete(self, run: str) -> dict[str, Any]:
        """Delete the rollouts of a run with their events, trajectories and artifacts.

        Args:
            run: Name of the run.

        Returns:
            The run as it was last.

        Raises:
            NotFoundError: None of the rollouts is part of such a run, as after a deletion.
            ConflictError: One of its rollouts is queued or running; nothing was deleted.
        """
        return self._client.delete_run(run)
