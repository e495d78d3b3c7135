"""Optional operations: only offered ones are called, and a wrong answer of the client is seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from synth_pools import APIConnectionError, APITimeoutError, ContainerPoolsClient
from synth_pools.contract.client.calls import SyncCaller
from synth_pools.contract.client.optional_operations import check_optional_operations
from tests.contract.harness.sessions import DOCUMENT, answering, context, departures
from tests.support.faults import Fault, answer

_RELEASE = {"id": "r1", "release_id": "r1", "source_kind": "image_ref", "status": "ready"}
_GONE = answer({"detail": "gone", "error": {"code": "not_found", "message": "gone"}}, 404)
_BEFORE: dict[str, Fault] = {
    "create_pool": answer({"id": "p", "status": "active"}, 201),
    "create_rollout": answer({"rollout_id": "r"}, 202),
    "get_rollout": answer({"status": "completed"}),
}
_RELEASES: dict[str, Any] = {
    "create_image_release": answer(_RELEASE, 201),
    "list_image_releases": answer({"items": [_RELEASE], "next_cursor": None}),
    # Answered to raw HTTP and to the client; then it is deleted.
    "get_image_release": [answer(_RELEASE), answer(_RELEASE), _GONE],
    "delete_image_release": answer(_RELEASE),
}


def _checked(
    answers: dict[str, Any], change: Callable[[str, Any], Any], **features: bool
) -> tuple[set[str], set[tuple[str, str]]]:
    """Check a client whose answers are changed; return its methods and the departures."""
    called: set[str] = set()
    with (
        answering({**_BEFORE, **answers}, features=features) as (run, server),
        ContainerPoolsClient(api_key="a-key", base_url=server.url, max_retries=0) as client,
    ):
        genuine = SyncCaller(client, APIConnectionError, (APITimeoutError,))

        class Changed:
            lost, slow = genuine.lost, genuine.slow

            def __call__(self, name: str, *arguments: Any, **options: Any) -> Any:
                called.add(name)
                return change(name, genuine(name, *arguments, **options))

        check_optional_operations(context(run, *DOCUMENT.optional["image_releases"]), Changed())
        departed = [departure for departure in departures(run) if departure.check == "a.b"]
    return called, {(departure.operation, departure.got) for departure in departed}


def _same(name: str, value: Any) -> Any:
    return value


def test_what_is_not_offered_is_not_called() -> None:
    assert _checked({}, _same) == (set(), set())


def test_image_releases_that_are_right_are_taken() -> None:
    called, departed = _checked(_RELEASES, _same, image_releases=True)
    assert called == set(_RELEASES)
    assert departed == set()


@pytest.mark.parametrize("method", ["list_image_releases", "get_image_release"])
def test_another_release_is_seen(method: str) -> None:
    def change(name: str, value: Any) -> Any:
        return {**value, "odd": 1} if name == method else value

    _, departed = _checked(_RELEASES, change, image_releases=True)
    assert departed == {(method, "at /odd: 1 instead of nothing")}


def test_a_release_that_is_not_the_deleted_one_is_seen() -> None:
    def change(name: str, value: Any) -> Any:
        return {"release_id": "x"} if name == "delete_image_release" else value

    _, departed = _checked(_RELEASES, change, image_releases=True)
    assert departed == {("delete_image_release", "{'release_id': 'x'}")}


def test_a_release_that_stays_after_its_deletion_is_seen() -> None:
    answers = {**_RELEASES, "get_image_release": answer(_RELEASE)}
    _, departed = _checked(answers, _same, image_releases=True)
    assert {operation for operation, _ in departed} == {"get_image_release"}


def test_without_a_release_nothing_is_said_of_the_others() -> None:
    answers = {**_RELEASES, "create_image_release": answer({}, 201)}
    called, departed = _checked(answers, _same, image_releases=True)
    assert (called, departed) == ({"create_image_release"}, set())


_REFUSAL = {"code": "validation_error", "message": "no"}


def _batch(request_id: str) -> dict[str, Any]:
    rollout = {"rollout_id": "r", "request": {"seed": 1}}
    refusal = {**_REFUSAL, "request_id": request_id}
    return {
        "items": [
            {"status": 202, "rollout": rollout, "error": None},
            {"status": 422, "rollout": None, "error": refusal},
        ]
    }


@pytest.mark.parametrize(
    ("number", "changed", "got"),
    [
        (0, {}, None),
        (0, {"rollout": {"rollout_id": "r", "request": {"seed": 2}}}, "at /seed: 2 instead of 1"),
        (1, {"status": 400}, "400"),
        (1, {"rollout": {}}, "{}"),
        (1, {"error": {**_REFUSAL, "code": "x"}}, 'at /code: "x" instead of "validation_error"'),
        (1, {"error": None}, "null"),
    ],
)
def test_a_batch_is_compared_by_what_was_made_and_what_was_refused(
    number: int, changed: dict[str, Any], got: str | None
) -> None:
    answers = {
        # Each request has its own id.
        "create_rollout_batch": [answer(_batch(f"req_{number}"), 200) for number in range(4)],
        "get_rollout": answer({"status": "completed", "request": {"seed": 1}}),
    }

    def change(name: str, value: Any) -> Any:
        items = [*value["items"]]
        items[number] = {**items[number], **changed}
        return {"items": items}

    called, departed = _checked(answers, change, batch=True)
    assert called == {"create_rollout_batch", "agent_rollouts.create_batch"}
    assert departed == ({("create_rollout_batch", got)} if got else set())
