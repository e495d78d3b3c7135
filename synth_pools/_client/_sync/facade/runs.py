# Derived by `make generate`. Change the file that it comes from:
# synth_pools/_client/_async/facade/runs.py

"""Runs: the sums of the rollouts of a name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from synth_pools._client._sync.facade.base import Operations, or_unset
from synth_pools._client.arguments import check_count, query_text
from synth_pools_api import api

if TYPE_CHECKING:
    from synth_pools._client._sync.pagination import Items


class RunOperations(Operations):
    """The operations on runs."""

    def list_runs(
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
        call = api.runs.list_runs._get_kwargs(**_page(label, limit, cursor))
        return self._transport.request("list_runs", call)

    def iter_runs(
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
        _page(label, limit, cursor)
        return self._items(
            lambda cursor: self.list_runs(label=label, limit=limit, cursor=cursor),
            "runs",
            cursor,
            prefetch,
        )

    def get_run(self, run: str) -> dict[str, Any]:
        """Get a run: who began it and when, its configuration, rollouts, rewards, tokens and cost.

        Args:
            run: Name of the run.

        Returns:
            The run.

        Raises:
            NotFoundError: None of the rollouts is part of such a run.
        """
        return self._ask("get_run", run=run)

    def delete_run(self, run: str) -> dict[str, Any]:
        """Delete the rollouts of a run with their events, trajectories and artifacts.

        Args:
            run: Name of the run.

        Returns:
            The run as it was last.

        Raises:
            NotFoundError: None of the rollouts is part of such a run, as after a deletion.
            ConflictError: One of its rollouts is queued or running; nothing was deleted.
        """
        return self._ask("delete_run", run=run)


def _page(label: str | None, limit: int, cursor: str | None) -> dict[str, Any]:
    return {
        "label": or_unset(query_text(label, "label")),
        "limit": check_count(limit, "limit", least=1, most=1000),
        "cursor": or_unset(query_text(cursor, "cursor")),
    }
