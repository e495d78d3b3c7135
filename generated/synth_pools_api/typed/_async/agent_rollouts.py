"""All rollouts, and rollouts that are placed in a pool by the server."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...api import agent_rollouts as operations
from ...types import UNSET
from .calls import AsyncGroup, AsyncStream

if TYPE_CHECKING:
    from ...models.artifact_list import ArtifactList
    from ...models.cancel_request import CancelRequest
    from ...models.json_object import JsonObject
    from ...models.list_global_rollouts_direction import ListGlobalRolloutsDirection
    from ...models.list_global_rollouts_sort import ListGlobalRolloutsSort
    from ...models.rollout import Rollout
    from ...models.rollout_batch import RolloutBatch
    from ...models.rollout_batch_request import RolloutBatchRequest
    from ...models.rollout_event import RolloutEvent
    from ...models.rollout_event_page import RolloutEventPage
    from ...models.rollout_list import RolloutList
    from ...models.rollout_request import RolloutRequest
    from ...models.rollout_summary import RolloutSummary
    from ...models.rollout_usage import RolloutUsage
    from ...models.rollout_validation import RolloutValidation
    from ...models.trajectory import Trajectory
    from ...types import Id


class AsyncAgentRolloutsApi(AsyncGroup):
    """All rollouts, and rollouts that are placed in a pool by the server."""

    async def cancel_global_rollout(
        self, rollout_id: Id, *, body: CancelRequest | None = None
    ) -> Rollout:
        """Cancel a rollout.

        As `cancel_rollout`.

        Args:
            rollout_id: The id of a rollout.
            body: No field is read yet; the body may be absent.
        """
        from ...models.cancel_request import CancelRequest
        from ...models.rollout import Rollout

        return await self._calls.call(
            "cancel_global_rollout",
            operations.cancel_global_rollout._get_kwargs,
            Rollout.from_dict,
            path={"rollout_id": rollout_id},
            body=(CancelRequest, body),
        )

    async def create_global_rollout(
        self, *, body: RolloutRequest, idempotency_key: str | None = None
    ) -> Rollout:
        """Start a rollout anywhere.

        Admits a rollout, as `create_rollout` does, to the pool that `pool_id` names. Without
        `pool_id` places it in the least loaded active pool: the one with the fewest queued plus
        running rollouts relative to `concurrency`; of equals, the oldest. With a `task_id` only
        pools that hold this task count. Returns 409 `no_active_pool` if no `pool_id` is given
        and there is no such pool.

        Args:
            idempotency_key: A text of visible ASCII that the caller chooses. For 24 hours a request
                with the same key and the same body is a repetition and creates nothing, also if
                both requests arrive at once. It returns the rollout as it is now, or with `mode:
                sync` as it ends: with 200 if it has ended, else with 202. Returns 409
                `idempotency_conflict` if the body is another one. Bodies are the same if they are
                equal as JSON. A refused request reserves no key.
            body: A rollout as the caller asks for it. It has these 23 keys and no others. All are
                optional. Null is the same as not given. `request` of the rollout holds every value
                as it was sent.
        """
        from ...models.rollout import Rollout
        from ...models.rollout_request import RolloutRequest

        return await self._calls.call(
            "create_global_rollout",
            operations.create_global_rollout._get_kwargs,
            Rollout.from_dict,
            headers={"idempotency_key": (str, idempotency_key)},
            body=(RolloutRequest, body),
        )

    async def create_rollout_batch(
        self, *, body: RolloutBatchRequest, idempotency_key: str | None = None
    ) -> RolloutBatch:
        """Start many rollouts.

        Admits the rollouts of `rollouts`, then those of `requests`, in this order, each on its
        own as `create_global_rollout` does. `pool_id` is the pool of those that name none. The
        answer has one item for each rollout: the rollout, or the error that it would have got
        alone. A refused rollout does not stop the others. Equal requests make rollouts of their
        own. A batch does not wait for rollouts with `mode: sync`. With an `Idempotency-Key` a
        repetition answers the same rollouts, and creates only those that were refused before.

        Args:
            idempotency_key: A text of visible ASCII that the caller chooses. For 24 hours a request
                with the same key and the same body is a repetition and creates nothing, also if
                both requests arrive at once. It returns the rollout as it is now, or with `mode:
                sync` as it ends: with 200 if it has ended, else with 202. Returns 409
                `idempotency_conflict` if the body is another one. Bodies are the same if they are
                equal as JSON. A refused request reserves no key.
            body: Rollouts to be admitted together, each on its own.
        """
        from ...models.rollout_batch import RolloutBatch
        from ...models.rollout_batch_request import RolloutBatchRequest

        return await self._calls.call(
            "create_rollout_batch",
            operations.create_rollout_batch._get_kwargs,
            RolloutBatch.from_dict,
            headers={"idempotency_key": (str, idempotency_key)},
            body=(RolloutBatchRequest, body),
        )

    async def get_global_rollout(self, rollout_id: Id) -> Rollout:
        """Get a rollout.

        As `get_rollout`, in any pool.

        Args:
            rollout_id: The id of a rollout.
        """
        from ...models.rollout import Rollout

        return await self._calls.call(
            "get_global_rollout",
            operations.get_global_rollout._get_kwargs,
            Rollout.from_dict,
            path={"rollout_id": rollout_id},
        )

    async def get_global_rollout_artifact(
        self,
        rollout_id: Id,
        artifact_path: str,
        *,
        range_: str | None = None,
        if_range: str | None = None,
        if_none_match: str | None = None,
    ) -> bytes:
        """Download an artifact.

        Returns the bytes of one artifact, named by its `path` or its `artifact_id`. The media
        type is always `application/octet-stream`, so that a browser saves the bytes and never
        shows them. `ETag` is their SHA-256 in quotes. The server honours a `Range` of one range
        of bytes, and ignores any other, as RFC 9110 says. Returns 404 `artifact_not_found` if
        the rollout has no such artifact; `details.artifacts` holds up to 20 paths that it has.
        Returns 404 `artifact_expired` if the content is no longer kept: the operator of the
        server may limit how much is kept in all, and then the oldest contents are removed
        first.

        Args:
            rollout_id: The id of a rollout.
            artifact_path: The `path` or the `artifact_id` of the artifact. A client percent-encodes
                a slash in it; a server also takes a bare one.
            range_: The range of bytes that is wanted.
            if_range: `Range` counts only if this is the ETag of the content.
            if_none_match: Returns 304 without a body if this is the ETag of the content, a list
                that holds it, or `*`. A `W/` before an ETag does not matter. `Range` counts only if
                it is not 304.
        """

        return await self._calls.content(
            "get_global_rollout_artifact",
            operations.get_global_rollout_artifact._get_kwargs,
            path={"rollout_id": rollout_id, "artifact_path": artifact_path},
            headers={
                "range_": (str, range_),
                "if_range": (str, if_range),
                "if_none_match": (str, if_none_match),
            },
        )

    async def get_global_rollout_artifacts(
        self, rollout_id: Id, *, prefer: str | None = None
    ) -> ArtifactList:
        """List the artifacts of a rollout.

        As `get_rollout_artifacts`.

        Args:
            rollout_id: The id of a rollout.
            prefer: With `return=minimal` among the preferences (RFC 7240) the answer holds the list
                once, as `items`, and has the header `Preference-Applied: return=minimal`. Without
                it the answer holds the list a second time, as `pools`, `tasks`, `rollouts`,
                `artifacts` or `releases`, for clients that read only this name. Any other text
                changes nothing.
        """
        from ...models.artifact_list import ArtifactList

        return await self._calls.call(
            "get_global_rollout_artifacts",
            operations.get_global_rollout_artifacts._get_kwargs,
            ArtifactList.from_dict,
            path={"rollout_id": rollout_id},
            headers={"prefer": (str, prefer)},
        )

    async def get_global_rollout_artifacts_zip(self, rollout_id: Id) -> bytes:
        """Download all artifacts.

        Returns a ZIP archive that holds every artifact under its `path`. The archive of a
        rollout without artifacts is empty. Contents that are no longer kept are left out.

        Args:
            rollout_id: The id of a rollout.
        """

        return await self._calls.content(
            "get_global_rollout_artifacts_zip",
            operations.get_global_rollout_artifacts_zip._get_kwargs,
            path={"rollout_id": rollout_id},
        )

    async def get_global_rollout_summary(self, rollout_id: Id) -> RolloutSummary:
        """Get the summary of a rollout.

        As `get_rollout_summary`.

        Args:
            rollout_id: The id of a rollout.
        """
        from ...models.rollout_summary import RolloutSummary

        return await self._calls.call(
            "get_global_rollout_summary",
            operations.get_global_rollout_summary._get_kwargs,
            RolloutSummary.from_dict,
            path={"rollout_id": rollout_id},
        )

    async def get_global_rollout_support_bundle(self, rollout_id: Id) -> bytes:
        """Download what is known of a rollout.

        Returns a ZIP archive for whoever looks into what happened. It holds the request, the
        rollout, its events, the container's answer, the pool and the versions of what ran the
        rollout, as JSON files. Values that look like secrets are left out.

        Args:
            rollout_id: The id of a rollout.
        """

        return await self._calls.content(
            "get_global_rollout_support_bundle",
            operations.get_global_rollout_support_bundle._get_kwargs,
            path={"rollout_id": rollout_id},
        )

    async def get_global_rollout_trajectory(
        self, rollout_id: Id, *, step: str | None = None
    ) -> Trajectory:
        """Read what happened in a rollout, step by step.

        Returns the trajectory that the container answered with, once the rollout has ended,
        whichever way. It is one of its artifacts, too. Returns 404 `artifact_not_found` if the
        rollout has none, or one that is not in ATIF, and 404 `artifact_expired` if it is no
        longer kept.

        Args:
            rollout_id: The id of a rollout.
            step: The step to read, `7`, or the first and the last of several, `3..5`, `3..` or
                `..5`; all else of the trajectory comes as it is. Steps count from 1. A range whose
                last step is before its first returns 422; of steps behind the last one there are
                none.
        """
        from ...models.trajectory import Trajectory

        return await self._calls.call(
            "get_global_rollout_trajectory",
            operations.get_global_rollout_trajectory._get_kwargs,
            Trajectory.from_dict,
            path={"rollout_id": rollout_id},
            query={"step": (str, step)},
        )

    async def get_global_rollout_usage(self, rollout_id: Id) -> RolloutUsage:
        """Get the usage of a rollout.

        As `get_rollout_usage`.

        Args:
            rollout_id: The id of a rollout.
        """
        from ...models.rollout_usage import RolloutUsage

        return await self._calls.call(
            "get_global_rollout_usage",
            operations.get_global_rollout_usage._get_kwargs,
            RolloutUsage.from_dict,
            path={"rollout_id": rollout_id},
        )

    async def list_global_rollouts(
        self,
        *,
        state: str | None = None,
        run: str | None = None,
        task_id: str | None = None,
        seed: int | None = None,
        error_code: str | None = None,
        label: str | None = None,
        min_reward: float | None = None,
        max_reward: float | None = None,
        created_after: str | None = None,
        created_before: str | None = None,
        sort: ListGlobalRolloutsSort | None = None,
        direction: ListGlobalRolloutsDirection | None = None,
        limit: int | None = 100,
        cursor: str | None = None,
        prefer: str | None = None,
    ) -> RolloutList:
        """List rollouts.

        Returns the caller's rollouts in all pools, newest first unless `sort` or `direction`
        says otherwise. A rollout is listed if it matches every filter of the query.

        Args:
            state: Returns only items in exactly this state. Any text is valid, also an empty one: a
                state that no item has returns an empty page.
            run: Returns only rollouts of this run.
            task_id: Returns only rollouts of this task.
            seed: Returns only rollouts whose request has this `seed`.
            error_code: Returns only rollouts that failed with this code. Any text is valid, as of
                `state`.
            label: Returns only rollouts, or runs, with this label, a name and its value joined by
                `=`.
            min_reward: Returns only rollouts whose reward is at least this.
            max_reward: Returns only rollouts whose reward is at most this.
            created_after: Returns only rollouts with a `created_at` that is not before this time.
            created_before: Returns only rollouts with a `created_at` that is before this time.
            sort: By what the list is sorted. `created`, or left out: the order of their creation.
                `reward`: the reward. `duration`: the seconds from `started_at` to `finished_at`.
                `cost`: `cost_usd` of the usage. By another one than `created` the list has only
                rollouts that have this figure, and equal ones are in the order of their creation.
            direction: `desc`, or left out: the newest, or the largest figure, first. `asc`: the
                reverse.
            limit: The most items that the page may hold.
            cursor: The `next_cursor` of the page before, an opaque string. `limit` may be another
                one than there; all other parameters of the query have to be the same. Any text is
                valid, also an empty one: what this server did not issue for this list returns an
                empty last page.
            prefer: With `return=minimal` among the preferences (RFC 7240) the answer holds the list
                once, as `items`, and has the header `Preference-Applied: return=minimal`. Without
                it the answer holds the list a second time, as `pools`, `tasks`, `rollouts`,
                `artifacts` or `releases`, for clients that read only this name. Any other text
                changes nothing.
        """
        from ...models.rollout_list import RolloutList

        return await self._calls.call(
            "list_global_rollouts",
            operations.list_global_rollouts._get_kwargs,
            RolloutList.from_dict,
            query={
                "state": (str, state),
                "run": (str, run),
                "task_id": (str, task_id),
                "seed": (int, seed),
                "error_code": (str, error_code),
                "label": (str, label),
                "min_reward": (float, min_reward),
                "max_reward": (float, max_reward),
                "created_after": (str, created_after),
                "created_before": (str, created_before),
                "sort": (str, sort),
                "direction": (str, direction),
                "limit": (int, limit),
                "cursor": (str, cursor),
            },
            headers={"prefer": (str, prefer)},
        )

    async def replay_rollout(
        self, rollout_id: Id, *, idempotency_key: str | None = None
    ) -> Rollout:
        """Run a rollout once more.

        Admits a new rollout with the request, the task and the pool of this one, in whatever
        state this one is. `replay_of` of the new rollout names this one. The rules of
        `create_rollout` hold: the pool must be `active`, and the task must still exist. If the
        request says `mode: sync`, returns 200 with the finished rollout.

        Args:
            rollout_id: The id of a rollout.
            idempotency_key: A text of visible ASCII that the caller chooses. For 24 hours a request
                with the same key and the same body is a repetition and creates nothing, also if
                both requests arrive at once. It returns the rollout as it is now, or with `mode:
                sync` as it ends: with 200 if it has ended, else with 202. Returns 409
                `idempotency_conflict` if the body is another one. Bodies are the same if they are
                equal as JSON. A refused request reserves no key.
        """
        from ...models.rollout import Rollout

        return await self._calls.call(
            "replay_rollout",
            operations.replay_rollout._get_kwargs,
            Rollout.from_dict,
            path={"rollout_id": rollout_id},
            headers={"idempotency_key": (str, idempotency_key)},
        )

    def stream_global_rollout_events(
        self,
        rollout_id: Id,
        *,
        cursor: str | None = None,
        after_sequence: int | None = None,
        last_event_id: str | None = None,
    ) -> AsyncStream[RolloutEvent]:
        """Follow the events of a rollout.

        As `stream_rollout_events`.

        Args:
            rollout_id: The id of a rollout.
            cursor: The `id` of the last event seen. Any text is valid: one that is no event of this
                rollout counts as no position.
            after_sequence: The `sequence` of the last event seen.
            last_event_id: The `id` of the last event seen. Readers of server-sent events send it
                when they reconnect.
        """
        from ...models.rollout_event import RolloutEvent

        return self._calls.stream(
            "stream_global_rollout_events",
            partial(
                operations.stream_global_rollout_events._get_kwargs, format_=UNSET, limit=UNSET
            ),
            RolloutEvent.from_dict,
            path={"rollout_id": rollout_id},
            query={"cursor": (str, cursor), "after_sequence": (int, after_sequence)},
            headers={"last_event_id": (str, last_event_id)},
        )

    async def get_global_rollout_event_page(
        self, rollout_id: Id, *, after_sequence: int | None = None, limit: int | None = 200
    ) -> RolloutEventPage:
        """Get one page of the events of `stream_global_rollout_events`, whose parameters it has."""
        from ...models.rollout_event_page import RolloutEventPage

        return await self._calls.call(
            "stream_global_rollout_events",
            partial(operations.stream_global_rollout_events._get_kwargs, format_="json"),
            RolloutEventPage.from_dict,
            path={"rollout_id": rollout_id},
            query={"after_sequence": (int, after_sequence), "limit": (int, limit)},
        )

    async def validate_rollout(self, *, body: JsonObject) -> RolloutValidation:
        """Check a rollout request.

        Says what `create_global_rollout` would answer to this request now. Creates nothing.
        `errors` holds what a creation would answer as 404, 409 or 422, field by field. `valid`
        is true if `errors` is empty. The body may be any JSON object.

        Args:
            body: Any JSON object: free-form, kept and answered as it was sent. Of a key that comes
                twice the last value counts.
        """
        from ...models.json_object import JsonObject
        from ...models.rollout_validation import RolloutValidation

        return await self._calls.call(
            "validate_rollout",
            operations.validate_rollout._get_kwargs,
            RolloutValidation.from_dict,
            body=(JsonObject, body),
        )
