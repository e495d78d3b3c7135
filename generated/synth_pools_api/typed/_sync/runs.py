"""Rollouts that were started together, by the name that their requests give."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ...api import runs as operations
from .calls import Group

if TYPE_CHECKING:
    from ...models.run import Run
    from ...models.run_list import RunList


class RunsApi(Group):
    """Rollouts that were started together, by the name that their requests give."""

    def delete_run(self, run: str) -> Run:
        """Delete a run.

        Deletes the rollouts of the run with their events, trajectories and artifacts, and
        returns the run as it was last, as in a list. From then on they are in no list, count or
        sum. Returns 409 `run_active`, and deletes nothing, while one of them is queued or
        running. A rollout that is admitted meanwhile stays. A repetition returns 404
        `not_found`.

        Args:
            run: The name of a run.
        """
        from ...models.run import Run

        return self._calls.call(
            "delete_run", operations.delete_run._get_kwargs, Run.from_dict, path={"run": run}
        )

    def get_run(self, run: str) -> Run:
        """Get a run.

        Returns the run with this name. Returns 404 `not_found` if none of the caller's rollouts
        is part of it.

        Args:
            run: The name of a run.
        """
        from ...models.run import Run

        return self._calls.call(
            "get_run", operations.get_run._get_kwargs, Run.from_dict, path={"run": run}
        )

    def list_runs(
        self, *, label: str | None = None, limit: int | None = 100, cursor: str | None = None
    ) -> RunList:
        """List runs.

        Returns the caller's runs, the latest begun first.

        Args:
            label: Returns only rollouts, or runs, with this label, a name and its value joined by
                `=`.
            limit: The most items that the page may hold.
            cursor: The `next_cursor` of the page before, an opaque string. `limit` may be another
                one than there; all other parameters of the query have to be the same. Any text is
                valid, also an empty one: what this server did not issue for this list returns an
                empty last page.
        """
        from ...models.run_list import RunList

        return self._calls.call(
            "list_runs",
            operations.list_runs._get_kwargs,
            RunList.from_dict,
            query={"label": (str, label), "limit": (int, limit), "cursor": (str, cursor)},
        )
