"""The rollouts of one pool."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ...api import rollouts as operations
from ...types import UNSET
from .calls import Calls, Stream

if TYPE_CHECKING:
    pass
    from ...models.artifact_list import ArtifactList
    from ...models.cancel_request import CancelRequest
    from ...models.rollout import Rollout
    from ...models.rollout_event import RolloutEvent
    from ...models.rollout_event_page import RolloutEventPage
    from ...models.rollout_list import RolloutList
    from ...models.rollout_request import RolloutRequest
    from ...models.rollout_summary import RolloutSummary
    from ...models.rollout_usage import RolloutUsage


class RolloutsApi:
    """The rollouts of one pool."""

    __slots__ = ("_calls",)

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def cancel_rollout(
        self, pool_id: str, rollout_id: str, *, body: CancelRequest | None = None
    ) -> Rollout:
        """Cancel a rollout.

        A queued rollout never starts; a running one is stopped and its container told.
        Cancelling again is 200; a rollout that has ended otherwise is 409 `rollout_finished`.
        The body may be absent or any object.

        Args:
            pool_id: The id of a pool.
            rollout_id: The id of a rollout.
            body: No field is read yet; the body may be absent.
        """
        from ...models.cancel_request import CancelRequest

        return self._calls.call(
            "cancel_rollout",
            operations.cancel_rollout._get_kwargs,
            _parse_cancel_rollout,
            path={"pool_id": pool_id, "rollout_id": rollout_id},
            body=(CancelRequest, body),
        )

    def create_rollout(
        self, pool_id: str, *, body: RolloutRequest, idempotency_key: str | None = None
    ) -> Rollout:
        """Start a rollout on a pool.

        Admits a rollout to this pool. With `mode: sync` the answer is the finished rollout. A
        key outside the 20 of `RolloutRequest` is 422.

        Args:
            pool_id: The id of a pool.
            idempotency_key: Chosen by the caller, visible ASCII; see *Idempotency*.
            body: A rollout as the caller asks for it. These 20 keys and no others; all are
                optional, and null is the same as not given. Every value comes back in the `request`
                of the rollout as it was sent.
        """
        from ...models.rollout_request import RolloutRequest

        return self._calls.call(
            "create_rollout",
            operations.create_rollout._get_kwargs,
            _parse_create_rollout,
            path={"pool_id": pool_id},
            headers={"idempotency_key": (str, idempotency_key)},
            body=(RolloutRequest, body),
        )

    def get_rollout(self, pool_id: str, rollout_id: str) -> Rollout:
        """Get a rollout.

        The rollout in whatever state it is, with its request and, once it has ended, its
        result. A rollout of another pool is 404.

        Args:
            pool_id: The id of a pool.
            rollout_id: The id of a rollout.
        """

        return self._calls.call(
            "get_rollout",
            operations.get_rollout._get_kwargs,
            _parse_get_rollout,
            path={"pool_id": pool_id, "rollout_id": rollout_id},
        )

    def get_rollout_artifacts(
        self, pool_id: str, rollout_id: str, *, prefer: str | None = None
    ) -> ArtifactList:
        """List the artifacts of a rollout.

        What the container handed over as `artifact`, described item by item. Empty until the
        rollout has ended.

        Args:
            pool_id: The id of a pool.
            rollout_id: The id of a rollout.
            prefer: With `return=minimal` (RFC 7240) a list comes once, under `items`; any other
                text changes nothing.
        """

        return self._calls.call(
            "get_rollout_artifacts",
            operations.get_rollout_artifacts._get_kwargs,
            _parse_get_rollout_artifacts,
            path={"pool_id": pool_id, "rollout_id": rollout_id},
            headers={"prefer": (str, prefer)},
        )

    def get_rollout_summary(self, pool_id: str, rollout_id: str) -> RolloutSummary:
        """Get the summary of a rollout.

        State, reward, timing and the last event in one small document.

        Args:
            pool_id: The id of a pool.
            rollout_id: The id of a rollout.
        """

        return self._calls.call(
            "get_rollout_summary",
            operations.get_rollout_summary._get_kwargs,
            _parse_get_rollout_summary,
            path={"pool_id": pool_id, "rollout_id": rollout_id},
        )

    def get_rollout_usage(self, pool_id: str, rollout_id: str) -> RolloutUsage:
        """Get the usage of a rollout.

        Time, tokens and bytes. All zero, or null where nothing is known, until the rollout
        starts; final once it has ended.

        Args:
            pool_id: The id of a pool.
            rollout_id: The id of a rollout.
        """

        return self._calls.call(
            "get_rollout_usage",
            operations.get_rollout_usage._get_kwargs,
            _parse_get_rollout_usage,
            path={"pool_id": pool_id, "rollout_id": rollout_id},
        )

    def list_rollouts(
        self,
        pool_id: str,
        *,
        state: str | None = None,
        limit: int | None = 100,
        cursor: str | None = None,
        prefer: str | None = None,
    ) -> RolloutList:
        """List the rollouts of a pool.

        The rollouts of this pool, newest first.

        Args:
            pool_id: The id of a pool.
            state: Only items in this state. Any text: one that is no state answers an empty page.
            limit: The most items that the page may hold.
            cursor: The `next_cursor` of the page before. Any text: one that this server did not
                issue answers an empty last page.
            prefer: With `return=minimal` (RFC 7240) a list comes once, under `items`; any other
                text changes nothing.
        """

        return self._calls.call(
            "list_rollouts",
            operations.list_rollouts._get_kwargs,
            _parse_list_rollouts,
            path={"pool_id": pool_id},
            query={"state": (str, state), "limit": (int, limit), "cursor": (str, cursor)},
            headers={"prefer": (str, prefer)},
        )

    def stream_rollout_events(
        self,
        pool_id: str,
        rollout_id: str,
        *,
        cursor: str | None = None,
        after_sequence: int | None = None,
        last_event_id: str | None = None,
    ) -> Stream[RolloutEvent]:
        """Follow the events of a rollout.

        A stream of server-sent events: those that happened, then live ones, until the terminal
        event, after which the server ends the response. The schema is that of one event, the
        JSON in the `data` of a message. With `format=json`, one page of events. See *Events*
        above for framing, order, resume, silence and pages.

        Args:
            pool_id: The id of a pool.
            rollout_id: The id of a rollout.
            cursor: The `id` of the last event seen. Any text: one that is no event of this rollout
                counts as no position.
            after_sequence: The `sequence` of the last event seen.
            last_event_id: The `id` of the last event seen, as readers of server-sent events send it
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
        pool_id: str,
        rollout_id: str,
        *,
        after_sequence: int | None = None,
        limit: int | None = 200,
    ) -> RolloutEventPage:
        """The JSON answer of `stream_rollout_events`, one page of events; see there."""
        from ...models.rollout_event_page import RolloutEventPage

        return self._calls.call(
            "stream_rollout_events",
            partial(operations.stream_rollout_events._get_kwargs, format_="json"),
            RolloutEventPage.from_dict,
            path={"pool_id": pool_id, "rollout_id": rollout_id},
            query={"after_sequence": (int, after_sequence), "limit": (int, limit)},
        )


