"""All rollouts, and rollouts that are placed in a pool by the server. ## Rollouts: the two
families `/v1/pools/{pool_id}/rollouts` and `/v1/rollouts` show the same rollouts: a
rollout created through one family is found through the other. A rollout under a pool
that is not its own is 404."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

from ...api import agent_rollouts as operations
from ...types import UNSET
from .calls import AsyncCalls, AsyncStream

if TYPE_CHECKING:
    pass
    from ...models.artifact_list import ArtifactList
    from ...models.cancel_request import CancelRequest
    from ...models.json_object import JsonObject
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


class AsyncAgentRolloutsApi:
    """All rollouts, and rollouts that are placed in a pool by the server. ## Rollouts: the two
    families `/v1/pools/{pool_id}/rollouts` and `/v1/rollouts` show the same rollouts: a
    rollout created through one family is found through the other. A rollout under a pool
    that is not its own is 404."""

    __slots__ = ("_calls",)

    def __init__(self, calls: AsyncCalls) -> None:
        self._calls = calls

    async def cancel_global_rollout(
        self, rollout_id: str, *, body: CancelRequest | None = None
    ) -> Rollout:
        """Cancel a rollout.

        As `cancel_rollout`.

        Args:
            rollout_id: The id of a rollout.
            body: No field is read yet; the body may be absent.
        """
        from ...models.cancel_request import CancelRequest

        return await self._calls.call(
            "cancel_global_rollout",
            operations.cancel_global_rollout._get_kwargs,
            _parse_cancel_global_rollout,
            path={"rollout_id": rollout_id},
            body=(CancelRequest, body),
        )

    async def create_global_rollout(
        self, *, body: RolloutRequest, idempotency_key: str | None = None
    ) -> Rollout:
        """Start a rollout anywhere.

        Admits a rollout, as `create_rollout` does, to the pool that `pool_id` names. Without
        `pool_id` it is placed in the least loaded active pool: the one with the fewest queued
        plus running rollouts relative to `concurrency`, and among equals the oldest. With a
        `task_id`, only pools that hold this task count. Without any such pool it is 409
        `no_active_pool`.

        Args:
            idempotency_key: Chosen by the caller, visible ASCII. For 24 hours the same key with the
                same body creates nothing where it counts as the same request: on the same operation
                and, for `create_rollout`, the same pool, for `replay_rollout` the same rollout in
                the path. Elsewhere the same text is another key. The repetition answers the status
                of the first response, with that rollout as it is now, also if both requests arrive
                at once. With another body it is 409 `idempotency_conflict`. Bodies are the same if
                they are equal as JSON. A refused request reserves no key.
            body: A rollout as the caller asks for it. These 20 keys and no others; all are
                optional, and null is the same as not given. Every value comes back in the `request`
                of the rollout as it was sent.
        """
        from ...models.rollout_request import RolloutRequest

        return await self._calls.call(
            "create_global_rollout",
            operations.create_global_rollout._get_kwargs,
            _parse_create_global_rollout,
            headers={"idempotency_key": (str, idempotency_key)},
            body=(RolloutRequest, body),
        )

    async def create_rollout_batch(
        self, *, body: RolloutBatchRequest, idempotency_key: str | None = None
    ) -> RolloutBatch:
        """Start many rollouts.

        Admits the rollouts of `rollouts` and then of `requests`, two spellings of the same
        list, in this order, each on its own as `create_global_rollout` would. `pool_id` counts
        for those that name none. The answer has one item for each, with the rollout or with the
        error that it would have got alone: a refused one does not stop the others. `mode: sync`
        does not make a batch wait. With an `Idempotency-Key` a repetition answers the same
        rollouts and creates only what was refused before.

        Args:
            idempotency_key: Chosen by the caller, visible ASCII. For 24 hours the same key with the
                same body creates nothing where it counts as the same request: on the same operation
                and, for `create_rollout`, the same pool, for `replay_rollout` the same rollout in
                the path. Elsewhere the same text is another key. The repetition answers the status
                of the first response, with that rollout as it is now, also if both requests arrive
                at once. With another body it is 409 `idempotency_conflict`. Bodies are the same if
                they are equal as JSON. A refused request reserves no key.
            body: Rollouts to be admitted together, each on its own.
        """
        from ...models.rollout_batch_request import RolloutBatchRequest

        return await self._calls.call(
            "create_rollout_batch",
            operations.create_rollout_batch._get_kwargs,
            _parse_create_rollout_batch,
            headers={"idempotency_key": (str, idempotency_key)},
            body=(RolloutBatchRequest, body),
        )

    async def get_global_rollout(self, rollout_id: str) -> Rollout:
        """Get a rollout.

        As `get_rollout`.

        Args:
            rollout_id: The id of a rollout.
        """

        return await self._calls.call(
            "get_global_rollout",
            operations.get_global_rollout._get_kwargs,
            _parse_get_global_rollout,
            path={"rollout_id": rollout_id},
        )

    async def get_global_rollout_artifact(
        self,
        rollout_id: str,
        artifact_path: str,
        *,
        range_: str | None = None,
        if_range: str | None = None,
        if_none_match: str | None = None,
    ) -> bytes:
        """Download an artifact.

        The bytes of one artifact, named by its `path` or its `artifact_id`, always as
        `application/octet-stream`, so that a browser saves them and never shows them. `ETag` is
        its SHA-256 in quotes. `Range` with one range of bytes is honoured, one that is none is
        ignored, as RFC 9110 says. A path that the rollout does not have is 404
        `artifact_not_found`, with up to 20 of those that it has in `details.artifacts`. The
        operator of the server may limit how much is kept in all: then the oldest contents are
        removed first, and their download is 404 `artifact_expired`.

        Args:
            rollout_id: The id of a rollout.
            artifact_path: The `path` or the `artifact_id` of the artifact. A slash in it is
                percent-encoded; a server also takes it as it is.
            range_: The range of bytes that is wanted.
            if_range: `Range` counts only while this is the ETag of the content.
            if_none_match: Nothing is sent where this is the ETag of the content.
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
        self, rollout_id: str, *, prefer: str | None = None
    ) -> ArtifactList:
        """List the artifacts of a rollout.

        As `get_rollout_artifacts`.

        Args:
            rollout_id: The id of a rollout.
            prefer: With `return=minimal` (RFC 7240) a list comes once, under `items`, which clients
                that read `items` ask for. Later clients look for the list under a name of its own
                alone, so any other answer holds it a second time, as `pools`, `tasks`, `rollouts`,
                `artifacts` or `releases`. Any other text changes nothing.
        """

        return await self._calls.call(
            "get_global_rollout_artifacts",
            operations.get_global_rollout_artifacts._get_kwargs,
            _parse_get_global_rollout_artifacts,
            path={"rollout_id": rollout_id},
            headers={"prefer": (str, prefer)},
        )

    async def get_global_rollout_artifacts_zip(self, rollout_id: str) -> bytes:
        """Download all artifacts.

        A ZIP archive that holds every artifact under its `path`; without any it is empty.
        Contents that are no longer kept are left out.

        Args:
            rollout_id: The id of a rollout.
        """

        return await self._calls.content(
            "get_global_rollout_artifacts_zip",
            operations.get_global_rollout_artifacts_zip._get_kwargs,
            path={"rollout_id": rollout_id},
        )

    async def get_global_rollout_summary(self, rollout_id: str) -> RolloutSummary:
        """Get the summary of a rollout.

        State, reward, timing and the last event in one small document.

        Args:
            rollout_id: The id of a rollout.
        """

        return await self._calls.call(
            "get_global_rollout_summary",
            operations.get_global_rollout_summary._get_kwargs,
            _parse_get_global_rollout_summary,
            path={"rollout_id": rollout_id},
        )

    async def get_global_rollout_support_bundle(self, rollout_id: str) -> bytes:
        """Download what is known of a rollout.

        A ZIP archive for whoever looks into what happened: the request, the rollout, its
        events, what its container answered, its pool and the versions of what ran it, as JSON
        files. Values that look like secrets are left out.

        Args:
            rollout_id: The id of a rollout.
        """

        return await self._calls.content(
            "get_global_rollout_support_bundle",
            operations.get_global_rollout_support_bundle._get_kwargs,
            path={"rollout_id": rollout_id},
        )

    async def get_global_rollout_usage(self, rollout_id: str) -> RolloutUsage:
        """Get the usage of a rollout.

        As `get_rollout_usage`.

        Args:
            rollout_id: The id of a rollout.
        """

        return await self._calls.call(
            "get_global_rollout_usage",
            operations.get_global_rollout_usage._get_kwargs,
            _parse_get_global_rollout_usage,
            path={"rollout_id": rollout_id},
        )

    async def list_global_rollouts(
        self,
        *,
        state: str | None = None,
        limit: int | None = 100,
        cursor: str | None = None,
        prefer: str | None = None,
    ) -> RolloutList:
        """List rollouts.

        The caller's rollouts in all pools, newest first.

        Args:
            state: Only items in exactly this state. Any text: a state that no item has answers an
                empty page.
            limit: The most items that the page may hold.
            cursor: The `next_cursor` of the page before, an opaque string. Any text: one that this
                server did not issue answers an empty last page.
            prefer: With `return=minimal` (RFC 7240) a list comes once, under `items`, which clients
                that read `items` ask for. Later clients look for the list under a name of its own
                alone, so any other answer holds it a second time, as `pools`, `tasks`, `rollouts`,
                `artifacts` or `releases`. Any other text changes nothing.
        """

        return await self._calls.call(
            "list_global_rollouts",
            operations.list_global_rollouts._get_kwargs,
            _parse_list_global_rollouts,
            query={"state": (str, state), "limit": (int, limit), "cursor": (str, cursor)},
            headers={"prefer": (str, prefer)},
        )

    async def replay_rollout(
        self, rollout_id: str, *, idempotency_key: str | None = None
    ) -> Rollout:
        """Run a rollout once more.

        Admits a new rollout with the request, task and pool of this one, whatever its state,
        and names this one in `replay_of`. It counts as a creation of its own: the pool must be
        active and the task be there. With `mode: sync` in the request the answer is the
        finished rollout.

        Args:
            rollout_id: The id of a rollout.
            idempotency_key: Chosen by the caller, visible ASCII. For 24 hours the same key with the
                same body creates nothing where it counts as the same request: on the same operation
                and, for `create_rollout`, the same pool, for `replay_rollout` the same rollout in
                the path. Elsewhere the same text is another key. The repetition answers the status
                of the first response, with that rollout as it is now, also if both requests arrive
                at once. With another body it is 409 `idempotency_conflict`. Bodies are the same if
                they are equal as JSON. A refused request reserves no key.
        """

        return await self._calls.call(
            "replay_rollout",
            operations.replay_rollout._get_kwargs,
            _parse_replay_rollout,
            path={"rollout_id": rollout_id},
            headers={"idempotency_key": (str, idempotency_key)},
        )

    def stream_global_rollout_events(
        self,
        rollout_id: str,
        *,
        cursor: str | None = None,
        after_sequence: int | None = None,
        last_event_id: str | None = None,
    ) -> AsyncStream[RolloutEvent]:
        """Follow the events of a rollout.

        As `stream_rollout_events`.

        Args:
            rollout_id: The id of a rollout.
            cursor: The `id` of the last event seen. Any text: one that is no event of this rollout
                counts as no position.
            after_sequence: The `sequence` of the last event seen.
            last_event_id: The `id` of the last event seen, as readers of server-sent events send it
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
        self, rollout_id: str, *, after_sequence: int | None = None, limit: int | None = 200
    ) -> RolloutEventPage:
        """The JSON answer of `stream_global_rollout_events`, one page of events; see there."""
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

        Says what `create_global_rollout` would say to this request now, without creating
        anything. What a creation would answer as 404, 409 or 422 is in `errors`, field by
        field; `valid` is true where there are none. Any JSON object may be sent.

        Args:
            body: Any JSON object: free-form, kept and answered as it was sent.
        """
        from ...models.json_object import JsonObject

        return await self._calls.call(
            "validate_rollout",
            operations.validate_rollout._get_kwargs,
            _parse_validate_rollout,
            body=(JsonObject, body),
        )


