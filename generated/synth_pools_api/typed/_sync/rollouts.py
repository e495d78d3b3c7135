"""The rollouts of one pool."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from ...api import rollouts as operations
from ...types import UNSET
from .calls import Group, Stream

if TYPE_CHECKING:
    from ...models.artifact_list import ArtifactList
    from ...models.cancel_request import CancelRequest
    from ...models.list_rollouts_direction import ListRolloutsDirection
    from ...models.list_rollouts_sort import ListRolloutsSort
    from ...models.rollout import Rollout
    from ...models.rollout_event import RolloutEvent
    from ...models.rollout_event_page import RolloutEventPage
    from ...models.rollout_list import RolloutList
    from ...models.rollout_request import RolloutRequest
    from ...models.rollout_summary import RolloutSummary
    from ...models.rollout_usage import RolloutUsage
    from ...types import Id


class RolloutsApi(Group):
    """The rollouts of one pool."""

    def cancel_rollout(
        self, pool_id: Id, rollout_id: Id, *, body: CancelRequest | None = None
    ) -> Rollout:
        """Cancel a rollout.

        Cancels a rollout. A queued one never starts. A running one is stopped, and its
        container is told. Returns 200 if the rollout is `cancelled` already, so that a client
        can retry it. Returns 409 `rollout_finished` if the rollout has completed or failed,
        because then the request has no effect. The body may be absent or any object.

        Args:
            pool_id: The id of a pool.
            rollout_id: The id of a rollout.
            body: No field is read yet; the body may be absent.
        """
        from ...models.cancel_request import CancelRequest
        from ...models.rollout import Rollout

        return self._calls.call(
            "cancel_rollout",
            operations.cancel_rollout._get_kwargs,
            Rollout.from_dict,
            path={"pool_id": pool_id, "rollout_id": rollout_id},
            body=(CancelRequest, body),
        )

    def create_rollout(
        self, pool_id: Id, *, body: RolloutRequest, idempotency_key: str | None = None
    ) -> Rollout:
        """Start a rollout on a pool.

        Admits a rollout to this pool. With `mode: async` (the default) returns 202 as soon as
        the rollout is admitted. With `mode: sync` returns 200 with the finished rollout,
        whether it completed, failed or was cancelled. A server may stop waiting and return 202;
        the rollout goes on. It also goes on if the client disconnects. Returns 422
        `validation_failed` if a key is none of the 23 of `RolloutRequest`.

        Args:
            pool_id: The id of a pool.
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

        return self._calls.call(
            "create_rollout",
            operations.create_rollout._get_kwargs,
            Rollout.from_dict,
            path={"pool_id": pool_id},
            headers={"idempotency_key": (str, idempotency_key)},
            body=(RolloutRequest, body),
        )

    def get_rollout(self, pool_id: Id, rollout_id: Id) -> Rollout:
        """Get a rollout.

        Returns the rollout in any state, with its request and, once it has ended, its result.
        Returns 404 `rollout_not_found` if it does not exist in this pool.

        Args:
            pool_id: The id of a pool.
            rollout_id: The id of a rollout.
        """
        from ...models.rollout import Rollout

        return self._calls.call(
            "get_rollout",
            operations.get_rollout._get_kwargs,
            Rollout.from_dict,
            path={"pool_id": pool_id, "rollout_id": rollout_id},
        )

    def get_rollout_artifacts(
        self, pool_id: Id, rollout_id: Id, *, prefer: str | None = None
    ) -> ArtifactList:
        """List the artifacts of a rollout.

        Returns a description of each artifact that the container's answer holds, see
        `Artifact`. Empty until the rollout has ended. A failed rollout has those of its
        container's answer, too.

        Args:
            pool_id: The id of a pool.
            rollout_id: The id of a rollout.
            prefer: With `return=minimal` among the preferences (RFC 7240) the answer holds the list
                once, as `items`, and has the header `Preference-Applied: return=minimal`. Without
                it the answer holds the list a second time, as `pools`, `tasks`, `rollouts`,
                `artifacts` or `releases`, for clients that read only this name. Any other text
                changes nothing.
        """
        from ...models.artifact_list import ArtifactList

        return self._calls.call(
            "get_rollout_artifacts",
            operations.get_rollout_artifacts._get_kwargs,
            ArtifactList.from_dict,
            path={"pool_id": pool_id, "rollout_id": rollout_id},
            headers={"prefer": (str, prefer)},
        )

    def get_rollout_summary(self, pool_id: Id, rollout_id: Id) -> RolloutSummary:
        """Get the summary of a rollout.

        Returns state, reward, timing and the last event in one small document.

        Args:
            pool_id: The id of a pool.
            rollout_id: The id of a rollout.
        """
        from ...models.rollout_summary import RolloutSummary

        return self._calls.call(
            "get_rollout_summary",
            operations.get_rollout_summary._get_kwargs,
            RolloutSummary.from_dict,
            path={"pool_id": pool_id, "rollout_id": rollout_id},
        )

    def get_rollout_usage(self, pool_id: Id, rollout_id: Id) -> RolloutUsage:
        """Get the usage of a rollout.

        Returns how much time, how many tokens and how many bytes the rollout used. Until the
        rollout starts each figure is zero, or null where nothing is known. The figures are
        final once the rollout has ended.

        Args:
            pool_id: The id of a pool.
            rollout_id: The id of a rollout.
        """
        from ...models.rollout_usage import RolloutUsage

        return self._calls.call(
            "get_rollout_usage",
            operations.get_rollout_usage._get_kwargs,
            RolloutUsage.from_dict,
            path={"pool_id": pool_id, "rollout_id": rollout_id},
        )

    def list_rollouts(
        self,
        pool_id: Id,
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
        sort: ListRolloutsSort | None = None,
        direction: ListRolloutsDirection | None = None,
        limit: int | None = 100,
        cursor: str | None = None,
        prefer: str | None = None,
    ) -> RolloutList:
        """List the rollouts of a pool.

        Returns the rollouts of this pool, newest first unless `sort` or `direction` says
        otherwise. A rollout is listed if it matches every filter of the query.

        Args:
            pool_id: The id of a pool.
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

        return self._calls.call(
            "list_rollouts",
            operations.list_rollouts._get_kwargs,
            RolloutList.from_dict,
            path={"pool_id": pool_id},
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

    def stream_rollout_events(
        self,
        pool_id: Id,
        rollout_id: Id,
        *,
        cursor: str | None = None,
        after_sequence: int | None = None,
        last_event_id: str | None = None,
    ) -> Stream[RolloutEvent]:
        """Follow the events of a rollout.

        Returns a stream of server-sent events: those that happened, then live ones, until the
        terminal event. The schema describes the JSON of one `data:` line: one event. With
        `format=json` returns one page of events. *Events* has the rules of framing, order,
        resume, silence and pages.

        Args:
            pool_id: The id of a pool.
            rollout_id: The id of a rollout.
            cursor: The `id` of the last event seen. Any text is valid: one that is no event of this
                rollout counts as no position.
            after_sequence: The `sequence` of the last event seen.
            last_event_id: The `id` of the last event seen. Readers of server-sent events send it
                when they reconnect.
        """
        from ...models.rollout_event import RolloutEvent

        return self._calls.stream(
            "stream_rollout_events",
            partial(operations.stream_rollout_events._get_kwargs, format_=UNSET, limit=UNSET),
            RolloutEvent.from_dict,
            path={"pool_id": pool_id, "rollout_id": rollout_id},
            query={"cursor": (str, cursor), "after_sequence": (int, after_sequence)},
            headers={"last_event_id": (str, last_event_id)},
        )

    def get_rollout_event_page(
        self,
        pool_id: Id,
        rollout_id: Id,
        *,
        after_sequence: int | None = None,
        limit: int | None = 200,
    ) -> RolloutEventPage:
        """Get one page of the events of `stream_rollout_events`, whose parameters it has."""
        from ...models.rollout_event_page import RolloutEventPage

        return self._calls.call(
            "stream_rollout_events",
            partial(operations.stream_rollout_events._get_kwargs, format_="json"),
            RolloutEventPage.from_dict,
            path={"pool_id": pool_id, "rollout_id": rollout_id},
            query={"after_sequence": (int, after_sequence), "limit": (int, limit)},
        )