def _parse_cancel_rollout(answer: Any) -> Rollout:
    from ...models.rollout import Rollout

    response_200 = Rollout.from_dict(answer)
    return response_200


def _parse_create_rollout(answer: Any) -> Rollout:
    from ...models.rollout import Rollout

    response_202 = Rollout.from_dict(answer)
    return response_202


def _parse_get_rollout(answer: Any) -> Rollout:
    from ...models.rollout import Rollout

    response_200 = Rollout.from_dict(answer)
    return response_200


def _parse_get_rollout_artifacts(answer: Any) -> ArtifactList:
    from ...models.artifact_list import ArtifactList

    response_200 = ArtifactList.from_dict(answer)
    return response_200


def _parse_get_rollout_summary(answer: Any) -> RolloutSummary:
    from ...models.rollout_summary import RolloutSummary

    response_200 = RolloutSummary.from_dict(answer)
    return response_200


def _parse_get_rollout_usage(answer: Any) -> RolloutUsage:
    from ...models.rollout_usage import RolloutUsage

    response_200 = RolloutUsage.from_dict(answer)
    return response_200


def _parse_list_rollouts(answer: Any) -> RolloutList:
    from ...models.rollout_list import RolloutList

    response_200 = RolloutList.from_dict(answer)
    return response_200
