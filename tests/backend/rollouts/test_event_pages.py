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
    whole = server.events(rollout["id"])
    for path in paths(server, rollout):
        found: list[Any] = []
        has_more = True
        while has_more:
            query = {"format": "json", "limit": limit, "after_sequence": len(found)}
            page = server.get(path, params=query)
            assert len(page["events"]) <= limit
            found += page["events"]
            has_more = page["has_more"]
            assert page["next_sequence"] == len(found)
            assert (page["rollout_id"], page["status"]) == (rollout["id"], "completed")
        assert found == whole


def test_a_page_has_two_hundred_events_where_nobody_says(server: Server) -> None:
    rollout = server.run(server.pool(), env={"events": 300})
    path = paths(server, rollout)[0]
    page = server.get(path, params={"format": "json"})
    assert (len(page["events"]), page["next_sequence"], page["has_more"]) == (200, 200, True)
    # The furthest position counts, as for a stream.
    seen = {"last-event-id": page["events"][-1]["id"]}
    rest = server.get(path, params={"format": "json", "after_sequence": 3}, headers=seen)
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
    ended = server.get(path, params=query)
    assert (ended["status"], ended["events"][-1]["event"]) == ("cancelled", "rollout.cancelled")


def test_large_events_end_a_page_early(start: Callable[..., Server]) -> None:
    own = start(max_page_bytes=2_000)
    rollout = own.run(own.pool(), env={"events": 40})
    path = paths(own, rollout)[0]
    response = own.send("GET", path, params={"format": "json", "limit": 1000})
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
        given = {"format": "json", **query}
        server.refused("GET", path, 422, "validation_failed", params=given)


def test_a_page_is_no_open_stream(start: Callable[..., Server]) -> None:
    own = start(max_streams=1, max_streams_per_rollout=1)
    rollout = own.rollout(own.pool(), env={"delay": 600})
    path = paths(own, rollout)[0]
    with own.http.stream("GET", path) as stream:
        assert stream.status_code == 200
        own.refused("GET", path, 429, "too_many_streams")
        assert own.get(path, params={"format": "json"})["rollout_id"] == rollout["id"]
