"""Event pages: the events of a rollout as JSON, a part at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.support.backend_server import Server, eventually


def paths(server: Server, rollout: dict[str, Any]) -> list[str]:
    rest = f"/rollouts/{rollout['id']}/events"
    return [f"/v1{rest}", f"/v1/pools/{rollout['pool_id']}{rest}"]


@pytest.mark.parametrize("limit", [1, 3, 7, 8, 1000])
def test_pages_hold_the_stream(server: Server, limit: int) -> None:
    rollout = server.run(server.pool(), env={"events": 4})
    complete = server.events(rollout["id"])
    for path in paths(server, rollout):
        actual: list[Any] = []
        has_more = True
        while has_more:
            query = {"format": "json", "limit": limit, "after_sequence": len(actual)}
            page = server.get(path, params=query)
            assert len(page["events"]) <= limit
            actual += page["events"]
            has_more = page["has_more"]
            assert page["next_sequence"] == len(actual)
            assert (page["rollout_id"], page["status"]) == (rollout["id"], "completed")
        assert actual == complete


def test_a_page_has_two_hundred_events_where_nobody_says(server: Server) -> None:
    rollout = server.run(server.pool(), env={"events": 300})
    path = paths(server, rollout)[0]
    page = server.get(path, params={"format": "json"})
    assert (len(page["events"]), page["next_sequence"], page["has_more"]) == (200, 200, True)
    # The furthest position counts, as for a stream.
    headers = {"last-event-id": page["events"][-1]["id"]}
    rest = server.get(path, params={"format": "json", "after_sequence": 3}, headers=headers)
    assert [event["sequence"] for event in rest["events"]] == list(range(201, 305))
    assert rest["has_more"] is False


def test_after_the_last_event_a_page_is_empty(server: Server) -> None:
    rollout = server.run(server.pool())
    path = paths(server, rollout)[0]
    for position in (len(server.events(rollout["id"])), 10**6, 2**63 - 1):
        page = server.get(path, params={"format": "json", "after_sequence": position})
        assert page == {
            "rollout_id": rollout["id"],
            "status": "completed",
            "events": [],
            "next_sequence": position,
            "has_more": False,
        }


def test_a_page_of_a_running_rollout_ends_at_once(server: Server) -> None:
    rollout = server.rollout(server.pool(), env={"delay": 600})
    path = paths(server, rollout)[0]

    def running() -> Any:
        page = server.get(path, params={"format": "json"})
        return page if page["status"] == "running" else None

    page = eventually(running)
    assert [event["event"] for event in page["events"]][:2] == ["rollout.queued", "rollout.started"]
    assert page["has_more"] is False
    server.post(f"/v1/rollouts/{rollout['id']}/cancel")
    query = {"format": "json", "after_sequence": page["next_sequence"]}
    final = server.get(path, params=query)
    assert (final["status"], final["events"][-1]["event"]) == ("cancelled", "rollout.cancelled")


def test_large_events_end_a_page_early(start: Callable[..., Server]) -> None:
    backend = start(max_page_bytes=2_000)
    rollout = backend.run(backend.pool(), env={"events": 40})
    path = paths(backend, rollout)[0]
    response = backend.send("GET", path, params={"format": "json", "limit": 1000})
    page = response.json()
    assert 2_000 <= len(response.content) < 4_000
    assert page["has_more"] is True
    assert page["next_sequence"] == len(page["events"]) == page["events"][-1]["sequence"]


@pytest.mark.parametrize(
    "query", [{"format": "xml"}, {"format": ""}, {"limit": 0}, {"limit": 1001}, {"limit": "x"}]
)
def test_what_is_no_page_is_refused(server: Server, query: dict[str, Any]) -> None:
    rollout = server.run(server.pool())
    for path in paths(server, rollout):
        original = {"format": "json", **query}
        server.refused("GET", path, 422, "validation_failed", params=original)


def test_a_page_is_no_open_stream(start: Callable[..., Server]) -> None:
    backend = start(max_streams=1, max_streams_per_rollout=1)
    rollout = backend.rollout(backend.pool(), env={"delay": 600})
    path = paths(backend, rollout)[0]
    with backend.http.stream("GET", path) as stream:
        assert stream.status_code == 200
        backend.refused("GET", path, 429, "too_many_streams")
        assert backend.get(path, params={"format": "json"})["rollout_id"] == rollout["id"]