def _parse_cancel_global_rollout(answer: Any) -> Rollout:
    from ...models.rollout import Rollout

    response_200 = Rollout.from_dict(answer)
    return response_200


def _parse_create_global_rollout(answer: Any) -> Rollout:
    from ...models.rollout import Rollout

    response_202 = Rollout.from_dict(answer)
    return response_202


def _parse_create_rollout_batch(answer: Any) -> RolloutBatch:
    from ...models.rollout_batch import RolloutBatch

    response_200 = RolloutBatch.from_dict(answer)
    return response_200


def _parse_get_global_rollout(answer: Any) -> Rollout:
    from ...models.rollout import Rollout

    response_200 = Rollout.from_dict(answer)
    return response_200


def _parse_get_global_rollout_artifacts(answer: Any) -> ArtifactList:
    from ...models.artifact_list import ArtifactList

    response_200 = ArtifactList.from_dict(answer)
    return response_200


def _parse_get_global_rollout_summary(answer: Any) -> RolloutSummary:
    from ...models.rollout_summary import RolloutSummary

    response_200 = RolloutSummary.from_dict(answer)
    return response_200


def _parse_get_global_rollout_usage(answer: Any) -> RolloutUsage:
    from ...models.rollout_usage import RolloutUsage

    response_200 = RolloutUsage.from_dict(answer)
    return response_200


def _parse_list_global_rollouts(answer: Any) -> RolloutList:
    from ...models.rollout_list import RolloutList

    response_200 = RolloutList.from_dict(answer)
    return response_200


def _parse_replay_rollout(answer: Any) -> Rollout:
    from ...models.rollout import Rollout

    response_202 = Rollout.from_dict(answer)
    return response_202


def _parse_validate_rollout(answer: Any) -> RolloutValidation:
    from ...models.rollout_validation import RolloutValidation

    response_200 = RolloutValidation.from_dict(answer)
    return response_200
